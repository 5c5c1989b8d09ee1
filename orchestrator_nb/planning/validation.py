"""From plain data to a plan, or to everything that keeps it from being one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from typing import Any

from pydantic import ValidationError

from orchestrator_nb.core.checks import check
from orchestrator_nb.core.faults import Fault, Path
from orchestrator_nb.core.models import Plan
from orchestrator_nb.planning.marks import MAX_PROBLEMS
from orchestrator_nb.planning.wording import faults_of

#: Tasks that are tried before the others of a large plan: a file that is wrong all over is not read to its end.
_FIRST = 2_000
#: How often wrong parts are taken out to see what else is wrong: one key may hide another's fault.
_ROUNDS = 5
_QUOTED = re.compile("'([^']*)'")
#: Keys of a task that are judged by whether others are there.
_DERIVED = frozenset(["work", "agent", "prompt", "on_failure", "fallback", "result", "join"])


def validate(
    raw: Any, topology: bool = False, agents: Collection[str] | None = None
) -> tuple[Plan | None, list[Fault]]:
    """The plan in `raw`, with the faults that `core.checks` finds; no plan where `raw` has not the form of one.

    Then the faults are those of the form, and those that the checks find in what is left without its wrong parts: a
    cycle is reported beside a misspelt key. Of more than `MAX_PROBLEMS` the first ones are told.
    """
    for part in _parts(raw):
        try:
            plan = Plan.model_validate(part)
        except ValidationError as error:
            if part is raw or error.error_count() > MAX_PROBLEMS:
                return None, list(_every_fault(raw, error, topology, agents))
    return plan, check(plan, topology, agents)


def _parts(raw: Any) -> Iterator[Any]:
    tasks = raw.get("tasks") if isinstance(raw, Mapping) else None
    if isinstance(tasks, list) and len(tasks) > _FIRST:
        yield {**raw, "tasks": tasks[:_FIRST]}
    yield raw


def _every_fault(raw: Any, error: ValidationError, topology: bool, agents: Collection[str] | None) -> Iterator[Fault]:
    rest = _copied(raw)
    wrong: set[Path] = set()
    lost: set[str] = set()
    for _ in range(_ROUNDS):
        errors = error.errors(include_url=False)
        faults = [fault for fault in faults_of(errors[:MAX_PROBLEMS], rest) if fault.path not in wrong]
        yield from faults
        if len(errors) > MAX_PROBLEMS:
            yield Fault("error", "more things are wrong: these are only the first")
            return
        wrong |= {fault.path for fault in faults}
        if wrong & {(), ("tasks",), ("params",), ("phases",)}:
            return  # too little is left
        for fault in faults:
            lost |= _take_out(rest, fault.path)
        try:
            plan = Plan.model_validate(rest)
        except ValidationError as another:
            error = another
            continue
        broken = {path[1] for path in wrong if path[0] == "tasks"}
        for fault in check(plan, topology, agents):
            if not (_follows(fault, rest, broken) or lost.intersection(_QUOTED.findall(fault.message))):
                yield fault
        return


def _follows(fault: Fault, rest: Any, broken: set[str | int]) -> bool:
    """Whether a fault may be there only because something was taken out of its task."""
    if fault.path[:1] != ("tasks",) or not broken.intersection(fault.path[1:2]):
        return False
    depends = "dependencies" not in rest["tasks"][fault.path[1]] and "dependencies" in fault.message
    return depends or (*fault.path[2:], "work")[0] in _DERIVED


def _copied(raw: Any) -> Any:
    """A copy of `raw` as deep as `_take_out` goes, with its tasks as a list."""
    if not isinstance(raw, Mapping):
        return raw
    rest = {key: copy(value) for key, value in raw.items()}
    tasks = rest.get("tasks")
    if isinstance(tasks, Mapping):
        tasks = [
            {"id": key, **(item or {})} if item is None or isinstance(item, Mapping) else item
            for key, item in tasks.items()
        ]
    if isinstance(tasks, list):
        rest["tasks"] = [copy(task) for task in tasks]
    return rest


def _take_out(rest: Any, path: Path) -> set[str]:
    """Remove what is wrong at `path`; return the ids of tasks of which others may say now what is not so."""
    section, *inside = path
    if section not in rest or not inside:
        rest.pop(section, None)
        return set()
    first, *deeper = inside
    holder = rest[section]
    if section == "tasks":
        return _take_out_of_task(holder, first, deeper)
    if section == "phases":
        name = holder[first].get("id") if isinstance(holder[first], Mapping) else None
        holder[first] = {"id": name if isinstance(name, str) else f"phase-{first}"}
    elif section == "params" and deeper:
        holder[first] = None  # a parameter of this name, about which nothing is known
    else:
        holder.pop(first, None)
    return set()


def _take_out_of_task(tasks: list[Any], position: Any, inside: list[Any]) -> set[str]:
    task = tasks[position]
    if not isinstance(task, dict):
        tasks[position] = {"id": f"unreadable-{position}"}
        return set()
    name, key = task.get("id"), inside[0] if inside else "id"
    if key == "id":
        task["id"] = f"unreadable-{position}"
    else:
        task.pop(key, None)
    return {name} if isinstance(name, str) and key in ("id", "outputs") else set()
