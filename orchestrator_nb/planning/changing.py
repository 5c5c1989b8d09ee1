"""A plan, changed for what is missing: S0's gap loop as a difference on the graph of tasks, not as a new plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.ids import nearest
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.names import Names
from orchestrator_nb.planning.validation import validate


def as_data(plan: Plan) -> dict[str, Any]:
    """A plan as a plan file says it: only what differs from the defaults, dependencies as ids where that says all."""
    raw: dict[str, Any] = plan.model_dump(mode="json", exclude_defaults=True)
    raw["tasks"] = [_short(task) for task in raw.get("tasks", ())]
    return raw


def _short(task: dict[str, Any]) -> dict[str, Any]:
    if "dependencies" in task:
        task["dependencies"] = [each["task"] if each.keys() == {"task"} else each for each in task["dependencies"]]
    return task


#: Keys of a change.
KEYS = ("tasks", "remove")


def apply_change(
    earlier: Plan,
    change: Any,
    agents: Collection[str] | None = None,
    also: Callable[[Plan], Iterable[Fault]] = lambda _: (),
) -> tuple[Plan | None, list[Fault]]:
    """The plan that `change` makes of `earlier`, with its faults; None where the change has not even the form of one.

    Args:
        earlier: The plan so far.
        change: ``{"tasks": [...], "remove": [...]}``: a task whose id is known takes the place of that one, any other
            is put at the end, in order; `remove` are ids. Paths of faults lead into this.
        agents: Names of the agents that there are (`core.checks.check`).
        also: What else can be wrong in the new plan.
    """
    if form := _form(change):
        return None, form
    tasks: list[Any] = change.get("tasks", [])
    removed: list[str] = change.get("remove", [])
    known = Names({task.id for task in earlier.tasks})
    faults = [
        Fault("error", f"remove: no task has the id '{name}'", "", ("remove", number), known.hint(name))
        for number, name in enumerate(removed)
        if name not in known
    ]
    given = {_id(task): number for number, task in reversed(list(enumerate(tasks)))}
    if both := [name for name in removed if name in given]:
        faults.append(Fault("error", f"'{both[0]}' is changed and removed", both[0], ("remove",), "do one of them"))
    raw = as_data(earlier)
    origin: list[int | None] = []  # of each task of the new plan its position in the change
    merged: list[Any] = []
    for task in raw["tasks"]:
        if task["id"] in removed:
            continue
        position = given.get(task["id"])
        merged.append(task if position is None else tasks[position])
        origin.append(position)
    placed = {position for position in origin if position is not None}
    for position, task in enumerate(tasks):
        if position not in placed:
            merged.append(task)
            origin.append(position)
    if not tasks and not removed:
        faults.append(Fault("error", "nothing is changed", "", (), "add, change or remove a task"))
    plan, of_plan = validate({**raw, "tasks": merged}, topology=True, agents=agents)
    if plan is not None:
        of_plan += also(plan)
    return plan, [*faults, *(_into_change(fault, origin) for fault in of_plan)]


def _id(task: Any) -> Any:
    name = task.get("id") if isinstance(task, Mapping) else None
    return name if isinstance(name, str) else None


def _into_change(fault: Fault, origin: list[int | None]) -> Fault:
    """A fault of the new plan with its place in the change, where it has one there."""
    if fault.path[:1] == ("tasks",) and len(fault.path) > 1:
        position = origin[int(fault.path[1])]
        return replace(fault, path=() if position is None else ("tasks", position, *fault.path[2:]))
    return fault


def _form(change: Any) -> list[Fault]:
    if not isinstance(change, Mapping):
        return [Fault("error", "the change must be a mapping", remedy="write {tasks, remove}")]
    faults = []
    for key, value in change.items():
        if key not in KEYS:
            match = nearest(key, KEYS)
            remedy = f"did you mean '{match}'?" if match else f"known keys: {', '.join(KEYS)}"
            faults.append(Fault("error", f"unknown key '{key}'", "", (key,), remedy))
        elif not isinstance(value, list):
            faults.append(Fault("error", f"{key} must be a list", "", (key,), "write a list"))
        elif key == "remove" and not all(isinstance(name, str) for name in value):
            faults.append(Fault("error", "remove must be a list of ids", "", (key,), "write ids"))
    return faults
