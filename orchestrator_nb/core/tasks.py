"""The life of one task: its statuses, the table of its transitions, its joins, and what is known of it.

`TRANSITIONS` says it all: status x event -> status (S1 2.3, S2 "Task States"). Three moves have no event of their own,
because they follow from another's: waiting -> pending (the last dependency settled), blocked -> waiting (what blocked
it was reset), and awaiting a quota instead of pending or retrying, for as long as the vendor's limit lasts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Join


class TaskStatus(StrEnum):
    """Where a task is in its life (S1 2.3, S2 "Task States", and what people wait for)."""

    WAITING = "waiting"  #: for its dependencies
    PENDING = "pending"  #: could start
    RUNNING = "running"
    RETRYING = "retrying"  #: failed, will be tried again
    COMPLETED = "completed"
    FAILED = "failed"
    BLOCKED = "blocked"  #: something it depends on failed
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    AWAITING_APPROVAL = "awaiting_approval"
    AWAITING_QUOTA = "awaiting_quota"
    AWAITING_REVIEW = "awaiting_review"

    @property
    def settled(self) -> bool:
        """Whether the task needs nothing more in this run."""
        return self in SETTLED


#: What the fold compares with at every event: Python 3.11 takes longer to find a member on its class than to compare.
WAITING, PENDING, RUNNING, RETRYING = TaskStatus.WAITING, TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.RETRYING
COMPLETED, SKIPPED = TaskStatus.COMPLETED, TaskStatus.SKIPPED
AWAITING_APPROVAL, AWAITING_QUOTA = TaskStatus.AWAITING_APPROVAL, TaskStatus.AWAITING_QUOTA
_ALL_SUCCESS = Join.ALL_SUCCESS

_S = TaskStatus
#: An attempt of the task is going on: somebody works on it, and its limited things are in use.
WORKING = frozenset([_S.RUNNING, _S.AWAITING_REVIEW])
SETTLED = frozenset([_S.COMPLETED, _S.FAILED, _S.BLOCKED, _S.SKIPPED, _S.CANCELLED])

_BEFORE_START: dict[type[e.Event], TaskStatus] = {
    e.TaskCompleted: _S.COMPLETED,  # taken over from an earlier session
    e.TaskBlocked: _S.BLOCKED,
    e.TaskSkipped: _S.SKIPPED,
    e.TaskCancelled: _S.CANCELLED,
}
#: Its budget is used up: a person is asked before it starts.
_BEFORE_ATTEMPT: dict[type[e.Event], TaskStatus] = {e.CheckpointReached: _S.AWAITING_APPROVAL}

#: The life of a task (S1 2.3): ``TRANSITIONS[status][type of event]`` is the next status.
TRANSITIONS: dict[TaskStatus, dict[type[e.Event], TaskStatus]] = {
    _S.WAITING: {**_BEFORE_START, e.TaskReset: _S.WAITING},
    _S.PENDING: {**_BEFORE_START, **_BEFORE_ATTEMPT, e.TaskStarted: _S.RUNNING, e.TaskReset: _S.WAITING},
    _S.RUNNING: {
        e.ProcessStarted: _S.RUNNING,
        e.TaskProgressed: _S.RUNNING,
        e.AgentStarted: _S.RUNNING,
        e.AgentIdentified: _S.RUNNING,
        e.AgentDenied: _S.RUNNING,
        e.AgentSpent: _S.RUNNING,
        e.TaskCompleted: _S.COMPLETED,
        e.TaskFailed: _S.FAILED,
        e.TaskCancelled: _S.CANCELLED,
        e.AttemptInterrupted: _S.PENDING,
        e.CheckpointReached: _S.AWAITING_APPROVAL,
        e.QuotaReached: _S.AWAITING_QUOTA,
        e.ReviewRequested: _S.AWAITING_REVIEW,
    },
    _S.RETRYING: {
        **_BEFORE_ATTEMPT,
        e.TaskStarted: _S.RUNNING,
        e.TaskBlocked: _S.BLOCKED,
        e.TaskCancelled: _S.CANCELLED,
        e.TaskReset: _S.WAITING,
    },
    _S.AWAITING_APPROVAL: {
        e.TaskBlocked: _S.BLOCKED,
        e.TaskReset: _S.WAITING,
        e.CheckpointApproved: _S.PENDING,
        e.CheckpointRejected: _S.FAILED,
        e.TaskCancelled: _S.CANCELLED,
    },
    _S.AWAITING_QUOTA: {
        e.QuotaProbed: _S.PENDING,
        e.TaskBlocked: _S.BLOCKED,
        e.TaskReset: _S.WAITING,
        e.TaskCancelled: _S.CANCELLED,
    },
    _S.AWAITING_REVIEW: {
        e.ProcessStarted: _S.AWAITING_REVIEW,  # a reviewer's
        e.TaskProgressed: _S.AWAITING_REVIEW,
        e.ReviewVoted: _S.AWAITING_REVIEW,
        e.ReviewDecided: _S.RUNNING,
        e.CheckpointReached: _S.AWAITING_APPROVAL,  # one of the reviewers is a person
        e.TaskFailed: _S.FAILED,
        e.TaskCancelled: _S.CANCELLED,
        e.AttemptInterrupted: _S.PENDING,
    },
    _S.FAILED: {
        e.TaskRetryScheduled: _S.RETRYING,
        e.TaskFailureSettled: _S.FAILED,
        e.TaskReset: _S.WAITING,
    },
    _S.COMPLETED: {e.TaskReset: _S.WAITING},
    _S.BLOCKED: {e.TaskReset: _S.WAITING},
    _S.SKIPPED: {e.TaskReset: _S.WAITING},
    _S.CANCELLED: {e.TaskReset: _S.WAITING},
}


class TaskState(msgspec.Struct, gc=False):
    """What is known of one task. Read it anywhere; only `State.apply` writes it."""

    id: str
    #: Position in the plan.
    index: int
    #: Number of its agent, given once: 2 is Agent-02.
    number: int
    status: TaskStatus = TaskStatus.WAITING
    #: Attempts begun, and how many of them failed or died with the coordinator since the last reset.
    attempt: int = 0
    failures: int = 0
    interruptions: int = 0
    #: How often its attempts have met a usage limit since the last reset.
    quota_waits: int = 0
    #: Reviews that stopped it since the last reset.
    reworks: int = 0
    #: Whether the next or last attempt is the fallback's.
    fallback: bool = False
    batch: int = 0
    #: Epoch seconds, for people.
    started_at: float | None = None
    ended_at: float | None = None
    #: Seconds of the last attempt, monotonic.
    duration: float | None = None
    error: str = ""
    error_kind: str = ""
    exit_code: int | None = None
    transient: bool = False
    blocked_by: str = ""
    retry_delay: float = 0.0
    #: Result: a small JSON value (`msgspec.UNSET` if none), or a file.
    value: Any = msgspec.UNSET
    result: e.Artifact | None = None
    format: str = ""
    outputs: tuple[e.Artifact, ...] = ()
    #: Commits of its last attempt, oldest first; and what a coding agent did, once it has completed.
    commits: tuple[str, ...] = ()
    work: e.AgentWork | None = None
    #: The session whose result was taken over.
    reused_from: str = ""
    #: Who took its result in from outside, and from which file.
    imported: str = ""
    fingerprint: str = ""
    #: Progress that the attempt told; of a skipped or cancelled task the reason.
    message: str = ""
    done: int = 0
    total: int = 0
    #: Its latest process, while it runs.
    process: e.ProcessStarted | None = None
    #: Id of its open or last checkpoint.
    checkpoint: str = ""
    #: Dependencies that are not settled yet, and how many of the settled ones completed.
    unmet: int = 0
    successes: int = 0
    #: The task that failed above it, if any.
    bad_parent: str = ""
    #: When several dependencies are enough.
    join: Join = Join.ALL_SUCCESS
    #: Whether its end was already counted by its dependents.
    settled: bool = False
    #: Orders ready tasks: priority, then plan order.
    key: int = 0
    #: Limited things that it holds while it runs: (name, amount).
    demand: tuple[tuple[str, float], ...] = ()


def join_verdict(join: Join, unmet: int, successes: int, bad: bool) -> str:
    """What a task's join says: ``wait``, ``start``, ``block`` or ``skip`` (DESIGN 4 "Joins").

    `unmet` dependencies are not settled yet, `successes` completed, `bad` tells whether one failed, was blocked or
    cancelled. A skipped dependency holds nobody up, but is no success.
    """
    if join is _ALL_SUCCESS:
        return "block" if bad else "wait" if unmet else "start"
    if join is Join.ALL_DONE:
        return "wait" if unmet else "start"
    if join is Join.ONE_SUCCESS:
        if successes:
            return "start"
        return "wait" if unmet else ("block" if bad else "skip")
    if bad:
        return "block"
    if unmet:
        return "wait"
    return "start" if successes else "skip"
