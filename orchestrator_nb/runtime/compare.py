"""Two sessions side by side: what differs in status, duration and results (`orchestrate compare A B`)."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any

from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.runtime.session import Session


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task in both sessions; a side is None where the session has no such task."""

    task: str
    statuses: tuple[str | None, str | None]
    #: Seconds of the last attempt.
    durations: tuple[float | None, float | None]
    #: `same`, `different`, or empty where there is nothing to compare.
    result: str
    #: Names of outputs whose content differs or that only one side has.
    outputs: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything but the duration differs."""
        return self.statuses[0] != self.statuses[1] or self.result == "different" or bool(self.outputs)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sessions, task by task, in the first one's plan order."""

    sessions: tuple[str, str]
    statuses: tuple[str, str]
    params: dict[str, tuple[Any, Any]]
    tasks: tuple[TaskComparison, ...]


def compare(a: Session, b: Session) -> Comparison:
    """What differs between two sessions: parameters, and each task's status, duration, result and outputs."""
    ids = list(dict.fromkeys([*a.state.tasks, *b.state.tasks]))
    names = dict.fromkeys([*a.state.params, *b.state.params])
    params = {
        name: (a.state.params.get(name), b.state.params.get(name))
        for name in names
        if a.state.params.get(name) != b.state.params.get(name)
    }
    tasks = tuple(_compare(task_id, a.state.tasks.get(task_id), b.state.tasks.get(task_id)) for task_id in ids)
    return Comparison((a.id, b.id), (a.status, b.status), params, tasks)


def _compare(task_id: str, a: TaskState | None, b: TaskState | None) -> TaskComparison:
    result = ""
    if a and b and a.status is TaskStatus.COMPLETED and b.status is TaskStatus.COMPLETED:
        result = "same" if _content(a) == _content(b) else "different"
    hashes_a, hashes_b = _output_hashes(a), _output_hashes(b)
    outputs = tuple(name for name in sorted({*hashes_a, *hashes_b}) if hashes_a.get(name) != hashes_b.get(name))
    return TaskComparison(
        task_id,
        (a.status.value if a else None, b.status.value if b else None),
        (a.duration if a else None, b.duration if b else None),
        result,
        outputs,
    )


def _output_hashes(task: TaskState | None) -> dict[str, str]:
    if task is None:
        return {}
    return {output.path.removeprefix(f"outputs/{task.id}/"): output.sha256 for output in task.outputs}


def _content(task: TaskState) -> Any:
    return task.result.sha256 if task.result is not None else task.value


def result_difference(a: Session, b: Session, task_id: str) -> list[str]:
    """The results of one task in two sessions as a unified diff; empty if they are equal or one is missing."""
    try:
        left, right = (_text(session.result_of(task_id)).splitlines() for session in (a, b))
    except OrchestratorError:
        return []
    return list(difflib.unified_diff(left, right, a.id, b.id, lineterm=""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
