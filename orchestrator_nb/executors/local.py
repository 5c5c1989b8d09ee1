"""The executor on this machine: finds the agent, holds the time limit, checks and promotes what the attempt left.

The way of one attempt: inputs exist, the agent works, declared outputs exist, the result is what it is declared to
be, checks pass, and only then outputs and result move to their final places, durably, by rename.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Protocol, cast

import msgspec

from orchestrator_nb.core.events import Artifact, Event
from orchestrator_nb.core.models import agent_kind
from orchestrator_nb.core.ports import (
    Agent,
    Assignment,
    Checkpoint,
    Execution,
    Failure,
    Finishing,
    Outcome,
    Spawner,
    Success,
    Timeout,
)
from orchestrator_nb.errors import AgentError, StorageError, UnsafePath
from orchestrator_nb.executors.checks import run_checks
from orchestrator_nb.executors.keeping import Keeper
from orchestrator_nb.executors.results import Reader, Reading
from orchestrator_nb.executors.services import LocalServices, finished, run_environment
from orchestrator_nb.storage.files import Outputs, collect_outputs
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.tracebacks import summary_of


class Reviewing(Protocol):
    """Has work judged by others before it counts."""

    async def held(self, assignment: Assignment) -> tuple[int, Success] | None:
        """The attempt whose work is done and waits for its review, with what it gave back; None: there is none."""

    async def review(self, assignment: Assignment, passed: Passed) -> Failure | Checkpoint | None:
        """Have the work judged; None lets it count."""


_OUTCOMES = (Success, Failure, Checkpoint, Timeout)


class LocalExecutor:
    """Carries out attempts in this process and in supervised child processes.

    Args:
        agents: Gives the agent of a kind; raises `AgentError` (`agents.registry.Registry.get`).
        spawner: Starts processes whose trees die with the run.
        record: Takes the events that an attempt causes while it runs: processes started, progress.
        settings: Caps of results and outputs, and the seconds between TERM and KILL.
        environment: What processes inherit; this process's environment when left out.
        keeper: Holds what outlives its attempt; without, nothing does.
        reviewing: Has work judged whose task asks for it; without, nothing is.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        agents: Callable[[str], Agent],
        spawner: Spawner,
        record: Callable[[Event], object],
        settings: Settings,
        environment: Mapping[str, str] | None = None,
        keeper: Keeper | None = None,
        reviewing: Reviewing | None = None,
    ) -> None:
        self._keeper = keeper
        self._reviewing = reviewing
        self._agents = agents
        self._spawner = spawner
        self._record = record
        self._settings = settings
        self._environment = run_environment(os.environ if environment is None else environment)

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the attempt from starting (no such agent, program, function), or None. No side effect."""
        try:
            return self._agents(agent_kind(assignment.work)).preflight(assignment)
        except AgentError as error:
            return str(error)

    async def execute(self, assignment: Assignment) -> Execution:
        """Carry out one attempt. Never raises but for cancellation, and then its processes are gone."""
        started = monotonic()
        services = LocalServices(assignment, self._spawner, self._record, self._environment, self._keeper)
        try:
            try:
                if self._keeper and self._keeper.used:
                    await self._keeper.begin(assignment.task.id)
                if assignment.timeout is None:
                    result = await self._attempt(assignment, services)
                else:
                    result = await self._attempt_within(assignment.timeout, assignment, services)
            finally:
                if self._keeper and self._keeper.used:
                    self._keeper.end(assignment.task.id)
                if services.processes:
                    await services.end_processes(self._settings.grace)
            if isinstance(result, Passed):
                execution = await _promoted(result)
                return msgspec.structs.replace(execution, duration=monotonic() - started)
            return Execution(result, monotonic() - started)
        except (StorageError, UnsafePath) as error:
            failure = Failure(str(error), kind="storage")
        except Exception as error:  # noqa: BLE001 - one attempt's trouble never ends the run
            failure = Failure(summary_of(error))
        return Execution(failure, monotonic() - started)

    async def _attempt_within(
        self, seconds: float, assignment: Assignment, services: LocalServices
    ) -> Outcome | Passed:
        """Work and checks within the attempt's time limit, by the monotonic clock."""
        note = ""
        try:
            async with asyncio.timeout(seconds) as limit:
                result = await self._attempt(assignment, services, limit)
        except TimeoutError as error:
            note = "; ".join(getattr(error.__cause__, "__notes__", ()))
        return Timeout(seconds, note) if limit.expired() else result

    async def _attempt(
        self, assignment: Assignment, services: LocalServices, limit: asyncio.Timeout | None = None
    ) -> Outcome | Passed:
        held = None
        if assignment.task.review is not None and self._reviewing is not None:
            held = await self._reviewing.held(assignment)
        if held is not None:  # its work is done, and waits for its review
            assignment = msgspec.structs.replace(assignment, attempt=held[0])
        outcome = held[1] if held is not None else await self._outcome(assignment, services)
        if type(outcome) is not Success:
            return outcome
        finishing = _finishing(self._agents(agent_kind(assignment.work)))
        if _is_plain(outcome, assignment):
            return await finishing.finish(assignment, services, outcome) if finishing else outcome
        result = await self._checked(outcome, assignment, services, finishing)
        if type(result) is Passed and assignment.task.review is not None and self._reviewing is not None:
            with _unlimited(limit):  # a review has a deadline of its own
                objection = await self._reviewing.review(assignment, result)
            if isinstance(objection, Failure):
                result = objection
            elif objection is not None:
                return objection
        if finishing is None:
            return result
        if isinstance(result, Failure):
            return await finishing.fall_short(assignment, outcome, result)
        last = await finishing.finish(assignment, services, result.success)
        return msgspec.structs.replace(result, success=last) if isinstance(last, Success) else last

    async def _outcome(self, assignment: Assignment, services: LocalServices) -> Outcome:
        """What the agent says; whatever it raises is a failure."""
        try:
            if assignment.inputs and (missing := _missing_inputs(assignment)):
                return Failure(missing, kind="missing_inputs")
            outcome = await self._agents(agent_kind(assignment.work)).run(assignment, services)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Failure("the work was cancelled by itself", kind="cancelled")
        except AgentError as error:
            return Failure(str(error), kind="preflight")
        except (StorageError, UnsafePath) as error:
            return Failure(str(error), kind="storage")
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - it is the task's, not the run's
            transient = isinstance(error, ConnectionError | TimeoutError)
            return Failure(summary_of(error), kind="exception", transient=transient)
        if type(outcome) not in _OUTCOMES:
            kind = agent_kind(assignment.work)
            return Failure(f"agent '{kind}' returned {type(outcome).__name__}, which is no outcome")
        return outcome

    async def _checked(
        self, success: Success, assignment: Assignment, services: LocalServices, finishing: Finishing | None
    ) -> Failure | Passed:
        """Hold the success against what the task declares: outputs, result, checks."""
        task = assignment.task
        names = tuple(dict.fromkeys((*task.outputs, *success.outputs)))
        reader = Reader(assignment, self._settings.result_cap)
        outputs = await self._collected(assignment, names)
        if outputs.faults:
            return _but(success, _missing_outputs(outputs), "missing_outputs")
        try:
            if success.file is not None or task.result is not None:
                reading = await asyncio.to_thread(reader.read, success)
            else:
                reading = reader.read(success)
        except AgentError as error:
            return _but(success, str(error), "result")
        if task.checks:
            if failure := await run_checks(assignment, services, finishing.check_command if finishing else None):
                return failure
            outputs = await self._collected(assignment, names)  # a check may have changed them
            if outputs.faults:
                return _but(success, _missing_outputs(outputs), "missing_outputs")
        return Passed(assignment, success, reading, outputs)

    async def _collected(self, assignment: Assignment, names: tuple[str, ...]) -> Outputs:
        if not names:
            return _NO_OUTPUTS
        session = SessionDir(Path(assignment.run.directory))
        directory = f"{session.attempt(assignment.task.id, assignment.attempt)}/outputs"
        return await asyncio.to_thread(collect_outputs, session.root, directory, names, self._settings.output_cap)


@contextmanager
def _unlimited(limit: asyncio.Timeout | None) -> Iterator[None]:
    """What is done here does not count against the attempt's time limit."""
    end = limit.when() if limit is not None else None
    if limit is None or end is None:
        yield
        return
    now = asyncio.get_running_loop().time
    left = end - now()
    limit.reschedule(None)
    yield
    limit.reschedule(now() + left)


def _finishing(agent: Agent) -> Finishing | None:
    """The agent, if it has a say after its work."""
    return cast("Finishing", agent) if hasattr(agent, "finish") else None


_NO_OUTPUTS = Outputs((), ())


class Passed(msgspec.Struct, frozen=True):
    """A success that holds: read, checked, not yet promoted."""

    assignment: Assignment
    success: Success
    reading: Reading
    outputs: Outputs


def _is_plain(success: Success, assignment: Assignment) -> bool:
    """Whether there is nothing to read, check or promote."""
    task = assignment.task
    return (
        success.value is None
        and success.text is None
        and success.file is None
        and not (success.outputs or task.outputs or task.checks or task.result or task.review)
    )


def _but(success: Success, error: str, kind: str) -> Failure:
    return Failure(error, kind, exit_code=success.exit_code, commits=success.commits)


def _missing_outputs(outputs: Outputs) -> str:
    return f"Missing outputs: {'; '.join(outputs.faults)}"


def _missing_inputs(assignment: Assignment) -> str:
    missing = [f"{name} ({path})" for name, path in assignment.inputs.items() if not Path(path).exists()]
    return f"Missing inputs: {', '.join(missing)}" if missing else ""


async def _promoted(passed: Passed) -> Execution:
    """Move outputs and result to their final places; they are on stable storage when this returns."""
    reading = passed.reading
    outputs: tuple[Artifact, ...] = ()
    result: Artifact | None = None
    if passed.outputs.artifacts or reading.content is not None:
        loop = asyncio.get_running_loop()
        outputs, result = await finished(loop.run_in_executor(None, _promote, passed))
    exit_code, commits = passed.success.exit_code, passed.success.commits
    work = passed.success.work
    success = Success(value=reading.value, format=reading.format, exit_code=exit_code, commits=commits, work=work)
    return Execution(success, 0.0, result, reading.format, outputs, passed.success.warnings + reading.warnings)


def _promote(passed: Passed) -> tuple[tuple[Artifact, ...], Artifact | None]:
    assignment = passed.assignment
    session = SessionDir(Path(assignment.run.directory))
    attempt = session.attempt(assignment.task.id, assignment.attempt)
    outputs = []
    for output in passed.outputs.artifacts:
        destination = f"{session.outputs(assignment.task.id)}/{output.path.removeprefix(f'{attempt}/outputs/')}"
        session.root.promote(output.path, destination)
        outputs.append(msgspec.structs.replace(output, path=destination))
    content = passed.reading.content
    if content is None:
        return tuple(outputs), None
    path = session.result(assignment.number, "md" if passed.reading.format == "text" else "json")
    session.root.write_atomic(path, content, sync=True)
    return tuple(outputs), session.root.artifact(path)
