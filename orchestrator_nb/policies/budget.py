"""Is there room for one more attempt in the budgets that it belongs to, and what is kept free for it?

What has ended counts with what it used, what runs with what it used or with what was kept free for it, whichever is
more. So no attempt starts once a limit is reached, and a limit is passed by no more than what the attempts that ran
then have used beyond their reservations. Amounts are as in `core.ledger`: money in billionths of a US dollar.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.budget_checks import FREE
from orchestrator_nb.core.ledger import Account, Ledger, Limit
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState


@dataclass(slots=True)
class Purse:
    """What one step of the run may still spend: it grows emptier with each task that it lets start."""

    #: Seconds since the epoch.
    now: float
    #: What this step lets start: attempts, tokens, money, by scope.
    taken: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    #: What is kept free for each task that it lets start.
    reserved: dict[str, e.Reserved] = field(default_factory=dict)

    def obstacle(self, state: State, task: TaskState) -> tuple[str, e.Thing, bool] | None:
        """The limit that keeps `task` from starting (`core.decide.BudgetQuestion`)."""
        ledger = state.ledger
        if task.id in ledger.passes:
            return None
        kind = state.vendor(task)
        scopes = [scope for scope in ledger.scopes(task.id, kind) if scope in ledger.limits]
        tokens, money = _reservation(ledger, scopes, task.id, kind)
        for scope in scopes:
            account, limit = ledger.accounts[scope], ledger.limits[scope]
            for thing, most in limit.most.items():
                if kind in FREE and thing in ("money", "tokens") and not (tokens or money):
                    continue
                needs = money if thing == "money" else tokens if thing == "tokens" else int(thing == "attempts")
                if (final := self._lacks(scope, account, thing, most, needs)) is not None:
                    return scope, thing, final
        for scope in scopes:
            attempts, taken_tokens, taken_money = self.taken.get(scope, (0, 0, 0))
            self.taken[scope] = attempts + 1, taken_tokens + tokens, taken_money + money
        if tokens or money:
            self.reserved[task.id] = e.Reserved(money / 1e9, tokens)
        return None

    def _lacks(self, scope: str, account: Account, thing: e.Thing, most: float, needs: int) -> bool | None:
        """Whether there is too little of `thing`, and if so, whether that is final; None if there is enough."""
        attempts, tokens, money = self.taken.get(scope, (0, 0, 0))
        taken = {"attempts": attempts, "tokens": tokens, "money": money}.get(thing, 0)
        used = account.used(thing, self.now)
        held = used + account.kept(thing) + taken
        if held < most and held + needs <= most:
            return None
        return used >= most or used + needs > most or thing in ("attempts", "time") or not (account.running or attempts)


def _reservation(ledger: Ledger, scopes: list[str], task: str, kind: str) -> tuple[int, int]:
    """Tokens and money that are kept free for the next attempt: as the narrowest budget says, else as is known."""
    for scope in reversed(scopes):
        told = ledger.limits[scope].reserve
        if told is not None and (kind not in FREE or scope == f"task {task}"):
            return told.tokens, round(told.money * 1e9)
    if kind in FREE:
        return 0, 0
    known = ledger.accounts.get(f"agent {kind}")
    tokens, money = (known.most_tokens, known.most_money) if known is not None else (0, 0)
    own = ledger.limits.get(f"task {task}")
    if own is not None:
        account = ledger.accounts[f"task {task}"]
        tokens = _left(own, account, "tokens", tokens)
        money = _left(own, account, "money", money)
    for scope in scopes:  # what is only expected keeps nobody from using the rest
        account, limit = ledger.accounts[scope], ledger.limits[scope]
        tokens = min(tokens, _left(limit, account, "tokens", tokens))
        money = min(money, _left(limit, account, "money", money))
    return tokens, money


def _left(limit: Limit, account: Account, thing: e.Thing, otherwise: int) -> int:
    """What is left of a thing, or `otherwise` if it has no limit."""
    most = limit.most.get(thing)
    return otherwise if most is None else max(0, int(most) - int(account.used(thing, 0.0)))


def left_for(ledger: Ledger, task: str, now: float) -> dict[e.Thing, float]:
    """What the running attempt of `task` may still use, by thing: what is left, and what is kept free for it."""
    entry = ledger.open[task]
    left: dict[e.Thing, float] = {}
    for scope in entry.scopes:
        limit, account = ledger.limits.get(scope), ledger.accounts[scope]
        for thing, most in limit.most.items() if limit is not None else ():
            if thing != "attempts":
                own = {"money": entry.kept_money, "tokens": entry.kept_tokens}.get(thing, 0)
                free = max(0.0, most - account.used(thing, now) - account.kept(thing) + own)
                left[thing] = min(left.get(thing, free), free)
    return left


def warned_of(state: State, now: float) -> list[e.BudgetWarned]:
    """The soft limits that are reached and were not warned of; `now` is in seconds since the epoch.

    Only what has changed since the last call is looked at.
    """
    ledger, found = state.ledger, []
    for scope in sorted(ledger.touched & ledger.limits.keys()):
        limit, account = ledger.limits[scope], ledger.accounts[scope]
        for thing, most in limit.most.items():
            if (scope, thing) not in ledger.warned and account.used(thing, now) >= limit.soft * most:
                found.append(e.BudgetWarned(scope, thing))
    ledger.touched.clear()
    return found


def priced(state: State, event: e.AgentSpent) -> e.AgentSpent:
    """The same with what it costs by the plan's prices, where the agent did not tell that and there is one."""
    plan, task = state.plan, state.tasks[event.task]
    if event.cost is not None or plan is None or not plan.limits.prices:
        return event
    attempts = state.agent_attempts.get(event.task)
    model = attempts[-1].model if attempts else ""
    for name in (model, plan.tasks[task.index].parameters.get("model"), state.vendor(task)):
        price = plan.limits.prices.get(name) if isinstance(name, str) else None
        if price is not None:
            cost = price.of(event.input_tokens, event.output_tokens, event.cached_tokens)
            return msgspec.structs.replace(event, cost=round(cost, 9), by_price=True)
    return event
