"""``%%task``: a cell becomes a task of a plan that is being built."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.faults import refuse
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import PlanError
from orchestrator_nb.jupyter.magics_code import names_in, run_code, variable
from orchestrator_nb.planning.builder import PlanBuilder

_SHELL_NAME = re.compile(r"\$\{?([A-Za-z_]\w*)")


def put_task(builder: PlanBuilder, task_id: str, cell: str, lang: str, agent: str, options: Mapping[str, Any]) -> None:
    """Make `cell` the task `task_id` of `builder`, in the place of an earlier one of this id.

    Args:
        builder: The plan.
        task_id: The task's id.
        cell: Its code, its commands, or what is asked.
        lang: What `cell` is written in: one of `LANGUAGES`.
        agent: Who gets a prompt.
        options: Further keys of the task (`planning.handles.TaskOptions`), with `after` as a list of ids.

    Raises `PlanError` if that makes no task, or a fault in the plan, which then stays as it was.
    """
    for name in options["after"]:
        if name == task_id or name not in builder.tasks:
            hint = "itself" if name == task_id else f"'{name}', which is no task yet{did_you_mean(name, builder.tasks)}"
            raise PlanError(f"task '{task_id}' cannot come after {hint}")
    if not cell.strip():
        raise PlanError(f"task '{task_id}': the cell is empty")
    agents = Registry()
    before = set(map(str, builder.load(agents).errors))
    with _replacing(builder, task_id):
        LANGUAGES[lang](builder, cell, agent, {"id": task_id, **options})
        refuse(fault for fault in builder.load(agents).errors if str(fault) not in before)


def _python(builder: PlanBuilder, cell: str, _: str, options: dict[str, Any]) -> None:
    try:
        used = names_in(f"\n{cell}")  # lines count from the cell's first one, the magic
    except SyntaxError as error:
        raise PlanError(f"line {error.lineno} of the cell: {error.msg} (it runs as plain Python)") from None
    # A dollar of the code is one: no value of the plan is put into it.
    code = f"\n{cell}".replace("$", "$$")
    parameters = {"code": code, "variables": _variables(builder, used, options)}
    builder.call(run_code, parameters, {"isolate": "process", **options})  # type: ignore[typeddict-item]


def _shell(lang: str) -> Callable[[PlanBuilder, str, str, dict[str, Any]], None]:
    def add(builder: PlanBuilder, cell: str, _: str, options: dict[str, Any]) -> None:
        env = _variables(builder, set(_SHELL_NAME.findall(cell)), options)
        builder.agent("shell", parameters={"shell": lang}, **{**options, "command": cell, "env": env})

    return add


def _prompt(builder: PlanBuilder, cell: str, agent: str, options: dict[str, Any]) -> None:
    builder.agent(agent, cell.strip(), **options)


#: What a cell may be written in, and how it becomes a task.
LANGUAGES: dict[str, Callable[[PlanBuilder, str, str, dict[str, Any]], None]] = {
    "python": _python,
    "bash": _shell("bash"),
    "sh": _shell("sh"),
    "markdown": _prompt,
    "text": _prompt,
}


def _variables(builder: PlanBuilder, used: set[str], options: Mapping[str, Any]) -> dict[str, str]:
    """Those parameters of the plan and results of the tasks before this one that the cell uses, by variable."""
    known = {variable(name): f"${{params.{name}}}" for name in builder._params}
    known.update({variable(name): f"${{result.{name}}}" for name in options["after"]})
    return {name: value for name, value in known.items() if name in used}


@contextmanager
def _replacing(builder: PlanBuilder, task_id: str) -> Iterator[None]:
    """Let a new task take the id, and the place, of an earlier one; if that goes wrong, the earlier one stays."""
    before = dict(builder._tasks)
    builder._tasks.pop(task_id, None)
    try:
        yield
    except BaseException:
        builder._tasks = before
        raise
    builder._tasks = {name: builder._tasks[name] for name in {**before, **builder._tasks}}
