"""What to do next: rulings on what has happened, then who may start (S1 3.1's ready set, never waves).

Three pure functions over the state, called by the run after every batch of events, in this order until there are no
more rulings: `rule` returns the events that policies decide, to be recorded and applied; `admit` returns the tasks to
start; `ending` tells whether the run is over. Each costs O(what changed), never O(plan).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import OnFailure, Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import PENDING, RETRYING, WAITING, TaskState, TaskStatus, join_verdict

Demand = tuple[tuple[str, float], ...]


class RetryQuestion(Protocol):
    """Answered by `policies.retry`."""

    def delay(self, spec: Task, task: TaskState) -> float | None:
        """Seconds until the failed task is tried again, or None if it is not."""


class AdmissionQuestion(Protocol):
    """Answered by `policies.admission`."""

    @property
    def max_parallel(self) -> int:
        """Tasks running at once."""

    def blocker(self, demand: Demand, used: Mapping[str, float]) -> str | None:
        """The first limited thing of `demand` of which too little is left, or None if all of it fits."""


class BudgetQuestion(Protocol):
    """Answered by `policies.budget`, anew for each step."""

    def obstacle(self, state: State, task: TaskState) -> tuple[str, e.Thing, bool] | None:
        """The limit that keeps `task` from starting: scope and thing, and whether only a person can change that.

        None if it may start; what is kept free for it counts from now on.
        """


def rule(state: State, retry: RetryQuestion) -> list[e.AnyEvent]:
    """The rulings that are due: retries, final failures, blocked and skipped tasks."""
    if not state.unruled:
        return []
    noted = dict.fromkeys(state.unruled)  # a task may have been noted more than once
    state.unruled.clear()
    rulings = (_ruling(state, state.by_index[index], retry) for index in noted)
    return _within_limit(state, [ruling for ruling in rulings if ruling is not None])


def _ruling(state: State, task: TaskState, retry: RetryQuestion) -> e.AnyEvent | None:
    assert state.plan is not None
    spec = state.plan.tasks[task.index]
    if task.status is TaskStatus.FAILED and not task.settled:
        return e.TaskFailureSettled(task.id, "block") if state.failed_fast else _failure_ruling(spec, task, retry)
    if state.failed_fast and task.status in _NOT_STARTED:
        return e.TaskBlocked(task.id, state.failed_fast)
    if task.status is WAITING:
        verdict = join_verdict(spec.join, task.unmet, task.successes, bool(task.bad_parent))
        if verdict == "block":
            return e.TaskBlocked(task.id, task.bad_parent)
        if verdict == "skip":
            return e.TaskSkipped(task.id, "none of its dependencies completed")
    return None


_NOT_STARTED = frozenset([WAITING, PENDING, RETRYING, TaskStatus.AWAITING_APPROVAL, TaskStatus.AWAITING_QUOTA])


def _failure_ruling(spec: Task, task: TaskState, retry: RetryQuestion) -> e.AnyEvent:
    delay = None if task.fallback else retry.delay(spec, task)
    if delay is not None:
        return e.TaskRetryScheduled(task.id, delay)
    if spec.on_failure is OnFailure.FALLBACK and spec.fallback is not None and not task.fallback:
        return e.TaskRetryScheduled(task.id, 0.0, fallback=True)
    if spec.on_failure is OnFailure.SKIP:
        return e.TaskFailureSettled(task.id, "skip")
    return e.TaskFailureSettled(task.id, "fail_fast" if spec.on_failure is OnFailure.FAIL_FAST else "block")


def _within_limit(state: State, rulings: list[e.AnyEvent]) -> list[e.AnyEvent]:
    """The same, but the failure with which `limits.max_failures` is reached ends the run."""
    assert state.plan is not None
    limit = state.plan.limits.max_failures
    if limit is None:
        return rulings
    final = [n for n, ruling in enumerate(rulings) if isinstance(ruling, e.TaskFailureSettled)]
    unruled = len(final) + sum(isinstance(ruling, e.TaskRetryScheduled) for ruling in rulings)
    counted = [n for n in final if rulings[n].strategy != "skip"]  # type: ignore[union-attr]
    earlier = state.counts[TaskStatus.FAILED] - unruled
    if counted and earlier + len(counted) >= limit:
        last = counted[max(0, limit - earlier - 1)]
        rulings[last] = e.TaskFailureSettled(rulings[last].task, "fail_fast")  # type: ignore[union-attr]
    return rulings


def admit(
    state: State, admission: AdmissionQuestion, now: float, budget: BudgetQuestion | None = None
) -> list[TaskState]:
    """The tasks to start now, first by priority, then in plan order; each must be recorded as started.

    A task that lacks a limited thing is set aside with those that wait for the same thing. Within one thing nobody
    overtakes, so a large demand is not starved by small ones; other tasks go on. A task that a `budget` has no room
    for waits in the same way; where no end of an attempt can make room, it is among `state.unaffordable` too.
    """
    if state.delayed:
        state.release_due(now)
    if state.paused or state.stopping or state.halting or state.failed_fast:
        return []
    room = admission.max_parallel - state.running
    if budget is not None and not state.ready:
        _wake_stranded(state)
    if room <= 0 or not state.ready:
        return []
    starts: dict[int, TaskState] = {}
    set_aside: set[int] = set()
    used: Mapping[str, float] = state.used
    while len(starts) < room and (task := state.take_ready()) is not None:
        if task.index in starts:  # it had two entries
            continue
        blocker = None
        if task.demand:
            blocker = _queue_before(state, task) or admission.blocker(task.demand, used)
        if budget is not None and blocker is None:
            obstacle = budget.obstacle(state, task)
            _queue_for_budget(state, task, obstacle, set_aside)
            if obstacle is not None:
                if task.demand:
                    _wake_next(state, admission, task.demand, used)
                continue
        if task.demand:
            if blocker is None:
                used = _plus(used, task.demand)
                starts[task.index] = task
            else:
                state.park(task, blocker)
            _wake_next(state, admission, task.demand, used)
        else:
            starts[task.index] = task
    return list(starts.values())


def _queue_before(state: State, task: TaskState) -> str | None:
    """The first limited thing for which a task with precedence already waits."""
    for name, _ in task.demand:
        first = state.first_parked(name)
        if first is not None and first < task.key:
            return name
    return None


def _wake_next(state: State, admission: AdmissionQuestion, demand: Demand, used: Mapping[str, float]) -> None:
    for name, _ in demand:
        first = state.first_parked(name)
        if first is not None:
            needed = tuple(part for part in state.of_key(first).demand if part[0] == name)
            if admission.blocker(needed, used) is None:
                state.wake(name)


def _queue_for_budget(
    state: State, task: TaskState, obstacle: tuple[str, e.Thing, bool] | None, set_aside: set[int]
) -> None:
    """Let a task that lacks room in a budget wait; then the first of those that wait for its other scopes has a turn.

    `set_aside` are the tasks that have had theirs: it grows.
    """
    lacks = ""
    if obstacle is not None:
        scope, thing, final = obstacle
        lacks = f"budget {scope}"
        state.park(task, lacks)
        set_aside.add(task.index)
        if final:
            state.unaffordable.append((task, scope, thing))
    for scope in state.ledger.scopes(task.id, state.vendor(task)):
        name = f"budget {scope}"
        first = state.first_parked(name) if name != lacks else None
        if first is not None and state.of_key(first).index not in set_aside:
            state.wake(name)


def _wake_stranded(state: State) -> None:
    """Look again at what waits for a budget when nothing is left whose end would make room."""
    if not state.running:
        for name in [name for name, parked in state.parked.items() if parked and name.startswith("budget ")]:
            if name.partition(" ")[2] not in state.ledger.asked:
                state.wake(name)


def _plus(used: Mapping[str, float], demand: Demand) -> dict[str, float]:
    total = dict(used)
    for name, amount in demand:
        total[name] = total.get(name, 0.0) + amount
    return total


def ending(state: State) -> str:
    """Why the run is over: ``completed``, ``failed``, ``stopped`` or ``halted``; empty while it goes on."""
    counts = state.counts
    if state.running:
        return ""
    if state.halting:
        return "halted"
    if any(counts[status] for status in _UNSETTLED):
        return "stopped" if state.stopping else ""
    return "failed" if any(counts[status] for status in _UNSUCCESSFUL) else "completed"


_UNSETTLED = tuple(status for status in TaskStatus if not status.settled)
_UNSUCCESSFUL = (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.CANCELLED)
