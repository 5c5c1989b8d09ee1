"""What jupyter_client needs to know of a kernel that is a fork: how to start it, whether it lives, how to end it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from orchestrator_nb.core.commands import Command
from orchestrator_nb.kernels.manager import Program
from orchestrator_nb.kernels.pool import pool

__all__ = ["Forked", "Pooled", "Process", "kernel_argv"]

#: File that takes what a kernel's process writes past the kernel.
LOG = "log"


def kernel_argv(argv: list[str]) -> list[str]:
    """The command of an IPython kernel, as a fork runs it."""
    words = argv[argv.index("ipykernel_launcher") + 1 :]
    return [sys.executable, "-m", "orchestrator_nb.kernels._kernel", *words]


class Process(Protocol):
    """A process that was forked, by whomever."""

    pid: int

    def poll(self) -> int | None:
        """None while it runs, then its exit code."""

    async def ended(self) -> None:
        """Wait for its end."""

    def send_signal(self, number: int) -> None:
        """Signal it and its process group."""

    def kill(self) -> None:
        """End it."""


class Forked(Program):
    """A kernel in a fork."""

    held: Process | None = None

    @property
    def has_process(self) -> bool:
        """Whether it was started, and nobody has taken notice of its end."""
        return self.held is not None

    async def poll(self) -> int | None:
        """None while it runs, then its exit code."""
        return self.held.poll() if self.held else 0

    async def ended(self) -> None:
        """Wait for its end."""
        if self.held:
            await self.held.ended()

    async def wait(self) -> int | None:
        """Wait for its end, and let go of it."""
        await self.ended()
        code = await self.poll()
        self.held = None
        return code

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and its process group."""
        if self.held:
            self.held.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """End it."""
        if self.held:
            self.held.kill()

    async def terminate(self, restart: bool = False) -> None:
        """Ask it to end."""
        await self.send_signal(signal.SIGTERM)


class Pooled(Forked):
    """Forked from a preloaded interpreter by the supervisor of this process (`pool`)."""

    #: Modules that it is to have from the start; those that it cannot have, with the reason.
    preload: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        """Start it. Raises `AgentError`, of which `CannotFork` says that it can be started otherwise."""
        command = Command(
            argv=kernel_argv(cmd),
            cwd=Path(options.get("cwd") or os.getcwd()),  # noqa: PTH109 - as jupyter_client has it
            env=options["env"],
            log=Path(self.parent.directory, LOG),
            preload=self.preload,
        )
        fork = await pool().spawn(command)
        self.held, self.refused = fork, fork.refused
        self.pid = self.pgid = fork.pid
        return self.connection_info
