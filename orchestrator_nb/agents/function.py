"""The agent that calls a Python function: on the run's loop, in a thread, or in a process of its own.

An async function is awaited on the loop, a plain one runs in a thread, where its time limit is advisory. With
``isolate: process`` either runs in a process, where the limit is real.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from orchestrator_nb.agents import imports
from orchestrator_nb.agents.calls import Signature, Target, TaskContext, answer_of
from orchestrator_nb.agents.child import run_child
from orchestrator_nb.agents.threads import in_thread
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.ports import Assignment, Failure, Outcome, RunContext, Services, Success
from orchestrator_nb.errors import AgentError

__all__ = ["FunctionAgent", "TaskContext"]

_PROGRAM = Path(__file__).with_name("_function_child.py")

_NOTHING = Success()


class FunctionAgent:
    """Calls `module:name`, or a function handed in by the run's process, with the task's `parameters`."""

    def __init__(self) -> None:
        self._run: RunContext | None = None
        #: The functions that were called in this run, by reference.
        self._targets: dict[str, Target] = {}

    def preflight(self, assignment: Assignment) -> str | None:
        """What is wrong with the reference or the arguments, or None; a module is not imported for this."""
        reference = assignment.work.function
        if not reference:
            return f"task '{assignment.task.id}' has no `function`"
        parameters = assignment.work.parameters
        try:
            if reference.startswith(":"):
                if assignment.task.isolate == "process":
                    return _cannot_be_isolated(reference)
                return _handed_in(reference, assignment).signature.fault(reference, parameters)
            written = imports.written(reference, _roots(assignment))
            return Signature.of_source(written).fault(reference, parameters) if written else None
        except AgentError as error:
            return str(error)

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Call the function; what it returns is the result."""
        if assignment.task.isolate == "process":
            return await _run_isolated(assignment, services)
        if assignment.run is not self._run:
            self._run, self._targets = assignment.run, {}
        work = assignment.work
        target = self._targets.get(work.function or "")
        if target is None:
            target = self._targets[work.function or ""] = await _resolved(assignment)
        if target.is_async:
            arguments = target.arguments(work.parameters, lambda: _context(assignment, services))
            value = await target.function(**arguments)
        else:
            value = await _in_thread(target, assignment, services)
        if value is None:
            return _NOTHING
        try:
            return Success(**answer_of(value, assignment.task.outputs, _outputs(services)))
        except AgentError as error:
            return Failure(str(error), kind="result")


async def _resolved(assignment: Assignment) -> Target:
    """Import the function, in a thread: importing may take its time."""
    reference = assignment.work.function or ""
    if reference.startswith(":"):
        return _handed_in(reference, assignment)
    function = await in_thread(imports.load, {"reference": reference, "roots": _roots(assignment)})
    return Target(reference, function)


def _handed_in(reference: str, assignment: Assignment) -> Target:
    functions = assignment.run.functions
    function = functions.get(reference, functions.get(reference[1:]))
    if function is None:
        known = ", ".join(functions) or "none"
        raise AgentError(
            f"function '{reference}' was defined in the notebook or script that started the run: hand it in again"
            f"{did_you_mean(reference, functions)} (handed in: {known}), or put it in a module"
        )
    return Target(reference, function)


async def _in_thread(target: Target, assignment: Assignment, services: Services) -> Any:
    loop = asyncio.get_running_loop()

    def progress(message: str, done: int, total: int) -> None:
        loop.call_soon_threadsafe(services.progress, message, done, total)

    arguments = target.arguments(assignment.work.parameters, lambda: _context(assignment, services, progress))
    try:
        value = await in_thread(target.function, arguments)
    except asyncio.CancelledError as error:
        error.add_note("the function goes on in its thread; `isolate: process` would end it")
        raise
    if asyncio.iscoroutine(value):
        return await value
    return value


def _context(assignment: Assignment, services: Services, progress: Any = None) -> TaskContext:
    return TaskContext(
        **_about(assignment),
        inputs={name: Path(path) for name, path in assignment.inputs.items()},
        _outputs=_outputs(services),
        _progress=progress or services.progress,
    )


def _about(assignment: Assignment) -> dict[str, Any]:
    return {
        "session": assignment.run.session,
        "task": assignment.task.id,
        "attempt": assignment.attempt,
        "idempotency_key": assignment.idempotency_key,
        "params": dict(assignment.run.params),
    }


def _outputs(services: Services) -> Any:
    return lambda: Path(services.attempt_dir(), "outputs")


def _roots(assignment: Assignment) -> list[str]:
    """Where modules are looked for first: beside the plan, then in the caller's directory."""
    return list(dict.fromkeys((str(assignment.run.base), str(assignment.run.cwd))))


def _cannot_be_isolated(reference: str) -> str:
    return (
        f"function '{reference}' was defined in the notebook or script that started the run and cannot be called in "
        "another process: put it in a module (module:name), or leave out `isolate: process`"
    )


async def _run_isolated(assignment: Assignment, services: Services) -> Success | Failure:
    reference = assignment.work.function or ""
    if reference.startswith(":"):
        return Failure(_cannot_be_isolated(reference), kind="preflight")
    request = {
        "function": reference,
        "roots": _roots(assignment),
        "parameters": assignment.work.parameters,
        "outputs": list(assignment.task.outputs),
        "context": {
            **_about(assignment),
            "inputs": {name: str(path) for name, path in assignment.inputs.items()},
        },
    }
    return await run_child(_PROGRAM, request, assignment, services)
