"""What is different between two revisions of a plan: shown when a changed plan is refused on resume (A11)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from orchestrator_nb.core.faults import printable
from orchestrator_nb.core.models import Dependency, DependencyKind, Plan, Task
from orchestrator_nb.core.values import as_text

#: A key with its old and its new value.
Change = tuple[str, Any, Any]

#: Characters of a value that are shown.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """The differences between two plans; false when there are none."""

    #: Ids of tasks.
    added: tuple[str, ...]
    removed: tuple[str, ...]
    #: By task: its keys that differ.
    changed: dict[str, tuple[Change, ...]]
    #: What differs beside the tasks: keys of the plan, and ``order``, the ids in the order of the tasks.
    plan: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.plan)

    def __str__(self) -> str:
        """One line a difference: ``+ task``, ``- task``, ``~ task.key: old -> new``."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The lines of the text form."""
        for key, old, new in self.plan:
            if key == "order":
                yield "~ order of the tasks"
            else:
                yield f"~ {key}: {_shown(old)} -> {_shown(new)}"
        yield from (f"- {task}" for task in self.removed)
        yield from (f"+ {task}" for task in self.added)
        for task, changes in self.changed.items():
            yield from (f"~ {task}.{key}: {_shown(old)} -> {_shown(new)}" for key, old, new in changes)


def differences(old: Plan, new: Plan) -> PlanDiff:
    """What must be done to `old` to get `new`. A task with another id is another task."""
    before = {task.id: task for task in old.tasks}
    after = {task.id: task for task in new.tasks}
    kept = [task_id for task_id in before if task_id in after]
    plan = [change for change in _changes(old, new) if change[0] != "tasks"]
    if kept != [task_id for task_id in after if task_id in before]:
        plan.append(("order", tuple(before), tuple(after)))
    return PlanDiff(
        added=tuple(task_id for task_id in after if task_id not in before),
        removed=tuple(task_id for task_id in before if task_id not in after),
        changed={task_id: changes for task_id in kept if (changes := _task_changes(before[task_id], after[task_id]))},
        plan=tuple(plan),
    )


def _task_changes(old: Task, new: Task) -> tuple[Change, ...]:
    if old == new and not (old.parameters or old.fallback):
        return ()
    return tuple(_changes(old, new))


def _changes(old: BaseModel, new: BaseModel) -> Iterator[Change]:
    for key in type(old).model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before != after or (key in ("parameters", "fallback") and _as_json(before) != _as_json(after)):
            yield key, before, after


def _as_json(value: Any) -> str:
    """What tells 1 from true and from 1.0, which are equal in Python."""
    return json.dumps(_plain(value), sort_keys=True)


def _shown(value: Any) -> str:
    text = printable(as_text(_plain(value)))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _plain(value: Any) -> Any:
    """`value` as a plan file would have it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Dependency):
        return value.task if value.kind is DependencyKind.DATA else {"task": value.task, "kind": value.kind}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return "nothing" if value is None else value
