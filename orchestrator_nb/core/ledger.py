"""The ledger of a session: what its attempts have used, what is kept free for those that run, and which limits hold.

Folded from events (`core.state`), each in a time that does not depend on the plan: an attempt's reservation stands from
its start to its end, what it tells it uses takes the place of what it told before. Money is counted in whole
billionths of a US dollar, so that sums are exact: an account of the run is the sum of those of its kinds of agents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, get_args

import msgspec

from orchestrator_nb.core.agent_attempts import AgentAttempt
from orchestrator_nb.core.agent_events import AgentSpent
from orchestrator_nb.core.budget_events import BudgetChanged, Reserved, Thing
from orchestrator_nb.core.limits import Budget

if TYPE_CHECKING:
    from orchestrator_nb.core.models import Plan

RUN = "run"
THINGS: tuple[Thing, ...] = get_args(Thing)


def billionths(dollars: float) -> int:
    """US dollars as a whole number of billionths."""
    return round(dollars * 1e9)


class Account(msgspec.Struct):
    """What the attempts of one scope have used."""

    attempts: int = 0
    tokens: int = 0
    #: Billionths of a US dollar, of those attempts of which it is known.
    money: int = 0
    #: Kept free for running attempts, beyond what they have told already; and for ever for attempts that have ended at
    #: an unknown price.
    kept_tokens: int = 0
    kept_money: int = 0
    #: Attempts that told tokens and have ended at an unknown price.
    unpriced: int = 0
    #: Of the attempts that have ended, the most that one has used.
    most_tokens: int = 0
    most_money: int = 0
    #: Attempts that run, since when there is one, and for how long there was one before: seconds.
    running: int = 0
    since: float = 0.0
    seconds: float = 0.0

    def time(self, now: float) -> float:
        """Seconds during which any of its attempts has run, until `now` (seconds since the epoch)."""
        return self.seconds + (max(0.0, now - self.since) if self.running else 0.0)

    def used(self, thing: Thing, now: float) -> float:
        """How much is used of `thing`: dollars in billionths, tokens, seconds, attempts."""
        if thing == "time":
            return self.time(now)
        return self.money if thing == "money" else self.tokens if thing == "tokens" else self.attempts

    def kept(self, thing: Thing) -> int:
        """How much is kept free of `thing`."""
        return self.kept_money if thing == "money" else self.kept_tokens if thing == "tokens" else 0


class Limit(msgspec.Struct):
    """The limits of one scope that are in force."""

    #: Dollars in billionths, tokens, seconds, attempts.
    most: dict[Thing, float]
    soft: float = 0.8
    reserve: Reserved | None = None


class Entry(msgspec.Struct):
    """An attempt that runs."""

    scopes: tuple[str, ...]
    kept_tokens: int = 0
    kept_money: int = 0
    tokens: int = 0
    money: int = 0
    #: It has told its tokens but not its cost.
    unpriced: bool = False


class Ledger:
    """All accounts and limits of a session. Read it anywhere; only `core.state` writes it."""

    def __init__(self) -> None:
        #: Of the run, of each kind of agent that was started, and of whatever has limits.
        self.accounts: dict[str, Account] = {RUN: Account()}
        self.limits: dict[str, Limit] = {}
        #: The attempts that run, by task.
        self.open: dict[str, Entry] = {}
        #: What people have changed, by scope: it holds under any plan.
        self.changes: dict[str, dict[Thing, float]] = {}
        #: Limits that were warned of.
        self.warned: set[tuple[str, str]] = set()
        #: The open question about each scope: its checkpoint's id.
        self.asked: dict[str, str] = {}
        #: Tasks whose next attempt may start in spite of the limits.
        self.passes: set[str] = set()
        #: Scopes of which something was used since they were looked at (`policies.budget`).
        self.touched: set[str] = set()
        #: Why the run was stopped for its budget.
        self.stopped = ""
        self._common: dict[str, tuple[str, str]] = {}

    def _open(self, scope: str) -> Account:
        if (account := self.accounts.get(scope)) is None:
            account = self.accounts[scope] = Account()
        return account

    def scopes(self, task: str, kind: str) -> tuple[str, ...]:
        """The scopes that a task's attempts count for: its own only if it has limits of its own."""
        if (common := self._common.get(kind)) is None:
            common = self._common[kind] = (RUN, f"agent {kind}")
        return (*common, own) if self.limits and (own := f"task {task}") in self.limits else common

    # -- attempts ------------------------------------------------------------------------------------------------------

    def start(self, task: str, kind: str, reserved: Reserved | None, at: float) -> None:
        """An attempt of `task` by this kind of agent begins at `at` (seconds since the epoch)."""
        entry = Entry(self.scopes(task, kind))
        if reserved is not None:
            entry.kept_tokens, entry.kept_money = reserved.tokens, billionths(reserved.money)
        self.open[task] = entry
        self.passes.discard(task)
        for scope in entry.scopes:
            account = self._open(scope)
            account.attempts += 1
            if not account.running:
                account.since = at
            account.running += 1
            account.kept_tokens += entry.kept_tokens
            account.kept_money += entry.kept_money
        self._touch(entry.scopes)

    def tell(self, task: str, tokens: int, cost: float | None) -> None:
        """The running attempt of `task` has used so much in all; a cost of None is unknown."""
        entry = self.open.get(task)
        if entry is None:
            return
        money = entry.money if cost is None else billionths(cost)
        entry.unpriced = cost is None and tokens > 0
        more_tokens, more_money = tokens - entry.tokens, money - entry.money
        less_tokens = min(more_tokens, entry.kept_tokens) if more_tokens > 0 else 0
        less_money = min(more_money, entry.kept_money) if more_money > 0 else 0
        for scope in entry.scopes:
            account = self.accounts[scope]
            account.tokens += more_tokens
            account.money += more_money
            account.kept_tokens -= less_tokens
            account.kept_money -= less_money
        entry.tokens, entry.money = tokens, money
        entry.kept_tokens -= less_tokens
        entry.kept_money -= less_money
        self._touch(entry.scopes)

    def end(self, task: str, at: float) -> tuple[str, ...]:
        """The attempt of `task` has ended; returns the scopes in which there may be room for another one."""
        entry = self.open.pop(task, None)
        if entry is None:
            return ()
        for scope in entry.scopes:
            account = self.accounts[scope]
            account.running -= 1
            if not account.running:
                account.seconds += max(0.0, at - account.since)
            account.kept_tokens -= entry.kept_tokens
            account.unpriced += entry.unpriced
            if not entry.unpriced:
                account.kept_money -= entry.kept_money
            account.most_tokens = max(account.most_tokens, entry.tokens)
            account.most_money = max(account.most_money, entry.money)
        self._touch(entry.scopes)
        return tuple(scope for scope in entry.scopes if scope in self.limits) if self.limits else ()

    def aside(self, kind: str, before: AgentSpent | None, told: AgentSpent) -> None:
        """An agent that works beside the tasks (who reviews, who merges) has used so much in all; `before`, told last.

        It counts for the run and for its kind of agent; it is no attempt, and nothing is kept free for it.
        """
        earlier = (
            (0, 0) if before is None else (before.input_tokens + before.output_tokens, billionths(before.cost or 0))
        )
        scopes = (RUN, f"agent {kind}")
        for scope in scopes:
            account = self._open(scope)
            account.tokens += told.input_tokens + told.output_tokens - earlier[0]
            account.money += billionths(told.cost or 0.0) - earlier[1]
            account.unpriced += told.final and told.cost is None
        self._touch(scopes)

    def _touch(self, scopes: Iterable[str]) -> None:
        if self.limits:
            self.touched.update(scope for scope in scopes if scope in self.limits)

    # -- limits --------------------------------------------------------------------------------------------------------

    def plan(self, plan: Plan, attempts: dict[str, list[AgentAttempt]], begun: dict[str, int]) -> None:
        """Put the limits of `plan` in force. Tasks with limits that had none before bring what they have used.

        Args:
            plan: The plan.
            attempts: What is known of the attempts of agents, by task.
            begun: How many attempts each task has begun, by task.
        """
        budget = plan.limits.budget
        scopes = {RUN: budget, **{f"agent {kind}": own for kind, own in budget.agents.items()}}
        own = {f"task {task.id}": task.budget for task in plan.tasks if task.budget is not None}
        self.limits = {scope: _limit(told) for scope, told in {**scopes, **own}.items() if told or told.reserve}
        for scope, changed in self.changes.items():
            self._limit(scope).most.update(changed)
        for scope in own:
            task = scope.partition(" ")[2]
            if scope not in self.accounts and begun.get(task):
                self.accounts[scope] = _account(begun[task], attempts.get(task, ()))
        for scope in self.limits:
            self._open(scope)
        self.touched = set(self.limits)

    def change(self, event: BudgetChanged) -> None:
        """Put other limits in force for one scope."""
        money = None if event.money is None else billionths(event.money)
        told = dict(zip(THINGS, (money, event.tokens, event.time, event.attempts), strict=True))
        changed: dict[Thing, float] = {thing: value for thing, value in told.items() if value is not None}
        self.changes.setdefault(event.scope, {}).update(changed)
        self._limit(event.scope).most.update(changed)
        self.warned -= {(event.scope, thing) for thing in changed}
        self.touched.add(event.scope)

    def _limit(self, scope: str) -> Limit:
        if (limit := self.limits.get(scope)) is None:
            limit = self.limits[scope] = Limit({})
            self._open(scope)
        return limit


def _limit(budget: Budget) -> Limit:
    money = None if budget.money is None else billionths(budget.money)
    told = zip(THINGS, (money, budget.tokens, budget.time, budget.attempts), strict=True)
    reserve = None if budget.reserve is None else Reserved(budget.reserve.money, budget.reserve.tokens)
    return Limit({thing: value for thing, value in told if value is not None}, budget.soft, reserve)


def _account(begun: int, attempts: Iterable[AgentAttempt]) -> Account:
    account = Account(attempts=begun)
    for attempt in attempts:
        account.seconds += attempt.seconds or 0.0
        if (spent := attempt.spent) is not None and not spent.recorded:
            account.tokens += spent.input_tokens + spent.output_tokens
            account.money += billionths(spent.cost or 0.0)
            account.unpriced += spent.cost is None
    return account


def limited(ledger: Ledger) -> Iterator[tuple[str, Account, Limit]]:
    """The scopes that have limits: the run first, then the kinds of agents, then the tasks."""
    for scope, limit in ledger.limits.items():
        if limit.most:
            yield scope, ledger.accounts[scope], limit
