"""One supervised process, as those who wait for it see it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from msgspec import structs

from orchestrator_nb.core.commands import Command, Exit
from orchestrator_nb.system import processes
from orchestrator_nb.system.processes import Identity
from orchestrator_nb.system.reading import open_regular

#: Seconds that a reaper gets to obey KILL, and then the supervisor to kill reaper and tree.
OBEY, GIVE_UP = 2.0, 5.0
#: Seconds between two looks at a log: at first and while it grows, and at most.
LOOK, LOOK_IDLE = 0.05, 0.25
#: Bytes of the log that are in memory at once.
CHUNK = 1 << 18
#: The exit of a process that was killed with its reaper: because that was wanted, and because someone else did.
GONE = Exit(-signal.SIGKILL, "cancelled")
LOST = Exit(-signal.SIGKILL, "supervisor_lost")
#: Environment variable by which a fork knows what it does not have: a JSON object of modules and reasons.
NOT_PRELOADED = "ORCH_NOT_PRELOADED"


@dataclass(frozen=True, slots=True)
class Preloaded:
    """What the process of a command had when it began."""

    modules: tuple[str, ...] = ()
    #: Modules that were asked for and are not there, with the reason: "starts threads".
    refused: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For people: ``fork; not preloaded: polars (starts threads)``."""
        refused = ", ".join(f"{name} ({reason})" for name, reason in self.refused.items())
        return f"fork; not preloaded: {refused}" if refused else "fork"

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What tells the process, beyond its `environment`, which may be that of another fork, what is refused."""
        return {NOT_PRELOADED: json.dumps(dict(self.refused))} if self.refused or NOT_PRELOADED in environment else {}


class SupervisedProcess:
    """A command with its tree, held by a reaper (`core.ports.Process`)."""

    def __init__(self, command: Command, containment: str, order: Callable[[SupervisedProcess, bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.start_time = 0
        #: `cgroup` or `reaper`: what is left to end its tree should its reaper be killed.
        self.containment = containment
        #: What it had imported when it began, if it is a fork (`Command.preload`).
        self.preloaded: Preloaded | None = None
        #: Number of the reaper that holds it.
        self.reaper = 0
        self._command = command
        self._offset = 0
        self._order = order
        self._terminating = False
        self._launch: asyncio.Future[OSError | None] = loop.create_future()
        self._exit: asyncio.Future[Exit] = loop.create_future()

    async def wait(self) -> Exit:
        """Wait for the exit of the process, and for the end of what it left behind (0.5 s at most).

        Who else may still hold its output open does not matter.
        """
        return await asyncio.shield(self._exit)

    async def terminate(self, grace: float = 10.0) -> Exit:
        """TERM to the whole tree, after `grace` seconds KILL; return when all of it is gone.

        A tree that cannot be killed (a process that waits for a dead disk) is given up after some seconds: the
        exit's note says so.
        """
        self._terminating = True
        try:
            for verb, patience in ((b"term", grace), (b"kill", OBEY), (b"destroy", GIVE_UP)):
                if patience > 0 and not self._exit.done():
                    self._order(self, verb)
                    await asyncio.wait((self._exit,), timeout=patience)
        except asyncio.CancelledError:
            self._order(self, b"kill")  # it has to go all the same
            raise
        self.end(structs.replace(GONE, note=f"process {self.pid}, or one below it, could not be killed"))
        return self._exit.result()

    async def output(self) -> AsyncGenerator[bytes, None]:
        """The log's bytes in chunks as they arrive, until the process has exited and all was read."""
        pause = LOOK
        with await self._open_log() as log:
            log.seek(self._offset)
            while True:
                ended = self._exit.done()
                chunk = os.read(log.fileno(), CHUNK)
                if chunk:
                    pause = LOOK
                    yield chunk
                    await asyncio.sleep(0)  # a talkative process must not keep the loop from the others
                elif ended:
                    return
                else:
                    await asyncio.wait((self._exit,), timeout=pause)
                    pause = min(pause * 1.25, LOOK_IDLE)

    async def _open_log(self) -> BinaryIO:
        """Open the log, when there is a file descriptor to be had."""
        while True:
            try:
                return open_regular(Path(self._command.log))
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
            await asyncio.sleep(LOOK_IDLE)

    # -- what the supervisor's reports say

    def launched(self, pid: int, start_time: int, offset: int) -> None:
        """It runs, and its output begins at `offset` in the log."""
        self.pid, self.start_time, self._offset = pid, start_time, offset
        if not self._launch.done():
            self._launch.set_result(None)

    def fail(self, error: OSError) -> None:
        """It could not be started."""
        if not self._launch.done():
            self._launch.set_result(error)
        self.end(GONE)

    def end(self, outcome: Exit) -> None:
        """It has ended; later news count for nothing."""
        if not self._exit.done():
            self._exit.set_result(outcome)

    def lost(self) -> None:
        """Its reaper was killed, and its tree with it."""
        if not self._launch.done():
            self._launch.set_result(OSError(errno.ECONNABORTED, "the process that held it was killed"))
        self.end(GONE if self._terminating else LOST)

    async def launch(self) -> None:
        """Wait until it runs. Raises `OSError` if it could not be started; cancelled, it ends the process."""
        try:
            error = await asyncio.shield(self._launch)
        except asyncio.CancelledError:
            await self.terminate(0)
            raise
        if error:
            raise error

    def sweep(self) -> None:
        """End what is left of it without its reaper (blocking)."""
        processes.kill(Identity(self.pid, self.start_time, processes.boot_id()))
        env = self._command.env
        if "ORCH_SESSION" in env and "ORCH_TASK_ID" in env and env.get("ORCH_ATTEMPT", "").isdigit():
            processes.sweep(env["ORCH_SESSION"], env["ORCH_TASK_ID"], int(env["ORCH_ATTEMPT"]))
