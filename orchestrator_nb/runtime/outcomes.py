"""From what an executor gives back to the event that the log keeps."""

from __future__ import annotations

from typing import Literal, cast

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import agent_kind
from orchestrator_nb.core.ports import Assignment, Checkpoint, Execution, Failure, Success, Timeout, subject_hash
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.storage.log import encoded

EndReason = Literal["completed", "failed", "stopped", "halted", "error"]


def as_end_reason(reason: str) -> EndReason:
    """`reason` as `RunEnded` takes it."""
    return cast("EndReason", reason)


def completions(assignment: Assignment, execution: Execution) -> list[e.AnyEvent]:
    """The events that an attempt's outcome is recorded as: `completion`, and the answer to it that stands already."""
    event, outcome = completion(assignment, execution), execution.outcome
    if isinstance(outcome, Checkpoint) and outcome.answered_by and isinstance(event, e.CheckpointReached):
        by, answer = outcome.answered_by, outcome.answer
        return [event, e.CheckpointApproved(event.checkpoint, event.subject_sha256, by, answer)]
    return [event]


def completion(assignment: Assignment, execution: Execution) -> e.AnyEvent:
    """The event that an attempt's outcome is recorded as: S0's four outcomes.

    What the log could not hold (no JSON, too large) is a failure of the task.
    """
    task, attempt, outcome = assignment.task.id, assignment.attempt, execution.outcome
    if isinstance(outcome, Success):
        has_value = outcome.value is not None and execution.result is None
        completed = e.TaskCompleted(
            task,
            attempt,
            execution.duration,
            value=outcome.value if has_value else msgspec.UNSET,
            result=execution.result,
            format=execution.format,
            outputs=execution.outputs,
            exit_code=outcome.exit_code,
            commits=outcome.commits,
            work=outcome.work,
        )
        return _writable(completed) if has_value or execution.outputs or outcome.work else completed
    if isinstance(outcome, Checkpoint):
        schema = dict(outcome.answer_schema)
        shown = subject_hash(task, outcome.question, schema)
        return _writable(e.CheckpointReached(f"{task}@{attempt}", task, attempt, outcome.question, shown, schema))
    if isinstance(outcome, Timeout):
        return e.TaskFailed(task, attempt, outcome.error, "timeout", execution.duration, transient=True)
    assert isinstance(outcome, Failure)
    return e.TaskFailed(
        task,
        attempt,
        shortened(outcome.error),
        outcome.kind,
        execution.duration,
        outcome.exit_code,
        outcome.transient,
        outcome.commits,
    )


def quota_reached(assignment: Assignment, execution: Execution, resets_at: float) -> e.QuotaReached:
    """The event that a failure is recorded as which is a usage limit that is waited for."""
    outcome = execution.outcome
    assert isinstance(outcome, Failure)
    error = shortened(outcome.error)
    vendor = agent_kind(assignment.work)
    return e.QuotaReached(assignment.task.id, assignment.attempt, vendor, resets_at, error, execution.duration)


def _writable(event: e.TaskCompleted | e.CheckpointReached) -> e.AnyEvent:
    try:
        encoded(e.Record(0, 0.0, event))
    except OrchestratorError as error:
        return e.TaskFailed(event.task, event.attempt, str(error), "invalid")
    return event


def shortened(text: str) -> str:
    """`text` as an event may carry it: its beginning and its end, where it is very long."""
    return text if len(text) <= 20_000 else f"{text[:10_000]}\n[...]\n{text[-9_000:]}"
