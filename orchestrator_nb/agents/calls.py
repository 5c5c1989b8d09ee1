"""Calling a function as a task: its arguments by name, the context it may ask for, what it may answer.

Kept apart from `function` so that a child process needs no more than this.
"""

from __future__ import annotations

import ast
import copy
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.jsonable import fault_of_json
from orchestrator_nb.core.reports import Report, as_json, report_from
from orchestrator_nb.errors import AgentError

#: Seconds between two progress messages of a function; what it says in between is not passed on.
PROGRESS_INTERVAL = 0.1

_CONTEXT = "TaskContext"


@dataclass
class TaskContext:
    """What a function may know of its task: given to the parameter that is annotated with this class."""

    #: The session's id, the task's, and which attempt this is: 1, 2, ...
    session: str
    task: str
    attempt: int
    #: Stable over the attempts of a task: give it to services that deduplicate.
    idempotency_key: str
    #: Values of the plan's parameters.
    params: Mapping[str, Any]
    #: Declared inputs by name.
    inputs: Mapping[str, Path]
    _outputs: Callable[[], Path] = field(repr=False)
    _progress: Callable[[str, int, int], object] = field(repr=False)
    _told_at: float = field(default=-1.0, init=False, repr=False)

    @property
    def outputs(self) -> Path:
        """Directory in which declared outputs are expected; made when first asked for."""
        return self._outputs()

    def progress(self, message: str = "", done: int = 0, total: int = 0) -> None:
        """Tell people how far the task is: `done` of `total` steps, where that is known. Cheap to call often."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_INTERVAL or (done == total and total):
            self._told_at = now
            self._progress(message, done, total)


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments that a function takes by name."""

    accepted: frozenset[str]
    required: frozenset[str]
    #: It takes any others too (``**kwargs``).
    any: bool = False
    #: Name of the parameter that wants the `TaskContext`.
    context: str | None = None

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Signature:
        """A function's signature. Raises `AgentError` if it cannot be called by names alone."""
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError:  # some built-in functions have none
            return cls(frozenset(), frozenset(), any=True)
        for parameter in parameters:
            if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
                raise AgentError(_by_position(name, parameter.name))
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        context = next((p.name for p in named if _wants_context(p.annotation)), None)
        required = frozenset(p.name for p in named if p.default is p.empty)
        return cls(
            frozenset(p.name for p in named) - {context},
            required - {context},
            any(p.kind is p.VAR_KEYWORD for p in parameters),
            context,
        )

    @classmethod
    def of_source(cls, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
        """The signature as it is written, of a function that is not decorated. Raises `AgentError` as `of` does."""
        args = function.args
        positional = [*args.posonlyargs, *args.args]
        without_default = positional[: len(positional) - len(args.defaults)]
        if by_position := [arg.arg for arg in args.posonlyargs if arg in without_default]:
            raise AgentError(_by_position(function.name, by_position[0]))
        optional = [arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is not None]
        named = [*args.args, *args.kwonlyargs]
        context = next((a.arg for a in named if a.annotation and _wants_context(ast.unparse(a.annotation))), None)
        required = frozenset(
            arg.arg for arg in named if arg in without_default or (arg in args.kwonlyargs and arg not in optional)
        )
        accepted = frozenset(arg.arg for arg in named)
        return cls(accepted - {context}, required - {context}, args.kwarg is not None, context)

    def fault(self, name: str, given: Mapping[str, object]) -> str | None:
        """What is wrong with calling the function `name` with arguments of these names, or None."""
        names = given.keys()
        if not self.required <= names:
            missing = ", ".join(f"'{argument}'" for argument in sorted(self.required - names))
            return f"function '{name}' needs {missing}, to be given in `parameters`"
        if self.any or names <= self.accepted:
            return None
        unknown = next(argument for argument in given if argument not in self.accepted)
        takes = ", ".join(sorted(self.accepted)) or "none"
        hint = did_you_mean(unknown, self.accepted)
        return f"function '{name}' has no parameter '{unknown}'{hint} (it takes: {takes})"


class Target:
    """A function with what is to be known of it: found out once, used for every call."""

    __slots__ = ("function", "is_async", "name", "signature")

    def __init__(self, name: str, function: Any) -> None:
        """Raises `AgentError` if it cannot be called as a task."""
        if not callable(function):
            raise AgentError(f"'{name}' is no function but a {type(function).__name__}")
        self.name = name
        self.function: Callable[..., Any] = function
        self.signature = Signature.of(name, function)
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is async
        )

    def arguments(self, parameters: Mapping[str, Any], context: Callable[[], TaskContext]) -> dict[str, Any]:
        """The keyword arguments of one call: copies, so that the function may do with them what it wants.

        Raises `AgentError` if they do not fit.
        """
        if fault := self.signature.fault(self.name, parameters):
            raise AgentError(fault)
        arguments = copy.deepcopy(dict(parameters)) if parameters else {}
        if self.signature.context is not None:
            arguments[self.signature.context] = context()
        return arguments

    def call(self, arguments: dict[str, Any]) -> Any:
        """Call it and wait for its answer, in a process of its own."""
        answer = self.function(**arguments)
        if not inspect.isawaitable(answer):
            return answer
        import asyncio  # slow to import, and seldom needed here

        return asyncio.run(_awaited(answer))


async def _awaited(answer: Any) -> Any:
    return await answer


def _by_position(name: str, parameter: str) -> str:
    return f"function '{name}' takes '{parameter}' by position only, but the arguments of tasks have names"


def _wants_context(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.strip("\"' ").rpartition(".")[2] == _CONTEXT
    return annotation is TaskContext


def answer_of(value: Any, declared: Sequence[str], outputs: Callable[[], Path]) -> dict[str, Any]:
    """A function's answer as the fields of a `Success`.

    None is no result, text is taken as it is, a `Report` is a structured result, the Path of a declared output makes
    that file the result, and anything else must be a JSON value.

    Raises `AgentError`, which says what to return instead.
    """
    if value is None:
        return {}
    if isinstance(value, str):
        return {"text": str(value)}
    if isinstance(value, Report):
        return {"value": as_json(report_from(value)), "format": "report"}
    if isinstance(value, Path):
        return _file_answer(value, declared, outputs)
    if fault := fault_of_json(value):
        raise AgentError(f"the function's {fault}")
    return {"value": value}


def _file_answer(path: Path, declared: Sequence[str], outputs: Callable[[], Path]) -> dict[str, Any]:
    inside = path.relative_to(outputs()) if path.is_absolute() and path.is_relative_to(outputs()) else path
    if str(inside) not in declared:
        known = ", ".join(declared) or "none"
        raise AgentError(f"the function's result is the path {path}, which is no declared output (declared: {known})")
    return {"file": f"outputs/{inside}", "format": {".json": "json", ".sarif": "sarif"}.get(inside.suffix, "text")}
