"""Work in a process of its own Python: a request file in, progress lines and an answer file out.

What the work prints is a log and never read as anything else: only the answer file, written at the end by our own
code, says how it went.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.exits import failure_of, warnings_of
from orchestrator_nb.core.ports import Assignment, Command, Exit, Failure, Process, Services, Success
from orchestrator_nb.errors import OrchestratorError, UnsafePath
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.forking import single_threaded
from orchestrator_nb.system.preloading import CannotFork
from orchestrator_nb.system.reading import open_regular

REQUEST, PROGRESS, ANSWER = "request.json", "progress.jsonl", "answer.json"
#: File that takes what it prints.
LOG = "log"

#: Seconds between two looks at the progress file.
INTERVAL = 0.1
#: Most bytes of an answer.
LIMIT = 64 * 2**20


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What a child says at its end: one of the two."""

    success: Success | None = None
    failure: Failure | None = None


class Progress(msgspec.Struct):
    """One line of the progress file."""

    message: str
    done: int
    total: int


_answers = msgspec.json.Decoder(Answer)
_lines = msgspec.json.Decoder(Progress)


async def run_child(
    program: Path,
    request: Mapping[str, Any],
    assignment: Assignment,
    services: Services,
    defaults: Mapping[str, str] | None = None,
    preload: tuple[str, ...] | None = None,
) -> Success | Failure:
    """Run `program`, a Python file of this package, on `request`; pass on its progress; return its answer.

    `defaults` are environment variables that hold where neither the run nor the task says otherwise. With `preload`
    it is a fork of an interpreter that has these modules, if that can be, and has one thread, so that it can fork.
    """
    process = await start_child(program, request, assignment, services, defaults, preload)
    directory = Path(services.attempt_dir())
    return answer_of(await followed(process, directory, services), directory)


async def start_child(
    program: Path,
    request: Mapping[str, Any],
    assignment: Assignment,
    services: Services,
    defaults: Mapping[str, str] | None = None,
    preload: tuple[str, ...] | None = None,
) -> Process:
    """Start what `run_child` runs."""
    environment = {"PYTHONUNBUFFERED": "1", **(defaults or {}), **services.environment()}
    return await _spawn(_command(program, request, assignment, services, environment), services, preload)


async def run_child_with(  # noqa: PLR0913 - as `run_child`
    environment: Mapping[str, str],
    secrets: tuple[str, ...],
    program: Path,
    request: Mapping[str, Any],
    assignment: Assignment,
    services: Services,
    preload: tuple[str, ...] | None = None,
) -> Success | Failure:
    """`run_child` with this whole environment, instead of all that the run has; no `secrets` get into its log."""
    command = _command(program, request, assignment, services, environment)
    process = await _spawn(msgspec.structs.replace(command, secrets=secrets), services, preload)
    directory = Path(services.attempt_dir())
    return answer_of(await followed(process, directory, services), directory)


def _command(
    program: Path,
    request: Mapping[str, Any],
    assignment: Assignment,
    services: Services,
    environment: Mapping[str, str],
) -> Command:
    directory = Path(services.attempt_dir())
    Root(directory).write_atomic(REQUEST, msgspec.json.encode(request))
    return Command(
        # -P: no file in the working directory takes the place of a module that the child itself needs
        argv=(sys.executable, "-P", str(program), str(directory)),
        cwd=assignment.cwd,
        env=environment,
        log=directory / LOG,
    )


async def followed(
    process: Process, directory: Path, services: Services, waits: Callable[[], bool] = lambda: False
) -> Exit | None:
    """Pass on the progress of a child until it has ended; None if before that it `waits`, which is asked often."""
    progress = _Follower(directory / PROGRESS, services)
    waiting = asyncio.ensure_future(process.wait())
    try:
        while not waiting.done():
            await asyncio.wait([waiting], timeout=INTERVAL)
            progress.read()
            if waits() and not waiting.done():
                return None
    finally:
        waiting.cancel()
    return waiting.result()


def answer_of(end: Exit | None, directory: Path) -> Success | Failure:
    """What a child left in its directory; None: it has answered, and not ended."""
    if end and (failure := failure_of(end, directory / LOG)):
        return failure
    try:
        answer = _answers.decode(Root(directory).read_bytes(ANSWER, LIMIT))
    except (OrchestratorError, msgspec.DecodeError, UnicodeDecodeError) as error:
        code = end.code if end else None
        return Failure(f"the process ended without a valid answer: {error}", "exit_code", exit_code=code)
    if answer.success is not None:
        return msgspec.structs.replace(answer.success, warnings=warnings_of(end) if end else ())
    return answer.failure or Failure("the process gave an empty answer")


async def _spawn(command: Command, services: Services, preload: tuple[str, ...] | None) -> Process:
    if preload is not None:
        fork = msgspec.structs.replace(command, env=single_threaded(command.env), preload=preload)
        with suppress(CannotFork):
            return await services.spawn(fork)
    return await services.spawn(command)


class _Follower:
    """Reads what was added to a progress file since the last look."""

    def __init__(self, path: Path, services: Services) -> None:
        self._path = path
        self._services = services
        self._offset = 0

    def read(self) -> None:
        try:
            with open_regular(self._path) as file:
                file.seek(self._offset)
                data = file.read()
        except (FileNotFoundError, UnsafePath):
            return
        whole = data.rpartition(b"\n")[0]
        self._offset += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            try:
                said = _lines.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            self._services.progress(said.message, said.done, said.total)
