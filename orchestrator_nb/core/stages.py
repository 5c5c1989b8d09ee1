"""The loop's own tasks (S0): what plans, asks and verifies, round by round, as tasks of the session's plan.

A session that began with a prompt holds, beside the tasks that were planned, one task for each step of S0's loop.
Their ids lie in a folder of their own, ``planning/1-plan``, ``planning/1-approve``, ``planning/1-verify``,
``planning/2-plan`` after the first gap, and so on. They are run, logged, shown and resumed as any task is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple

from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.models import Dependency, DependencyKind, Plan, Task

#: The folder of their ids: no plan may use it.
FOLDER = "planning"
#: S0: gaps that are mended; with the next one it is ``Max Retries Exceeded``.
MAX_GAPS = 2

#: The agents of the loop's own tasks have the numbers after this one: no planned plan has as many tasks.
FIRST_STAGE_AGENT = 900

StageKind = Literal["plan", "plan-again", "approve", "verify", "verify-again"]
_ID = re.compile(rf"{FOLDER}/([1-9][0-9]{{0,3}})-(plan|plan-again|approve|verify|verify-again)")


class Stage(NamedTuple):
    """One step of the loop."""

    #: 1 for the first plan, 2 for the one that closes the first gap, ...
    round: int
    kind: StageKind

    @property
    def id(self) -> str:
        """The id of its task."""
        return f"{FOLDER}/{self.round}-{self.kind}"


def stage_of(task_id: str) -> Stage | None:
    """The step that a task is; None for a task that was planned."""
    match = _ID.fullmatch(task_id) if task_id.startswith(FOLDER) else None
    return Stage(int(match[1]), match[2]) if match else None  # type: ignore[arg-type]


def last_round(plan: Plan) -> int:
    """The round that the loop is in; 0 for a plan that no loop made. S0's gap count is one less."""
    return max((stage.round for task in plan.tasks if (stage := stage_of(task.id))), default=0)


def reserved_faults(plan: Plan) -> Iterator[Fault]:
    """The tasks whose ids lie in the loop's own folder."""
    for position, task in enumerate(plan.tasks):
        if task.id.casefold().partition("/")[0] == FOLDER:
            message = f"the id '{task.id}' is the run's own"
            yield Fault("error", message, task.id, ("tasks", position, "id"), f"leave out '{FOLDER}/'")


def planned(plan: Plan) -> Plan:
    """`plan` as it was planned: without the loop's own tasks, and without what ties others to them."""
    tasks = tuple(_untied(task) for task in plan.tasks if not stage_of(task.id))
    ids = tuple(task.id for task in tasks)
    merge = plan.merge.model_copy(update={"tasks": ()}) if plan.merge.tasks == ids else plan.merge
    return plan.model_copy(update={"tasks": tasks, "merge": merge})


def stages(plan: Plan) -> tuple[Task, ...]:
    """The loop's own tasks."""
    return tuple(task for task in plan.tasks if stage_of(task.id))


def in_loop(own: tuple[Task, ...], plan: Plan, gate: str = "", new: Collection[str] = ()) -> Plan:
    """A planned plan with the loop's `own` tasks before it.

    Args:
        own: The loop's tasks so far, in order.
        plan: The tasks that were planned.
        gate: The step after which the tasks `new` begin; others begin after the first step that let tasks begin.
        new: Ids of tasks that are new or changed.
    """
    gates = [task.id for task in own if task.id.startswith(f"{FOLDER}/1-") and "verify" not in task.id]
    first = gates[-1] if gates else ""
    tied = tuple(_tied(task, gate if task.id in new else first) if not task.upstream else task for task in plan.tasks)
    merge = plan.merge if plan.merge.tasks else plan.merge.model_copy(update={"tasks": tuple(t.id for t in tied)})
    return plan.model_copy(update={"tasks": (*own, *tied), "merge": merge})


def _tied(task: Task, gate: str) -> Task:
    if not gate:
        return task
    after = Dependency(gate, DependencyKind.SEQUENTIAL)
    return task.model_copy(update={"dependencies": (after, *task.dependencies)})


def _untied(task: Task) -> Task:
    kept = tuple(dependency for dependency in task.dependencies if not stage_of(dependency.task))
    return task if len(kept) == len(task.dependencies) else task.model_copy(update={"dependencies": kept})
