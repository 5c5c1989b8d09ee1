"""What happened, in the past tense: the only things that are ever written to a session's log.

An event is a frozen value with a `type` tag. It has no hidden inputs: sequence number and time are stamped by the
log, which wraps it in a `Record`. Bulk is named (`Artifact`: path, size, sha256), never carried. Applying an event
(`core.state`) consults no policy: what a policy ruled is an event itself (`TaskRetryScheduled`, `TaskBlocked`, ...).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from orchestrator_nb.core.agent_events import (
    MOST_CHANGES,
    AgentDenied,
    AgentIdentified,
    AgentSpent,
    AgentStarted,
    AgentWork,
    Changed,
)
from orchestrator_nb.core.budget_events import BudgetChanged, BudgetWarned, Reserved, Thing
from orchestrator_nb.core.event import Artifact, Event
from orchestrator_nb.core.side_events import (
    MergeProgressed,
    MergeStarted,
    ReviewDecided,
    ReviewRequested,
    ReviewVoted,
    SideWorkTold,
)

__all__ = [
    "FORMAT", "MOST_CHANGES", "AgentDenied", "AgentIdentified", "AgentSpent", "AgentStarted", "AgentWork", "AnyEvent",
    "Artifact", "AttemptEvent", "AttemptInterrupted", "BudgetChanged", "BudgetWarned", "Changed",
    "CheckpointApproved", "CheckpointReached", "CheckpointRejected", "Event", "HaltRequested", "MergeProgressed",
    "MergeStarted", "PlanAccepted", "ProcessStarted", "Record", "Reserved", "ResultsMerged", "ReviewDecided",
    "ReviewRequested", "ReviewVoted", "RunEnded", "RunPaused", "RunStarted", "RunUnpaused", "SessionCreated",
    "SideWorkTold", "StopRequested", "TaskBlocked", "TaskCancelled", "TaskCompleted", "TaskFailed",
    "TaskFailureSettled", "TaskProgressed", "TaskReset", "TaskRetryScheduled", "TaskSkipped", "TaskStarted", "Thing",
    "WarningRaised",
]  # fmt: skip


# -- the session and its runs ------------------------------------------------------------------------------------------


class SessionCreated(Event, frozen=True, tag="session_created"):
    """A session was opened for the first time."""

    session: str
    #: Version of orchestrator_nb that wrote it, and of the log's format.
    version: str
    format: int
    #: Lineage: the session that this one was forked from, and the task from which on it runs anew.
    parent: str = ""
    fork_task: str = ""


class PlanAccepted(Event, frozen=True, tag="plan_accepted"):
    """A plan (a new revision of it) is in force. Tasks without an agent number get the next ones, in plan order."""

    revision: int
    #: The plan as canonical JSON, in `blobs/`.
    plan: Artifact
    title: str
    tasks: int
    #: The values of its parameters, complete.
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    #: Where relative paths of the plan begin, and where commands run: absolute.
    base: str = ""
    cwd: str = ""
    source: str = ""
    #: The round of the loop whose planned tasks begin with it (`core.stages`); 0: none.
    round: int = 0
    #: Tasks that have ended and wait anew with it: those that were changed, and what depends on them.
    again: tuple[str, ...] = ()


class GoalSet(Event, frozen=True, tag="goal_set"):
    """The session is to reach what a prompt asks for: its plans are made, approved and verified (`planning.goal`)."""

    #: The request, who plans, who verifies, what plans may use: JSON, in `blobs/`.
    goal: Artifact
    #: The request in one line.
    title: str
    #: By S0's router: one task after the other, ending at the first that fails or asks.
    sequential: bool = False


class PlanProposed(Event, frozen=True, tag="plan_proposed"):
    """A planner's answer was read and is a plan; nothing of it begins before a `PlanAccepted` of its round."""

    #: The task that answered, and the round of the loop.
    task: str
    round: int
    #: The breakdown (plan, goal, assumptions, ...) as JSON, in `blobs/`.
    breakdown: Artifact
    title: str
    tasks: int
    warnings: tuple[str, ...] = ()


class GapsFound(Event, frozen=True, tag="gaps_found"):
    """A verifier found that something is missing (S0 2.3)."""

    #: The task that verified, and S0's gap count with this one.
    task: str
    count: int
    #: What is missing, with the evidence.
    gaps: tuple[str, ...]


class RunStarted(Event, frozen=True, tag="run_started"):
    """A process began to run the session: the first time, or again (`resumed`)."""

    run: int
    pid: int
    host: str
    resumed: bool = False
    #: Settings in force: max_parallel, durability, how memory is limited, ...
    settings: dict[str, Any] = msgspec.field(default_factory=dict)


class RunPaused(Event, frozen=True, tag="run_paused"):
    """No new task starts until `RunUnpaused`; running ones go on."""

    by: str = ""


class RunUnpaused(Event, frozen=True, tag="run_unpaused"):
    """Tasks start again."""

    by: str = ""


class StopRequested(Event, frozen=True, tag="stop_requested"):
    """No new task starts; the run ends when the running ones have."""

    by: str = ""
    reason: str = ""


class HaltRequested(Event, frozen=True, tag="halt_requested"):
    """Emergency: no new task starts, running trees get TERM, then KILL."""

    by: str = ""
    reason: str = ""


class RunEnded(Event, frozen=True, tag="run_ended"):
    """The process stopped running the session in order."""

    run: int
    reason: Literal["completed", "failed", "stopped", "halted", "error"]
    message: str = ""


class ResultsMerged(Event, frozen=True, tag="results_merged"):
    """`final_output.md` was written."""

    strategy: str
    document: Artifact
    missing: tuple[str, ...] = ()


class WarningRaised(Event, frozen=True, tag="warning_raised"):
    """Something that people should know and that stops nothing."""

    message: str
    task: str = ""


# -- one task ----------------------------------------------------------------------------------------------------------


class TaskStarted(Event, frozen=True, tag="task_started"):
    """An attempt begins: written before anything of it does."""

    task: str
    attempt: int
    #: Number of the launch: tasks launched together share it ("Batch #n" of S1 3.2 is a label, not a barrier).
    batch: int = 0
    #: Hash of all that affects what the attempt does (DESIGN 4 "Task identity").
    fingerprint: str = ""
    fallback: bool = False
    #: What is kept free for it of the budgets that it belongs to.
    reserved: Reserved | None = None


class ProcessStarted(Event, frozen=True, tag="process_started"):
    """A process of an attempt is alive: with its start time, so that a reused pid is never mistaken for it."""

    task: str
    attempt: int
    pid: int
    #: Clock ticks since boot, field 22 of /proc/PID/stat.
    start_time: int
    boot_id: str = ""
    #: How its tree is held: `reaper` or `cgroup`.
    containment: str = ""


class TaskProgressed(Event, frozen=True, tag="task_progressed"):
    """A running task told how far it is."""

    task: str
    attempt: int
    message: str = ""
    #: Steps done and in all, where they are known (a notebook's cells).
    done: int = 0
    total: int = 0
    #: The attempt's log tells it as well, and more of it.
    logged: bool = False


class TaskCompleted(Event, frozen=True, tag="task_completed"):
    """An attempt succeeded, its checks passed, its outputs are promoted."""

    task: str
    attempt: int
    #: Seconds, by a monotonic clock.
    duration: float = 0.0
    #: The result, where it is small: JSON. Else `result` names it. Neither: the task has no result.
    value: Any = msgspec.UNSET
    result: Artifact | None = None
    #: How `result` is to be read: text, json or report (`core.models.Result`).
    format: str = ""
    outputs: tuple[Artifact, ...] = ()
    exit_code: int | None = None
    #: Commits of the attempt, oldest first.
    commits: tuple[str, ...] = ()
    #: Of a coding agent.
    work: AgentWork | None = None
    #: Session whose result was taken over, by an equal fingerprint, instead of running the task (fork).
    reused_from: str = ""
    fingerprint: str = ""
    #: Who took the result in, and from which file, where it was made outside: ``somebody@host from /path``.
    imported: str = ""


class TaskFailed(Event, frozen=True, tag="task_failed"):
    """An attempt failed. What follows from it is a ruling: one of the four events below."""

    task: str
    attempt: int
    error: str
    #: exit_code, exception, timeout, missing_outputs, check, preflight, memory, signal, supervisor_lost, rejected, ...
    kind: str = "exception"
    duration: float = 0.0
    exit_code: int | None = None
    #: The agent calls it temporary.
    transient: bool = False
    #: Commits made before it failed, oldest first: S0's rollback line names them newest first.
    commits: tuple[str, ...] = ()


class AttemptInterrupted(Event, frozen=True, tag="attempt_interrupted"):
    """An attempt ended with no verdict on the task (crash, halt): it will run again, and no retry is used up."""

    task: str
    attempt: int
    reason: str
    #: The coordinator died while it ran: after some of these the task is held to be the cause.
    crashed: bool = False
    #: Whether every process of it is proven dead; if not, who is left.
    proven_dead: bool = True
    survivors: tuple[int, ...] = ()


class TaskRetryScheduled(Event, frozen=True, tag="task_retry_scheduled"):
    """Ruling: the task is tried again after `delay` seconds."""

    task: str
    delay: float
    fallback: bool = False


class TaskFailureSettled(Event, frozen=True, tag="task_failure_settled"):
    """Ruling: the failure is final; `strategy` says what it means for the rest."""

    task: str
    strategy: Literal["block", "skip", "fail_fast"]


class TaskBlocked(Event, frozen=True, tag="task_blocked"):
    """Ruling: the task cannot start because of `blocked_by` (the task that failed, not a blocked one between)."""

    task: str
    blocked_by: str


class TaskSkipped(Event, frozen=True, tag="task_skipped"):
    """Ruling: the task is not needed."""

    task: str
    reason: str = ""


class TaskCancelled(Event, frozen=True, tag="task_cancelled"):
    """A person cancelled the task."""

    task: str
    by: str = ""
    reason: str = ""


class QuotaReached(Event, frozen=True, tag="quota_reached"):
    """An attempt met its vendor's usage limit, and the ruling is to wait: until `QuotaRestored` no task of the vendor
    starts. The attempt counts neither as a failure nor as one of the task's retries.
    """

    task: str
    attempt: int
    #: The kind of agent whose account is used up (`claude`, ...): all its tasks share the account.
    vendor: str
    #: When the limit ends, as the vendor says: seconds since the epoch.
    resets_at: float
    #: The vendor's words.
    error: str = ""
    duration: float = 0.0


class QuotaProbed(Event, frozen=True, tag="quota_probed"):
    """Ruling, or (`by`) a person's word: one of the tasks that wait for a quota may start, to see if it is back."""

    task: str
    by: str = ""


class QuotaRestored(Event, frozen=True, tag="quota_restored"):
    """Ruling: the vendor's limit is over, what waited for it may start."""

    vendor: str


class TaskReset(Event, frozen=True, tag="task_reset"):
    """A person asked for the task again: it and what was blocked by it wait anew."""

    task: str
    by: str = ""
    #: In the kernel of its last attempt, which was kept.
    from_failed_cell: bool = False


# -- checkpoints -------------------------------------------------------------------------------------------------------


class CheckpointReached(Event, frozen=True, tag="checkpoint_reached"):
    """A person must decide. The answer is bound to `subject_sha256`, the hash of exactly what is shown."""

    checkpoint: str
    task: str
    attempt: int
    question: str
    subject_sha256: str
    #: JSON Schema of the answer, if it must have a form.
    answer_schema: dict[str, Any] = msgspec.field(default_factory=dict)
    #: The scope of a budget that is used up, before an attempt: whether it may start, and what of.
    budget: str = ""
    thing: Thing | Literal[""] = ""


class CheckpointApproved(Event, frozen=True, tag="checkpoint_approved"):
    """A person agreed, with an answer where one was asked for."""

    checkpoint: str
    subject_sha256: str
    by: str = ""
    answer: Any = None


class CheckpointRejected(Event, frozen=True, tag="checkpoint_rejected"):
    """A person refused, with a reason."""

    checkpoint: str
    subject_sha256: str
    reason: str
    by: str = ""


AnyEvent = (
    SessionCreated
    | PlanAccepted
    | GoalSet
    | PlanProposed
    | GapsFound
    | RunStarted
    | RunPaused
    | RunUnpaused
    | StopRequested
    | HaltRequested
    | RunEnded
    | ResultsMerged
    | MergeStarted
    | MergeProgressed
    | SideWorkTold
    | WarningRaised
    | TaskStarted
    | ProcessStarted
    | TaskProgressed
    | AgentStarted
    | AgentIdentified
    | AgentDenied
    | AgentSpent
    | TaskCompleted
    | TaskFailed
    | AttemptInterrupted
    | TaskRetryScheduled
    | TaskFailureSettled
    | TaskBlocked
    | TaskSkipped
    | TaskCancelled
    | QuotaReached
    | QuotaProbed
    | QuotaRestored
    | TaskReset
    | ReviewRequested
    | ReviewVoted
    | ReviewDecided
    | CheckpointReached
    | CheckpointApproved
    | CheckpointRejected
    | BudgetChanged
    | BudgetWarned
)


#: What an attempt tells while it runs.
AttemptEvent = ProcessStarted | TaskProgressed | AgentStarted | AgentIdentified | AgentDenied | AgentSpent


class Record(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in the log."""

    #: 1, 2, 3, ... without a gap.
    seq: int
    #: Seconds since the epoch, UTC, by the wall clock: for people; order is `seq`.
    at: float
    event: AnyEvent


#: Version of the log's format: raised when an older release could not read a newer log.
FORMAT = 1
