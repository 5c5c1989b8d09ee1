"""A run told in plain lines, one an event, for pipes and logs: ``[12:00:01] T-02 completed in 1.2s``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.reviews import votes_text
from orchestrator_nb.core.state import State
from orchestrator_nb.projections import agent_words, budgets
from orchestrator_nb.projections.quotas import left, moment, quota
from orchestrator_nb.projections.text import gist, one_line
from orchestrator_nb.projections.words import approve_command, count, duration, rollback_command, some


class Lines:
    """Turns records into lines. Times are shown in `zone`."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone

    def of(self, record: e.Record, state: State) -> list[str]:
        """What `record` says, mostly one line; `state` has taken it in, and may be further."""
        event = record.event
        if isinstance(event, e.QuotaReached):
            told: str | list[str] = _quota_reached(event, record.at, self._zone)
        elif (words := _WORDS.get(type(event))) is not None:
            told = words(event, state)
        else:
            return []
        clock = datetime.fromtimestamp(record.at, self._zone).strftime("%H:%M:%S")
        return [f"[{clock}] {line}" for line in ([told] if isinstance(told, str) else told)]


def title_of(state: State, task_id: str) -> str:
    """A task's title, safe in a terminal; its id if the plan does not have it any more."""
    task = state.tasks.get(task_id)
    return one_line(state.plan.tasks[task.index].label) if task is not None and state.plan is not None else task_id


def executing(event: e.TaskStarted, state: State) -> str:
    """S0's line at the start of a task."""
    return f"Executing {title_of(state, event.task)}"


def failure(event: e.TaskFailed) -> list[str]:
    """S0's lines at the failure of a task: what failed, and how its commits are taken back."""
    message = one_line(event.error, 500) or "no message"
    lines = [message if message.startswith("Task Timeout:") else f"Task Failed: {message}"]
    if event.commits:
        lines.append(f"To Rollback, Run: {one_line(rollback_command(event.commits), 2000)}")
    return lines


def _because(reason: str) -> str:
    return f": {one_line(reason, 500)}" if reason else ""


def _by(who: str) -> str:
    return f" by {one_line(who)}" if who else ""


def _plan_accepted(event: e.PlanAccepted, state: State) -> str | list[str]:
    if state.goal is None:
        return f"{one_line(event.title)}: {count(event.tasks, 'task')}"
    return f"Plan {event.round} is carried out: {one_line(event.title)}" if event.round else []


def _task_started(event: e.TaskStarted, state: State) -> str:
    again = f", attempt {event.attempt}" if event.attempt > 1 else ""
    return f"{event.task} started{again}: {executing(event, state)}"


def _task_progressed(event: e.TaskProgressed, state: State) -> str:
    steps = f"{event.done}/{event.total}" if event.total else ""
    return " ".join(part for part in (event.task, steps, one_line(event.message)) if part)


def _agent_told(event: Any, state: State) -> list[str]:
    words = agent_words.of(event)
    return [f"{event.task} {words}"] if words else []


def _task_completed(event: e.TaskCompleted, state: State) -> str:
    if event.reused_from:
        return f"{event.task} taken over from session {event.reused_from}"
    if event.imported:
        return f"{event.task} completed: imported by {one_line(event.imported)}"
    left = agent_words.left(event)
    return f"{event.task} completed in {duration(event.duration)}{f': {left}' if left else ''}"


def _task_failed(event: e.TaskFailed, state: State) -> list[str]:
    first, *rest = failure(event)
    return [f"{event.task} failed after {duration(event.duration)}: {first}", *rest]


def _retry_scheduled(event: e.TaskRetryScheduled, state: State) -> str:
    when = f"in {duration(event.delay)}" if event.delay else "at once"
    return f"{event.task} is tried again {when}{' with its fallback' if event.fallback else ''}"


def _interrupted(event: e.AttemptInterrupted, state: State) -> str:
    left = "" if event.proven_dead else " (its processes are not proven dead)"
    return f"{event.task} interrupted{_because(event.reason)}{left}"


def _quota_reached(event: e.QuotaReached, at: float, zone: tzinfo) -> str:
    when = f"until {moment(event.resets_at, zone, today=at)} (in {left(event.resets_at - at)})"
    return f"{event.task} waits for {quota(event.vendor)} {when}{_because(event.error)}"


def _run_ended(event: e.RunEnded, state: State) -> str:
    words = "failed" if event.reason == "error" else event.reason
    if event.reason == "completed":
        return "All tasks completed. Phase Complete"
    return f"Run {words}{_because(event.message)}"


_Words = Callable[[Any, State], str | list[str]]
_WORDS: dict[type[e.Event], _Words] = {
    e.PlanAccepted: _plan_accepted,
    e.GoalSet: lambda event, state: f"Goal: {one_line(event.title)}",
    e.PlanProposed: lambda event, state: f"Plan proposed: {one_line(event.title)}: {count(event.tasks, 'task')}",
    e.GapsFound: lambda event, state: [f"Gap {event.count}: {one_line(gap, 500)}" for gap in event.gaps],
    e.RunStarted: lambda event, state: f"Run {event.run} {'resumed' if event.resumed else 'started'}",
    e.RunPaused: lambda event, state: f"Paused{_by(event.by)}",
    e.RunUnpaused: lambda event, state: f"Unpaused{_by(event.by)}",
    e.StopRequested: lambda event, state: f"Stop requested{_by(event.by)}{_because(event.reason)}",
    e.HaltRequested: lambda event, state: f"Halt requested{_by(event.by)}{_because(event.reason)}",
    e.RunEnded: _run_ended,
    e.ResultsMerged: lambda event, state: f"Results merged: {event.document.path}",
    e.SideWorkTold: lambda event, state: _agent_told(event.told, state),
    e.MergeStarted: lambda event, state: f"Merging, by {one_line(event.agent)}: {one_line(event.label)}",
    e.MergeProgressed: lambda event, state: f"Merging: {one_line(event.message, 500)}",
    e.WarningRaised: lambda event, state: f"Warning: {one_line(event.message, 500)}",
    e.TaskStarted: _task_started,
    e.TaskProgressed: _task_progressed,
    e.AgentStarted: _agent_told,
    e.AgentDenied: _agent_told,
    e.AgentSpent: _agent_told,
    e.TaskCompleted: _task_completed,
    e.TaskFailed: _task_failed,
    e.AttemptInterrupted: _interrupted,
    e.TaskRetryScheduled: _retry_scheduled,
    e.QuotaProbed: lambda event, state: f"{event.task} is to find out whether the quota is back{_by(event.by)}",
    e.QuotaRestored: lambda event, state: f"{quota(event.vendor)} is back",
    e.TaskBlocked: lambda event, state: f"{event.task} blocked by {event.blocked_by}",
    e.TaskSkipped: lambda event, state: f"{event.task} skipped{_because(event.reason)}",
    e.TaskCancelled: lambda event, state: f"{event.task} cancelled{_by(event.by)}{_because(event.reason)}",
    e.TaskReset: lambda event, state: (
        f"{event.task} waits anew{', from its failed cell on' if event.from_failed_cell else ''}{_by(event.by)}"
    ),
    e.ReviewRequested: lambda event, state: (
        f"{event.task} is reviewed by {some(list(event.request.reviewers))} ({', '.join(event.request.triggers)})"
    ),
    e.ReviewVoted: lambda event, state: [
        f"{event.task} {one_line(line, 500)}" for line in votes_text([event.response]).splitlines()
    ],
    e.ReviewDecided: lambda event, state: (
        f"{event.task} review: {event.decision.ruling} - {one_line(event.decision.reason)}"
    ),
    e.CheckpointReached: lambda event, state: [
        f"{event.task} Checkpoint Reached: {one_line(gist(event.question), 500)}",
        f"{event.task} answer with: {approve_command(event.checkpoint, event.answer_schema)}",
    ],
    e.CheckpointApproved: lambda event, state: f"{event.checkpoint} approved{_by(event.by)}",
    e.BudgetChanged: lambda event, state: f"{budgets.changed(event)}{_by(event.by)}",
    e.CheckpointRejected: lambda event, state: f"{event.checkpoint} rejected{_by(event.by)}{_because(event.reason)}",
}
