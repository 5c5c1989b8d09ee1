"""What a plan builder gives out: handles of tasks and of values, used like the things that they stand for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from orchestrator_nb.core.models import DependencyKind
from orchestrator_nb.errors import PlanError

if TYPE_CHECKING:
    from orchestrator_nb.planning.builder import PlanBuilder


class CommonOptions(TypedDict, total=False):
    """What any task may be given beside its work: the plan file's keys (`core.models.Task`), and `after`."""

    id: str
    title: str
    after: Any
    phase: str
    role: str
    priority: str
    inputs: Mapping[str, Any] | Iterable[Any]
    outputs: Iterable[str]
    files: Iterable[str]
    checks: Iterable[Any]
    timeout: float
    cell_timeout: float
    keep_kernel_on_error: float | str
    retry: int | Mapping[str, Any]
    on_failure: str
    fallback: Mapping[str, Any]
    resources: Mapping[str, Any]
    join: str
    ok_exit_codes: Iterable[int]
    isolate: str
    env: Mapping[str, Any]
    cwd: Any


class TaskOptions(CommonOptions, total=False):
    """The same, with where a task's result is found: a format, or ``{source, format}`` (`core.models.Result`)."""

    result: str | Mapping[str, str]


class Value:
    """A value that is known when the plan runs. As text, also in an f-string, it is its ``${...}``."""

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def __str__(self) -> str:
        return self.reference

    def __repr__(self) -> str:
        return f"<value {self.reference}>"


class TaskHandle(Value):
    """A task of a plan that is being built; given to another task, it is its result.

    ``a >> b`` makes b come after a, ``a >> [b, c] >> d`` fans out and in. ``a["name"]`` is one value of a's result,
    ``a.output("file.csv")`` the path of a file that it leaves.
    """

    def __init__(self, builder: PlanBuilder, task_id: str) -> None:
        super().__init__(f"${{result.{task_id}}}")
        self.id = task_id
        self._builder = builder

    def after(self, *tasks: Any, kind: str = DependencyKind.DATA) -> TaskHandle:
        """Make it come after `tasks` (handles, ids, or lists of them). Returns the task itself."""
        self._builder.depend(self, tasks, kind)
        return self

    def output(self, file: str) -> Value:
        """The path of a declared output."""
        return Value(f"${{output.{self.id}:{file}}}")

    def __getitem__(self, name: str) -> Value:
        return Value(f"${{value.{self.id}:{name}}}")

    def __iter__(self) -> Any:
        raise TypeError(f"the result of task '{self.id}' is known when the plan runs: it cannot be looped over before")

    def __rshift__(self, other: Any) -> Any:
        for task in other if isinstance(other, list | tuple) else [other]:
            if not isinstance(task, TaskHandle):
                raise PlanError(f"'>>' leads from a task to a task or a list of tasks, not to {type(task).__name__}")
            task.after(self)
        return other

    def __rrshift__(self, others: Any) -> TaskHandle:
        return self.after(others)

    def __lshift__(self, others: Any) -> TaskHandle:
        return self.after(others)

    def __repr__(self) -> str:
        return f"<task '{self.id}'>"


class TaskFunction:
    """A function as a kind of task: calling it adds a task; tasks among the arguments are its dependencies."""

    __name__: str

    def __init__(self, builder: PlanBuilder, function: Callable[..., Any], options: TaskOptions) -> None:
        functools.update_wrapper(self, function)
        #: The function itself, for calling it here and now.
        self.function = function
        self._builder = builder
        self._options = options

    def options(self, **options: Unpack[TaskOptions]) -> TaskFunction:
        """The same function with other options for its tasks: ``count.options(id="count-all", timeout=60)(...)``."""
        return TaskFunction(self._builder, self.function, {**self._options, **options})

    def __call__(self, *args: Any, **kwargs: Any) -> TaskHandle:  # noqa: D102 - said in the class
        return self._builder.call(self.function, arguments(self.function, args, kwargs), self._options)

    def __repr__(self) -> str:
        return f"<task function {getattr(self.function, '__name__', self.function)!s}>"


def arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name. Raises `TypeError` as the call itself would."""
    try:
        signature = _without_context(inspect.signature(function))
    except ValueError:  # some built-ins have none
        if args:
            raise TypeError(f"{function!r} tells no names of its parameters: give them by name") from None
        return kwargs
    named: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise TypeError(f"{function.__name__}(): a task's arguments have names, '{name}' cannot be given by name")
        else:
            named[name] = value
    return named


def _without_context(signature: inspect.Signature) -> inspect.Signature:
    """Without the parameter that asks for the task's context: whoever runs the task gives it (`agents.calls`)."""
    given = [
        parameter
        for parameter in signature.parameters.values()
        if "TaskContext" not in (parameter.annotation, getattr(parameter.annotation, "__name__", ""))
    ]
    return signature.replace(parameters=given)


def plain(value: Any, what: str) -> Any:
    """`value` as a plan holds it: handles as their references, paths as text, lists and mappings of such.

    Raises `PlanError` for what is no JSON value; `what` says where it was given.
    """
    if isinstance(value, Value | PurePath):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{what}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item, f"{what}[{number}]") for number, item in enumerate(value)]
    raise PlanError(
        f"{what} is of type {type(value).__name__}: a plan holds text, numbers, lists, mappings and tasks; "
        "let a task load or make it"
    )
