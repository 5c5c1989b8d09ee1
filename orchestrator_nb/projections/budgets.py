"""How people are told of budgets: what is used, what is left, what is asked when nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ledger import RUN, THINGS, Account, billionths, limited
from orchestrator_nb.core.state import State
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.words import count, duration

#: Scopes that the short line names beside the run.
_NAMED = 2


def amount(thing: e.Thing, used: float) -> str:
    """``5.00 $``, ``1,200 tokens``, ``2h 00m``, ``40 attempts``; money is in billionths of a dollar."""
    if thing == "money":
        dollars = used / 1e9
        return f"{dollars:,.2f} $" if dollars >= 1 or not used else f"{dollars:,.4f} $"
    if thing == "time":
        return duration(used) if used else "0s"
    return count(int(used), thing[:-1])


def name(scope: str) -> str:
    """``the run``, ``claude``, ``task 'T-03'``."""
    kind, _, rest = scope.partition(" ")
    return "the run" if kind == RUN else f"task '{rest}'" if kind == "task" else one_line(rest, 40)


def of_scope(account: Account, thing: e.Thing, most: float, now: float) -> str:
    """``3.20 $ of 5.00 $``; ``at least 3.20 $ of 5.00 $`` where the price of something is unknown."""
    least = "at least " if thing == "money" and account.unpriced else ""
    return f"{least}{amount(thing, account.used(thing, now))} of {amount(thing, most)}"


def line(state: State, now: float) -> str:
    """What is used of the run's budget, and of others that are used up, in one short line; empty without a budget.

    `now` is in seconds since the epoch; of a run that has ended it says nothing new.
    """
    now = state.at if state.ended is not None else now
    told: list[str] = []
    reached: list[str] = []
    for scope, account, limit in limited(state.ledger):
        used = [of_scope(account, thing, most, now) for thing, most in limit.most.items()]
        if scope == RUN:
            told = used
        elif scope in state.ledger.asked or any(scope == warned for warned, _ in state.ledger.warned):
            reached.append(f"{name(scope)}: {', '.join(used)}")
    more = len(reached) - _NAMED
    return "; ".join([", ".join(told), *reached[:_NAMED], *([f"and {more} more"] if more > 0 else [])]).strip("; ")


def changed(event: e.BudgetChanged) -> str:
    """``The run may use 5.00 $, 2,000,000 tokens``."""
    money = None if event.money is None else billionths(event.money)
    told = zip(THINGS, (money, event.tokens, event.time, event.attempts), strict=True)
    words = ", ".join(amount(thing, value) for thing, value in told if value is not None)
    scope = name(event.scope)
    return f"{scope[:1].upper()}{scope[1:]} may use {words}"


def warning(state: State, warned: e.BudgetWarned, now: float) -> str:
    """The sentence with which people are warned of a soft limit."""
    account, limit = state.ledger.accounts[warned.scope], state.ledger.limits[warned.scope]
    used = of_scope(account, warned.thing, limit.most[warned.thing], now)
    return f"the budget of {name(warned.scope)} comes to its end: {used} used"


def used_up(state: State, scope: str, thing: e.Thing, now: float) -> str:
    """``the budget of the run is used up: 4.90 $ of 5.00 $ used by 12 attempts``, and what would come next."""
    account, limit = state.ledger.accounts[scope], state.ledger.limits[scope]
    used = of_scope(account, thing, limit.most[thing], now)
    by = "" if thing == "attempts" else f" by {count(account.attempts, 'attempt')}"
    short = "" if account.used(thing, now) >= limit.most[thing] else ", less is left than the next attempt may need"
    return f"the budget of {name(scope)} is used up: {used} used{by}{short}"


def question(state: State, task: str, scope: str, thing: e.Thing, now: float) -> str:
    """What a person is asked before `task` starts."""
    unit = {"money": "US dollars", "time": "seconds"}.get(thing, thing)
    words = used_up(state, scope, thing, now)
    return (
        f"{words[:1].upper()}{words[1:]}. '{task}' would start next. Answer with the new limit in {unit}; approve "
        "without an answer to let this one attempt start in spite of it; reject to stop the run."
    )


def facts(state: State, now: float) -> list[dict[str, Any]]:
    """Each limit as JSON: `scope`, `thing`, `used`, `kept` free for what runs, `limit`; dollars, tokens, seconds."""
    return list(_facts(state, state.at if state.ended is not None else now))


def _facts(state: State, now: float) -> Iterator[dict[str, Any]]:
    for scope, account, limit in limited(state.ledger):
        for thing, most in limit.most.items():
            unit = 1e9 if thing == "money" else 1
            yield {
                "scope": scope,
                "thing": thing,
                "used": account.used(thing, now) / unit,
                "kept": account.kept(thing) / unit,
                "limit": most / unit,
                "unpriced_attempts": account.unpriced,
            }
