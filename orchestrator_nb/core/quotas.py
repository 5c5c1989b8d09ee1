"""Usage limits of vendors that are waited for: when one of the waiting tasks may try, when all may go on.

At the end of a limit one task goes first. If it does not meet the limit again, the others follow.
"""

from __future__ import annotations

from typing import Protocol

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import QuotaState, State
from orchestrator_nb.core.tasks import AWAITING_QUOTA, PENDING, RUNNING, TaskState, TaskStatus


class QuotaQuestion(Protocol):
    """Answered by `policies.quota`. Times are seconds since the epoch."""

    def waits(self, task: TaskState, resets_at: float, now: float) -> bool:
        """Whether a task that met a limit waits for its end, rather than to have failed."""

    def first_try(self, end: float) -> float:
        """When the first task tries after a limit that ends at `end`."""

    def all_try(self, started_at: float) -> float:
        """When the others follow the one that started at `started_at` and still works."""


def due(state: State, quota: QuotaQuestion, now: float) -> list[e.AnyEvent]:
    """The rulings on limits that are due at `now`, in seconds since the epoch."""
    if _ends(state):
        return []
    rulings = (_ruling(state, waited, quota, now) for waited in state.quotas.values())
    return [ruling for ruling in rulings if ruling is not None]


def next_look(state: State, quota: QuotaQuestion) -> float | None:
    """When time alone may make a ruling due, in seconds since the epoch; None if it never does."""
    if _ends(state):
        return None
    moments = (_moment(state, waited, quota) for waited in state.quotas.values())
    return min((moment for moment in moments if moment is not None), default=None)


def _ends(state: State) -> bool:
    """Whether nothing starts any more in this run."""
    return bool(state.stopping or state.halting or state.failed_fast)


def _ruling(state: State, waited: QuotaState, quota: QuotaQuestion, now: float) -> e.AnyEvent | None:
    probe = state.tasks.get(waited.probe)
    if probe is not None and probe.status in _ANSWERED:
        return e.QuotaRestored(waited.vendor)
    moment = _moment(state, waited, quota)
    if moment is None or now < moment:
        return None
    if probe is not None and probe.status is RUNNING:
        return e.QuotaRestored(waited.vendor)
    waiting = [task for task in state.by_index if task.status is AWAITING_QUOTA and state.quota_of(task) is waited]
    if len(waiting) > 1:
        return e.QuotaProbed(min(waiting, key=lambda task: task.key).id)
    return e.QuotaRestored(waited.vendor)


#: Ends of an attempt that show that the vendor serves again; it would have told of its limit else.
_ANSWERED = frozenset([TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.AWAITING_APPROVAL])


def _moment(state: State, waited: QuotaState, quota: QuotaQuestion) -> float | None:
    probe = state.tasks.get(waited.probe)
    if probe is not None and probe.status is PENDING:
        return None  # there is no room for it yet
    if probe is not None and probe.status is RUNNING and probe.started_at is not None:
        return quota.all_try(probe.started_at)
    return quota.first_try(max(waited.resets_at, waited.met_at))
