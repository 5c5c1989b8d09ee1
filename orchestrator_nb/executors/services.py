"""What the local executor offers to the agent of one attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.core.events import AttemptEvent, Event, ProcessStarted, TaskProgressed
from orchestrator_nb.core.ports import Assignment, Command, Process, Spawner
from orchestrator_nb.errors import AgentError
from orchestrator_nb.executors.keeping import Keeper
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.processes import boot_id
from orchestrator_nb.system.search_path import search_path

#: Linux takes no longer entry of the environment, in bytes.
MAX_VARIABLE = 128 * 1024 - 1
#: Longest progress message, in characters: it travels in an event.
MAX_MESSAGE = 200

#: Variables that belong to one task, and so never come from the environment of the run itself.
_OF_A_TASK = ("ORCH_INPUT_", "ORCH_PARAM_", "ORCH_TASK_ID", "ORCH_ATTEMPT", "ORCH_IDEMPOTENCY_KEY", "ORCH_OUTPUTS")


class LocalServices:
    """Implements `core.ports.Services`; costs nothing before it is used."""

    __slots__ = ("_assignment", "_began", "_directory", "_environment", "_keeper", "_record", "_spawner", "processes")

    def __init__(
        self,
        assignment: Assignment,
        spawner: Spawner,
        record: Callable[[Event], object],
        environment: Mapping[str, str],
        keeper: Keeper | None = None,
    ) -> None:
        self._keeper = keeper
        #: The attempt that started what this one goes on in.
        self._began = assignment.attempt
        self._assignment = assignment
        self._spawner = spawner
        self._record = record
        self._environment = environment
        self._directory: Path | None = None
        #: What was started, whether it has ended or not.
        self.processes: tuple[Process, ...] = ()

    async def spawn(self, command: Command) -> Process:
        """Start a process with the task's limits; its identity is in the log before this returns."""
        resources = self._assignment.task.resources
        if resources is not None:
            cpus = resources.cpu if command.cpus is None else command.cpus
            memory = command.memory
            if memory is None and resources.memory_gb is not None:
                memory = int(resources.memory_gb * 2**30)
            command = msgspec.structs.replace(command, cpus=cpus, memory=memory)
        process = await self._spawner.spawn(command)
        self._own(process)
        return process

    def _own(self, process: Process) -> None:
        self.processes += (process,)
        self._record(
            ProcessStarted(
                self._assignment.task.id,
                self._assignment.attempt,
                process.pid,
                process.start_time,
                boot_id=boot_id(),
                containment=process.containment,
            )
        )

    def keep(self, process: Process, seconds: float) -> float:
        """Let a process outlive the attempt; returns until when. Raises `AgentError` if that cannot be."""
        if self._keeper is None:
            raise AgentError("nothing is kept here")
        until = self._keeper.keep(self._assignment.task.id, self._began, process, seconds)
        self.processes = tuple(own for own in self.processes if own is not process)
        return until

    def kept(self) -> tuple[Process, int] | None:
        """What an earlier attempt kept, now of this one, and which attempt started it. Raises `AgentError`."""
        found = self._keeper.take(self._assignment.task.id) if self._keeper else None
        if found is None:
            return None
        self._began = found.attempt
        self._own(found.process)
        return found.process, found.attempt

    def environment(self) -> dict[str, str]:
        """The environment for a process of this attempt. Raises `AgentError` for a value that none can hold."""
        assignment = self._assignment
        variables = {
            **self._environment,
            "ORCH_SESSION": assignment.run.session,
            "ORCH_SESSION_DIR": str(assignment.run.directory),
            "ORCH_TASK_ID": assignment.task.id,
            "ORCH_ATTEMPT": str(assignment.attempt),
            "ORCH_IDEMPOTENCY_KEY": assignment.idempotency_key,
            "ORCH_OUTPUTS": str(self.attempt_dir() / "outputs"),
            **{f"ORCH_INPUT_{name}": str(path) for name, path in assignment.inputs.items()},
            **{f"ORCH_PARAM_{name}": _text(value) for name, value in assignment.run.params.items()},
            **assignment.env,
        }
        for name, value in variables.items():
            if "\0" in value:
                raise AgentError(f"the environment variable {name} holds a NUL character, which none can")
            if len(value) > MAX_VARIABLE // 4 and len(value.encode("utf-8", "replace")) > MAX_VARIABLE:
                raise AgentError(
                    f"the environment variable {name} has more than {MAX_VARIABLE} bytes, and none can: "
                    "give the path of a file instead"
                )
        return variables

    def attempt_dir(self) -> Path:
        """The attempt's directory, made on first use with ``outputs/`` in it."""
        if self._directory is None:
            session = SessionDir(Path(self._assignment.run.directory))
            attempt = session.attempt(self._assignment.task.id, self._assignment.attempt)
            self._directory = session.root.make_dir(f"{attempt}/outputs").parent
        return self._directory

    def progress(self, message: str = "", done: int = 0, total: int = 0, *, logged: bool = False) -> None:
        """Tell people how far the attempt is; `logged` says that its log tells it as well."""
        message = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        self._record(TaskProgressed(self._assignment.task.id, self._assignment.attempt, message, done, total, logged))

    def report(self, event: AttemptEvent) -> None:
        """Put a small fact of this attempt into the session's log, while it runs."""
        self._record(event)

    async def end_processes(self, grace: float) -> None:
        """End what is still running, and wait until it is gone, even when cancelled meanwhile."""
        endings = asyncio.gather(*(process.terminate(grace) for process in self.processes), return_exceptions=True)
        await finished(endings)


def run_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What processes inherit of the run's own environment, with the interpreter's `bin` first in PATH."""
    inherited = {name: value for name, value in environment.items() if not name.startswith(_OF_A_TASK)}
    return {**inherited, "PATH": search_path(environment)}


async def finished(work: asyncio.Future[Any]) -> Any:
    """Wait for work that must not be left half-done; a cancellation meanwhile is raised when it is done."""
    cancelled = None
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:  # noqa: BLE001, S110 - raised below, where its result is asked for
            pass
    if cancelled is not None:
        raise cancelled
    return work.result()


def _text(value: Any) -> str:
    """A parameter's value as a variable: text as it is, nothing as nothing, everything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()
