"""S1's "Execution Log": what happened, entry by entry, as it stands in `master_plan.md`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.reviews import votes_text
from orchestrator_nb.projections import agent_words, budgets
from orchestrator_nb.projections.text import code, gist, inline
from orchestrator_nb.projections.usage import spent
from orchestrator_nb.projections.words import approve_command, count, duration, rollback_command, some, timestamp

#: Events that the log shows: the newest. Those before them are in `events.jsonl`.
LIMIT = 5000


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is written about one event."""

    at: float
    heading: str
    #: List items, each with its newline.
    body: str
    #: Neighbours of one group stand under the first one's heading.
    group: str = ""


class ExecutionLog:
    """The last `LIMIT` events in words.

    The frequent ones are kept as they come and put into words when the log is read, so that adding one costs next to
    nothing.
    """

    def __init__(self) -> None:
        self._items: deque[Entry | e.Record] = deque(maxlen=LIMIT)
        self._total = 0
        self._numbers: Mapping[str, int] = {}
        #: When the latest run began, of those that are in words.
        self.run_started_at = 0.0

    def add(self, record: e.Record) -> None:
        """Take in one record, in the order of the log."""
        kind = type(record.event)
        if kind is e.TaskStarted or kind is e.TaskCompleted:
            self._items.append(record)
        elif kind in _WORDS and not (isinstance(record.event, e.AgentSpent) and not record.event.final):
            self._items.append(self._entry(record))
        else:
            return
        self._total += 1

    def name_agents(self, numbers: Mapping[str, int]) -> None:
        """From the next record on, the agents of tasks have these numbers."""
        self._read()
        self._numbers = numbers

    def markdown(self) -> str:
        """The entries, S1's ``### [time] ...`` each, oldest first."""
        parts: list[str] = []
        if earlier := self._total - len(self._items):
            parts.append(f"\n_{count(earlier, 'earlier event')} can be read in `events.jsonl`._\n")
        group = ""
        for entry in self._read():
            if not entry.group or entry.group != group:
                parts.append(f"\n### [{timestamp(entry.at)}] {entry.heading}\n\n")
            parts.append(entry.body)
            group = entry.group
        return "".join(parts)

    def label(self, task_id: str) -> str:
        """The name of the agent that has the task: ``Agent-02``."""
        number = self._numbers.get(task_id)
        return agent_label(number) if number else inline(task_id)

    def total_duration(self, at: float) -> str:
        """How long the run has lasted at the time `at`."""
        return f"Total duration: {duration(at - self.run_started_at)}"

    def _read(self) -> list[Entry]:
        entries = [item if type(item) is Entry else self._entry(item) for item in self._items]  # type: ignore[arg-type]
        self._items.clear()
        self._items.extend(entries)
        return entries

    def _entry(self, record: e.Record) -> Entry:
        entry: Entry = _WORDS[type(record.event)](record.event, record.at, self)
        return entry


def failure_lines(event: e.TaskFailed) -> list[str]:
    """A failure in S0's words, as Markdown: what failed, and how its commits are taken back."""
    message = inline(event.error, 500) or "no message"
    lines = [message if message.startswith("Task Timeout:") else f"Task Failed: {message}"]
    if event.commits:
        lines.append(f"To Rollback, Run: {code(rollback_command(event.commits), 2000)}")
    return lines


# -- the words, event by event: (event, time, log) -> entry ------------------------------------------------------------


def _entry(at: float, heading: str, *items: str) -> Entry:
    return Entry(at, heading, "".join([f"- {item}\n" for item in items if item]))


def _by(event: Any) -> str:
    return f"By {inline(event.by)}" if event.by else ""


def _reason(event: Any) -> str:
    return f"Reason: {inline(event.reason, 500)}" if event.reason else ""


def _plan_accepted(event: e.PlanAccepted, at: float, log: ExecutionLog) -> Entry:
    tasks = count(event.tasks, "task")
    if event.revision > 1:
        return _entry(at, "Plan Changed", f"Revision {event.revision}, {tasks}")
    return _entry(at, "Initialized", f"Created {tasks}", f"Assigned {count(event.tasks, 'agent')}")


def _plan_proposed(event: e.PlanProposed, at: float, log: ExecutionLog) -> Entry:
    warnings = (inline(warning, 500) for warning in event.warnings)
    return _entry(at, "Plan Proposed", f"{inline(event.title)}: {count(event.tasks, 'task')}", *warnings)


def _run_started(event: e.RunStarted, at: float, log: ExecutionLog) -> Entry:
    log.run_started_at = at
    return _entry(at, "Run Resumed" if event.resumed else "Run Started", f"Run {event.run}, process {event.pid}")


def _run_ended(event: e.RunEnded, at: float, log: ExecutionLog) -> Entry:
    message = inline(event.message, 500)
    if event.reason == "completed":
        return _entry(at, "All Tasks Completed", log.total_duration(at), message, "Phase Complete")
    reason = "Failed" if event.reason == "error" else event.reason.capitalize()
    return _entry(at, f"Run {reason}", log.total_duration(at), message)


def _results_merged(event: e.ResultsMerged, at: float, log: ExecutionLog) -> Entry:
    missing = f"Missing: {count(len(event.missing), 'result')}" if event.missing else ""
    return _entry(at, "Results Merged", f"Result: {code(event.document.path)}", f"Strategy: {event.strategy}", missing)


def _merge_started(event: e.MergeStarted, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, "Merge Started", f"By {inline(event.agent)}: {inline(event.label)}", f"Attempt {event.attempt}")


def _warning_raised(event: e.WarningRaised, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, "Warning", inline(event.message, 500))


def _task_started(event: e.TaskStarted, at: float, log: ExecutionLog) -> Entry:
    again = f", attempt {event.attempt}" if event.attempt > 1 else ""
    fallback = ", by its fallback" if event.fallback else ""
    item = f"- {log.label(event.task)} executing {inline(event.task)}{again}{fallback}\n"
    return Entry(at, f"Batch #{event.batch} Started", item, f"batch {event.batch}")


def _task_completed(event: e.TaskCompleted, at: float, log: ExecutionLog) -> Entry:
    origin = f"- Taken over from session {code(event.reused_from)}\n" if event.reused_from else ""
    origin += f"- Imported by {inline(event.imported)}\n" if event.imported else ""
    saved = "- Output saved\n" if has_result(event) else ""
    left = agent_words.left(event)
    work = f"- {left[:1].upper()}{left[1:]}{_hashes(event.commits)}\n" if left else ""
    body = f"{origin}- Duration: {duration(event.duration)}\n{saved}{work}"
    return Entry(at, f"{log.label(event.task)} Completed", body)


def _hashes(commits: tuple[str, ...]) -> str:
    return f": {some([code(commit[:12]) for commit in commits], 5)}" if commits else ""


def _agent_started(event: e.AgentStarted, at: float, log: ExecutionLog) -> Entry:
    return _entry(
        at,
        f"{log.label(event.task)} Runs {inline(event.agent)}",
        f"Level {event.level}, {inline(agent_words.contained(event.sandbox, event.why), 500)}" if event.sandbox else "",
        f"Open: {inline(', '.join(event.open), 500)}" if event.open else "",
        f"Granted: {inline(event.granted, 500)}" if event.granted else "",
        _by(event),
        "Goes on with its session" if event.session else "",
    )


def _agent_denied(event: e.AgentDenied, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, f"{log.label(event.task)} Was Refused", inline(agent_words.denial(event), 1200))


def _agent_spent(event: e.AgentSpent, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, f"{log.label(event.task)} Used", inline(str(spent(event))))


def has_result(event: e.TaskCompleted) -> bool:
    """Whether the task left anything: a value, a result file, outputs."""
    return event.value is not msgspec.UNSET or event.result is not None or bool(event.outputs)


def _task_failed(event: e.TaskFailed, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, f"{log.label(event.task)} Failed", *failure_lines(event), f"Duration: {duration(event.duration)}")


def _interrupted(event: e.AttemptInterrupted, at: float, log: ExecutionLog) -> Entry:
    alive = ", ".join(map(str, event.survivors)) or "unknown"
    return _entry(
        at,
        f"{log.label(event.task)} Interrupted",
        _reason(event),
        "" if event.proven_dead else f"Processes that are not proven dead: {alive}",
    )


def _retry_scheduled(event: e.TaskRetryScheduled, at: float, log: ExecutionLog) -> Entry:
    what = "Fallback" if event.fallback else "Next attempt"
    when = f"in {duration(event.delay)}" if event.delay else "at once"
    return _entry(at, f"{log.label(event.task)} Retrying", f"{what} {when}")


def _quota_reached(event: e.QuotaReached, at: float, log: ExecutionLog) -> Entry:
    return _entry(
        at,
        f"{log.label(event.task)} Waits for Quota",
        f"{inline(event.vendor)}, until {timestamp(event.resets_at)}",
        inline(event.error, 500),
        f"Duration: {duration(event.duration)}",
    )


def _quota_probed(event: e.QuotaProbed, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, f"{log.label(event.task)} Tries the Quota", inline(event.task), _by(event))


def _failure_settled(event: e.TaskFailureSettled, at: float, log: ExecutionLog) -> Entry:
    meaning = {
        "block": "What depends on it is blocked, the rest goes on",
        "skip": "Skipped, the rest goes on without it",
        "fail_fast": "Fail-fast: no task starts any more",
    }
    return _entry(at, f"{log.label(event.task)} Failure Settled", meaning[event.strategy])


def _blocked(event: e.TaskBlocked, at: float, log: ExecutionLog) -> Entry:
    item = f"- {log.label(event.task)} cannot start {inline(event.task)}\n"
    return Entry(at, f"Blocked by {inline(event.blocked_by)}", item, f"blocked {event.blocked_by}")


def _skipped(event: e.TaskSkipped, at: float, log: ExecutionLog) -> Entry:
    reason = f": {inline(event.reason)}" if event.reason else ""
    return Entry(at, "Skipped", f"- {log.label(event.task)} skips {inline(event.task)}{reason}\n", "skipped")


def _cancelled(event: e.TaskCancelled, at: float, log: ExecutionLog) -> Entry:
    return _entry(at, f"{log.label(event.task)} Cancelled", inline(event.task), _by(event), _reason(event))


def _reset(event: e.TaskReset, at: float, log: ExecutionLog) -> Entry:
    where = "From its failed cell on, in the kernel that was kept" if event.from_failed_cell else ""
    return _entry(at, f"{log.label(event.task)} Waits Anew", inline(event.task), where, _by(event))


def _review_requested(event: e.ReviewRequested, at: float, log: ExecutionLog) -> Entry:
    request = event.request
    return _entry(
        at,
        f"{log.label(event.task)} Under Review",
        f"By {some([inline(name) for name in request.reviewers])}",
        f"Because: {', '.join(request.triggers)}",
    )


def _review_voted(event: e.ReviewVoted, at: float, log: ExecutionLog) -> Entry:
    lines = [inline(line.strip().removeprefix("- "), 500) for line in votes_text([event.response]).splitlines()]
    return _entry(at, f"Vote on the Work of {log.label(event.task)}", *lines)


def _review_decided(event: e.ReviewDecided, at: float, log: ExecutionLog) -> Entry:
    decision = event.decision
    return _entry(at, f"Review of {log.label(event.task)}: {decision.ruling.capitalize()}", inline(decision.reason))


def _checkpoint_reached(event: e.CheckpointReached, at: float, log: ExecutionLog) -> Entry:
    return _entry(
        at,
        f"{log.label(event.task)} Waits for Approval",
        f"Checkpoint Reached: {inline(gist(event.question), 500)}",
        f"Answer with {code(approve_command(event.checkpoint, event.answer_schema))}",
    )


#: The events that have an entry. What is not listed is too small to be followed entry by entry.
_WORDS: dict[type[e.Event], Any] = {
    e.PlanAccepted: _plan_accepted,
    e.GoalSet: lambda event, at, log: _entry(at, "Goal Set", inline(event.title)),
    e.PlanProposed: _plan_proposed,
    e.GapsFound: lambda event, at, log: _entry(
        at, f"Gap {event.count} Found", *(inline(gap, 500) for gap in event.gaps)
    ),
    e.RunStarted: _run_started,
    e.RunPaused: lambda event, at, log: _entry(at, "Paused", _by(event)),
    e.RunUnpaused: lambda event, at, log: _entry(at, "Unpaused", _by(event)),
    e.StopRequested: lambda event, at, log: _entry(at, "Stop Requested", _by(event), _reason(event)),
    e.HaltRequested: lambda event, at, log: _entry(at, "Halt Requested", _by(event), _reason(event)),
    e.RunEnded: _run_ended,
    e.ResultsMerged: _results_merged,
    e.MergeStarted: _merge_started,
    e.WarningRaised: _warning_raised,
    e.TaskStarted: _task_started,
    e.AgentStarted: _agent_started,
    e.AgentDenied: _agent_denied,
    e.AgentSpent: _agent_spent,
    e.TaskCompleted: _task_completed,
    e.TaskFailed: _task_failed,
    e.AttemptInterrupted: _interrupted,
    e.TaskRetryScheduled: _retry_scheduled,
    e.TaskFailureSettled: _failure_settled,
    e.QuotaReached: _quota_reached,
    e.QuotaProbed: _quota_probed,
    e.QuotaRestored: lambda event, at, log: _entry(at, "Quota Restored", inline(event.vendor)),
    e.TaskBlocked: _blocked,
    e.TaskSkipped: _skipped,
    e.TaskCancelled: _cancelled,
    e.TaskReset: _reset,
    e.ReviewRequested: _review_requested,
    e.ReviewVoted: _review_voted,
    e.ReviewDecided: _review_decided,
    e.CheckpointReached: _checkpoint_reached,
    e.CheckpointApproved: lambda event, at, log: _entry(
        at, "Checkpoint Approved", inline(event.checkpoint), _by(event)
    ),
    e.BudgetChanged: lambda event, at, log: _entry(at, "Budget Changed", inline(budgets.changed(event)), _by(event)),
    e.CheckpointRejected: lambda event, at, log: _entry(
        at, "Checkpoint Rejected", inline(event.checkpoint), _by(event), _reason(event)
    ),
}
