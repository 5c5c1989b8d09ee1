"""Calling a function as a task: its arguments by name, the context it may ask for, what it may answer.

Kept apart from `function` so that a child process needs no more than this.
"""

from __future__ import annotations

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


class Target:
    """A function with what is to be known of its signature: found out once, used for every call."""

    __slots__ = ("_accepted", "_any", "_required", "context", "function", "is_async", "name")

    def __init__(self, name: str, function: Any) -> None:
        """Raises `AgentError` if it cannot be called by keywords alone."""
        if not callable(function):
            raise AgentError(f"'{name}' is no function but a {type(function).__name__}")
        self.name = name
        self.function: Callable[..., Any] = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is async
        )
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError:  # some built-in functions have no signature
            parameters = [inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD)]
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
                raise AgentError(f"'{name}' takes '{parameter.name}' by position only: arguments of tasks have names")
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        #: Name of the parameter that wants the `TaskContext`.
        self.context = next((p.name for p in named if _wants_context(p.annotation)), None)
        given = [p for p in named if p.name != self.context]
        self._accepted = frozenset(p.name for p in given)
        self._required = frozenset(p.name for p in given if p.default is p.empty)
        self._any = any(p.kind is p.VAR_KEYWORD for p in parameters)

    def fault(self, names: Mapping[str, object]) -> str | None:
        """What is wrong with calling it with arguments of these names, or None."""
        if missing := sorted(self._required - names.keys()):
            return f"function '{self.name}' needs {_listed(missing)}: give {_them(missing)} in `parameters`"
        unknown = [] if self._any else [name for name in names if name not in self._accepted]
        if unknown:
            takes = ", ".join(sorted(self._accepted)) or "none"
            hint = did_you_mean(unknown[0], self._accepted)
            return f"function '{self.name}' has no parameter {_listed(unknown)}{hint} (it takes: {takes})"
        return None

    def arguments(self, parameters: Mapping[str, Any], context: Callable[[], TaskContext]) -> dict[str, Any]:
        """The keyword arguments of one call: copies, so that the function may do with them what it wants."""
        arguments = copy.deepcopy(dict(parameters)) if parameters else {}
        if self.context is not None:
            arguments[self.context] = context()
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


def _wants_context(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("\"' ") == _CONTEXT
    return annotation is TaskContext


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


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
