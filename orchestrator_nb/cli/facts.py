"""Sessions and tasks as plain values: what ``--json`` prints, and what the tables are made of."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections.budgets import facts as budget_facts
from orchestrator_nb.projections.progress import progress
from orchestrator_nb.projections.usage import attempts_facts, of_run, used
from orchestrator_nb.projections.words import duration, iso
from orchestrator_nb.storage.workspace import SessionDir

if TYPE_CHECKING:
    from orchestrator_nb.core.models import Plan
    from orchestrator_nb.core.state import CheckpointState, State
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.runtime.session import Session


def session_facts(session: Session) -> dict[str, Any]:
    """A session at a glance."""
    state = session.state
    holder = session.holder()
    far = progress(state, time.time() if holder else state.at)
    return {
        "session": session.id,
        "path": str(session.path),
        "title": state.plan.title if state.plan else "",
        "status": session.status,
        "created_at": moment(state.created_at),
        "updated_at": moment(state.at),
        "elapsed": far.elapsed,
        "progress": {"settled": far.settled, "total": far.total, "fraction": far.fraction, "seconds_left": far.eta},
        "phases": [{**asdict(phase), "percent": phase.percent} for phase in far.phases],
        "tasks": len(state.by_index),
        "counts": counts(state),
        "run": state.run.run if state.run else 0,
        "pid": holder.pid if holder else None,
        "parent": state.parent or None,
        "fork_task": state.fork_task or None,
        "plan": state.accepted.source if state.accepted else "",
        "params": state.params,
        "result": str(session.path / state.merged.document.path) if state.merged else None,
        "checkpoints": [checkpoint_facts(checkpoint) for checkpoint in state.open_checkpoints],
        "usage": of_run(state).facts() if state.agent_attempts else None,
        "budget": budget_facts(state, time.time() if holder else state.at),
        "quotas": [
            {"vendor": waited.vendor, "resets_at": moment(waited.resets_at), "task": waited.task, "probe": waited.probe}
            for waited in state.quotas.values()
        ],
        "warnings": [warning.message for warning in state.warnings],
        "message": state.ended.message if state.ended else "",
    }


def checkpoint_facts(checkpoint: CheckpointState) -> dict[str, Any]:
    """A question that waits for a person."""
    return {
        "id": checkpoint.id,
        "task": checkpoint.task,
        "question": checkpoint.question,
        "answer_schema": checkpoint.answer_schema,
        "subject_sha256": checkpoint.subject_sha256,
        "asked_at": moment(checkpoint.asked_at),
    }


def task_facts(plan: Plan, task: TaskState) -> dict[str, Any]:
    """A task at a glance."""
    spec = plan.tasks[task.index]
    return {
        "task": task.id,
        "title": spec.label,
        "agent": task.number,
        "kind": spec.kind,
        "phase": spec.phase,
        "status": task.status.value,
        "attempt": task.attempt,
        "started_at": moment(task.started_at),
        "ended_at": moment(task.ended_at),
        "duration": task.duration,
        "progress": {"done": task.done, "total": task.total, "message": task.message},
        "error": task.error or None,
        "error_kind": task.error_kind or None,
        "exit_code": task.exit_code,
        "blocked_by": task.blocked_by or None,
        "reused_from": task.reused_from or None,
        "imported": task.imported or None,
        "dependencies": list(spec.upstream),
    }


def agent_facts(state: State, task: TaskState) -> dict[str, Any]:
    """What is known of a task's coding agent; nothing for a task of another kind."""
    attempts = state.agent_attempts.get(task.id)
    work = task.work
    facts: dict[str, Any] = {"commits": list(task.commits)} if task.commits else {}
    if work is not None:
        facts["changes"] = [{"path": change.path, "kind": change.kind} for change in work.changes]
    if attempts:
        facts |= {"usage": used(attempts).facts(), "agent_attempts": attempts_facts(attempts)}
    return facts


def result_facts(session: Session, task: TaskState) -> dict[str, Any]:
    """What a task left behind."""
    path = session.path
    log = log_path(path, task)
    return {
        "value": None if task.value is msgspec.UNSET else task.value,
        "result": str(path / task.result.path) if task.result else None,
        "format": task.format or None,
        "outputs": [
            {"path": str(path / output.path), "size": output.size, "sha256": output.sha256} for output in task.outputs
        ],
        "log": str(log) if log.is_file() else None,
        "review": review_facts(session.state, task),
    }


def review_facts(state: State, task: TaskState) -> dict[str, Any] | None:
    """The last review of a task's work: who said what, and what followed; None if it had none."""
    review = state.reviews.get(task.id)
    if review is None:
        return None
    return {
        "reviewers": list(review.request.reviewers),
        "triggers": list(review.request.triggers),
        "votes": msgspec.to_builtins(review.votes),
        "decision": msgspec.to_builtins(review.decision),
    }


def log_path(session: Path, task: TaskState) -> Path:
    """Where that is which the last attempt of a task printed, if it printed."""
    return session / SessionDir(session).attempt(task.id, task.attempt) / "log"


def counts(state: State) -> dict[str, int]:
    """Number of tasks by status, without the zeros."""
    return {status.value: number for status, number in state.counts.items() if number}


def elapsed(state: State, now: float | None) -> float:
    """Seconds since the last run began, until it ended, until `now`, or until the last record."""
    if state.run is None:
        return 0.0
    end = state.ended_at if state.ended is not None else state.at if now is None else now
    return max(0.0, end - state.run_started_at)


def took(task: TaskState) -> str:
    """How long the last attempt of a task took, or has taken by now, in words; empty where it says nothing."""
    if task.status is TaskStatus.RUNNING and task.started_at is not None:
        return duration(max(0.0, time.time() - task.started_at))
    return duration(task.duration) if task.duration is not None and task.status.settled else ""


def moment(at: float | None) -> str | None:
    """A time as ISO 8601 in UTC, or None where there is none."""
    return iso(at) if at else None
