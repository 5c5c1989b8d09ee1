"""Kernels in forks, for a process of a user: a supervisor on the library's loop that ends with the process."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Mapping
from contextlib import suppress

from orchestrator_nb.core.commands import Command, Process
from orchestrator_nb.system.loop import submit
from orchestrator_nb.system.processes import Identity, alive, boot_id
from orchestrator_nb.system.supervisor import Supervisor

__all__ = ["Fork", "Pool", "pool"]

#: Seconds that ending what still runs may take when the process ends.
CLOSING = 5.0


class Fork:
    """A process that the supervisor forked (`provisioner.Process`); to be used in any thread."""

    def __init__(self, process: Process, refused: Mapping[str, str]) -> None:
        self.pid = process.pid
        #: Modules that were asked for and could not be there before, with the reason.
        self.refused = dict(refused)
        self._process = process
        self._exit = submit(process.wait())

    def poll(self) -> int | None:
        """None while it runs, then its exit code."""
        return self._exit.result().code if self._exit.done() else None

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.wait((asyncio.wrap_future(self._exit),))

    def send_signal(self, number: int) -> None:
        """Signal the process and its group, if it still is the one that was started."""
        if not self._exit.done() and alive(Identity(self.pid, self._process.start_time, boot_id())):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """End it with all that it started."""
        submit(self._process.terminate(0))


class Pool:
    """One supervisor."""

    def __init__(self) -> None:
        self._supervisor = Supervisor()
        atexit.register(self.close)

    async def spawn(self, command: Command) -> Fork:
        """Start a command; its end is followed. Raises `AgentError` if it cannot be started."""
        process = await asyncio.wrap_future(submit(self._supervisor.spawn(command)))
        return Fork(process, process.preloaded.refused if process.preloaded else {})

    def close(self) -> None:
        """End all that still runs."""
        atexit.unregister(self.close)
        concurrent.futures.wait((submit(self._supervisor.close(0)),), CLOSING)


_lock = threading.Lock()
_pool: Pool | None = None


def pool() -> Pool:
    """The pool of this process, started with its first use."""
    global _pool  # noqa: PLW0603 - one a process
    with _lock:
        if _pool is None:
            _pool = Pool()
        return _pool


def _forget_after_fork() -> None:
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
