"""Plans written in Python: functions as tasks, tasks as arguments, ``>>`` for order.

plan = PlanBuilder("Count")
source = plan.param("source", "data", type="path", help="Folder to read")

@plan.task
def files(folder: str) -> list[str]: ...

@plan.task(timeout=60)
def count(paths: list[str]) -> int: ...

style = plan.shell(["ruff", "check", source], ok_exit_codes=[0, 1])
total = count(files(source))
[total, style] >> plan.human("Publish?")
orchestrate(plan)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, overload

from pydantic import ValidationError

from orchestrator_nb import displays
from orchestrator_nb.core.checks import check
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.ids import did_you_mean, is_identifier
from orchestrator_nb.core.limits import Limits
from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import Dependency, DependencyKind, Param, Phase, Plan, Task
from orchestrator_nb.core.values import Reference, as_text, places, scan
from orchestrator_nb.errors import PlanError
from orchestrator_nb.planning.handles import CommonOptions, TaskFunction, TaskHandle, TaskOptions, Value, plain
from orchestrator_nb.planning.loaded import LoadedPlan
from orchestrator_nb.planning.wording import faults_of

_REQUIRED: Any = object()
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
#: Tasks that a builder's text form shows.
_SHOWN = 30


class PlanBuilder:
    """A plan in the making. Every method that adds a task returns its handle.

    Args:
        title: What the job is called.
        description: What it is for.
        limits: What a run may use at once (`core.models.Limits`): ``{"max_parallel": 4}``.
        merge: How results become one document (`core.models.Merge`), or the strategy's name.
    """

    def __init__(
        self,
        title: str = "Untitled plan",
        *,
        description: str = "",
        limits: Limits | Mapping[str, Any] | None = None,
        merge: Merge | Mapping[str, Any] | str | None = None,
    ) -> None:
        self.title = title
        self.description = description
        self.limits = limits or {}
        self.merge = merge or {}
        #: Functions that are not importable, by the name ``:name`` under which tasks call them.
        self.functions: dict[str, Callable[..., Any]] = {}
        self._params: dict[str, Param] = {}
        self._phases: dict[str, Phase] = {}
        self._tasks: dict[str, Task] = {}
        self._names: dict[str, int] = {}

    # -- what the plan has beside tasks --------------------------------------------------------------------------------

    def param(self, name: str, default: Any = _REQUIRED, **options: Any) -> Value:
        """Declare a parameter; without `default` it must be given. Returns its value, to be given to tasks.

        `options` are type, choices and help (`core.models.Param`).
        """
        data = options if default is _REQUIRED else {"default": plain(default, f"parameter '{name}'"), **options}
        whole = _checked({"params": {name: data}})
        if name in self._params:
            raise PlanError(f"the plan has a parameter '{name}' already")
        self._params[name] = whole.params[name]
        return Value(f"${{params.{name}}}")

    def phase(self, id: str, title: str = "", **options: Any) -> str:  # noqa: A002 - the plan file's word
        """Declare a phase; returns its id. `options`: max_parallel, timeout (`core.models.Phase`)."""
        self._phases[id] = _checked({"phases": [{"id": id, "title": title, **options}]}).phases[0]
        return id

    # -- tasks ---------------------------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[..., Any], /, **options: Unpack[TaskOptions]) -> TaskFunction: ...
    @overload
    def task(self, /, **options: Unpack[TaskOptions]) -> Callable[[Callable[..., Any]], TaskFunction]: ...
    def task(self, function: Callable[..., Any] | None = None, /, **options: Unpack[TaskOptions]) -> Any:
        """Make a function a kind of task: ``@plan.task``, ``@plan.task(timeout=60)`` or ``plan.task(f)(arguments)``."""
        if function is None:
            return lambda function: TaskFunction(self, function, options)
        return TaskFunction(self, function, options)

    def call(self, function: Callable[..., Any], parameters: Mapping[str, Any], options: TaskOptions) -> TaskHandle:
        """Add a task that calls `function` with `parameters`."""
        name = getattr(function, "__name__", type(function).__name__)
        work = {"function": self._reference(function), "parameters": plain(parameters, f"{name}()")}
        return self._add(name, work, options)

    def shell(self, command: str | Sequence[Any], **options: Unpack[TaskOptions]) -> TaskHandle:
        """Add a command: a list of arguments, or one string for the shell (in which no values are put)."""
        work = command if isinstance(command, str) else [as_text(plain(part, "command")) for part in command]
        words = command.split() if isinstance(command, str) else work
        return self._add(Path(words[0]).name if words else "shell", {"command": work}, options)

    def notebook(
        self, path: Any, parameters: Mapping[str, Any] | None = None, **options: Unpack[TaskOptions]
    ) -> TaskHandle:
        """Add a notebook, run with `parameters`."""
        work = {"notebook": plain(path, "path"), "parameters": plain(parameters or {}, "parameters")}
        return self._add(Path(str(path)).stem, work, options)

    def human(
        self, question: str, schema: Mapping[str, Any] | None = None, **options: Unpack[TaskOptions]
    ) -> TaskHandle:
        """Add a question to a person; the answer, in the form of `schema` (JSON Schema) if given, is the result."""
        return self.agent("human", question, {"schema": schema} if schema else None, **options)

    def simulated(
        self,
        *,
        duration: float = 0.0,
        result: Any = None,
        fail: str | None = None,
        steps: Sequence[str] = (),
        **options: Unpack[CommonOptions],
    ) -> TaskHandle:
        """Add a task that is only played (S1 3.2): it takes `duration` seconds and tells its `steps`, then answers
        with `result`, or fails with the message `fail`.
        """
        script = {"duration": duration, "result": result, "fail": fail, "steps": steps}
        given = plain({key: value for key, value in script.items() if value}, "simulated()")
        return self._add(options.get("title") or "simulated", {"agent": "simulated", "parameters": given}, options)

    def agent(
        self,
        kind: str,
        prompt: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskHandle:
        """Add a task for an agent of any kind. In an f-string `prompt`, tasks are their results."""
        work = {"agent": kind, "parameters": plain(parameters or {}, "parameters")}
        return self._add(options.get("title") or kind, work if prompt is None else {**work, "prompt": prompt}, options)

    def depend(self, task: TaskHandle, on: Any, kind: str = DependencyKind.DATA) -> None:
        """Let `task` come after the tasks `on`: handles, ids, or lists of them."""
        spec = self._tasks[task.id]
        new = [Dependency(name, DependencyKind(kind)) for name in self._ids(on)]
        added = tuple(dependency for dependency in new if dependency not in spec.dependencies)
        self._tasks[task.id] = spec.model_copy(update={"dependencies": spec.dependencies + added})

    # -- the result ----------------------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        displays.front_end().show_plan(self)

    def build(self) -> Plan:
        """The plan, its tasks in an order that respects their dependencies. Raises `PlanError` with all faults."""
        return self.load().require()

    def load(self, agents: Collection[str] | None = None) -> LoadedPlan:
        """The plan with its functions and its faults; relative paths begin in the caller's folder.

        `agents` are the names of the agents that there are (`core.checks.check`).
        """
        tasks = [_with_dependencies(task, self._tasks) for task in self._tasks.values()]
        graph = Graph([task.id for task in tasks], [[i for i in t.upstream if i in self._tasks] for t in tasks])
        plan = _checked(
            {
                "title": self.title,
                "description": self.description,
                "limits": self.limits,
                "merge": self.merge,
                "params": self._params,
                "phases": list(self._phases.values()),
                "tasks": [tasks[position] for position in graph.sorted_order()],
            }
        )
        faults = tuple(check(plan, agents=agents))
        return LoadedPlan(plan, Path.cwd(), f"PlanBuilder '{self.title}'", faults, dict(self.functions))

    @property
    def tasks(self) -> dict[str, TaskHandle]:
        """The handles of all tasks, by id, in the order in which they were added."""
        return {task_id: TaskHandle(self, task_id) for task_id in self._tasks}

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, task_id: str) -> TaskHandle:
        if task_id not in self._tasks:
            raise KeyError(f"no task has the id '{task_id}'{did_you_mean(task_id, self._tasks)}")
        return TaskHandle(self, task_id)

    def __repr__(self) -> str:
        count = f"{len(self)} task{'' if len(self) == 1 else 's'}"
        lines = [f"PlanBuilder '{self.title}': {count}"]
        shown = [_with_dependencies(task, self._tasks) for task in list(self._tasks.values())[:_SHOWN]]
        width = max((len(task.id) for task in shown), default=0)
        for task in shown:
            after = f"  after {', '.join(d.task for d in task.dependencies)}" if task.dependencies else ""
            lines.append(f"  {task.id:{width}}  {task.kind:9}{after}".rstrip())
        if len(self) > _SHOWN:
            lines.append(f"  ... {len(self) - _SHOWN} more")
        return "\n".join(lines)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _add(self, name: str, work: Mapping[str, Any], options: Mapping[str, Any]) -> TaskHandle:
        keys = dict(options)
        after = keys.pop("after", ())
        task_id = keys.pop("id", None) or self._free_id(name)
        if task_id in self._tasks:
            raise PlanError(f"the plan has a task '{task_id}' already: give this one another id")
        data = {key: self._option(key, value) for key, value in keys.items()}
        dependencies = [{"task": name} for name in self._ids(after)]
        task = _checked({"tasks": [{"id": task_id, **work, "dependencies": dependencies, **data}]}).tasks[0]
        self._tasks[task.id] = task
        return TaskHandle(self, task.id)

    def _option(self, key: str, value: Any) -> Any:
        if key == "fallback" and isinstance(value, Mapping) and callable(value.get("function")):
            value = {**value, "function": self._reference(value["function"])}
        if isinstance(value, Iterable) and not isinstance(value, str | Mapping | Value):
            value = list(value)
        return plain(value, key)

    def _ids(self, tasks: Any) -> list[str]:
        if isinstance(tasks, str):
            return [tasks]
        if isinstance(tasks, TaskHandle):
            if tasks._builder is not self:
                raise PlanError(f"task '{tasks.id}' belongs to another plan")
            return [tasks.id]
        if isinstance(tasks, Iterable):
            return [name for item in tasks for name in self._ids(item)]
        raise PlanError(f"a task comes after tasks, not after {type(tasks).__name__}")

    def _free_id(self, name: str) -> str:
        wanted = (_UNSAFE.sub("-", name).strip("-") or "task")[:60].rstrip("-")
        task_id = wanted
        while task_id in self._tasks:
            self._names[wanted] = self._names.get(wanted, 1) + 1
            task_id = f"{wanted}-{self._names[wanted]}"
        return task_id

    def _reference(self, function: Callable[..., Any]) -> str:
        """``module:name`` for what can be imported, else ``:name``, kept in `functions`."""
        function = function.function if isinstance(function, TaskFunction) else function
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
        if module not in (None, "__main__") and getattr(sys.modules.get(module), name, None) is function:
            return f"{module}:{name}"
        wanted = getattr(function, "__name__", type(function).__name__)
        wanted = wanted if is_identifier(wanted) else "function"
        number = 1
        while True:
            key = f":{wanted}" if number == 1 else f":{wanted}_{number}"
            if self.functions.setdefault(key, function) == function:
                return key
            number += 1


def _with_dependencies(task: Task, known: Mapping[str, Task]) -> Task:
    """`task` with a data dependency for each task whose value it uses."""
    used = {
        piece.task
        for _, text in places(task)
        if "$" in text
        for piece in scan(text)
        if isinstance(piece, Reference) and piece.task in known and piece.task != task.id
    }
    have = {dependency.task: dependency for dependency in task.dependencies}
    for name in sorted(used):
        have[name] = replace(have.get(name, Dependency(name)), kind=DependencyKind.DATA)
    dependencies = tuple(have.values())
    return task if dependencies == task.dependencies else task.model_copy(update={"dependencies": dependencies})


def _checked(raw: Mapping[str, Any]) -> Plan:
    """The part of a plan in `raw`. Raises `PlanError` where it has not the form of one."""
    try:
        return Plan.model_validate(raw)
    except ValidationError as error:
        faults = faults_of(error.errors(include_url=False), raw)
    raise PlanError("\n".join(map(str, faults)), tuple(faults))
