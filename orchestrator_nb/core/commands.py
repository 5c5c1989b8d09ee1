"""Processes: to start, running, ended. It needs nothing of plans and tasks, and so takes no time to import."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePath
from typing import Protocol

import msgspec

__all__ = ["Command", "Exit", "Process", "Spawner", "check_argv", "check_text"]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start. Standard input is `/dev/null` or `stdin_file`; output goes to `log` as it comes."""

    argv: Sequence[str]
    cwd: PurePath
    #: The whole environment: nothing else is inherited.
    env: Mapping[str, str]
    #: File that takes the raw standard output and error, absolute.
    log: PurePath
    #: File for standard error alone, when it must not be mixed in.
    error_log: PurePath | None = None
    stdin_file: PurePath | None = None
    #: Cores it may use, bytes of memory its tree may use; None: no limit.
    cpus: float | None = None
    memory: int | None = None
    #: Modules that it needs: it is run in a fork of an interpreter that has them, and so does not start one. Only for
    #: ``PYTHON [-P] FILE ARGUMENT...`` and ``PYTHON [-P] -m MODULE ARGUMENT...`` with the running interpreter.
    #: None: it is executed as any program.
    preload: tuple[str, ...] | None = None
    #: Values that are taken out of its output before any of it is written, of at least 8 bytes each.
    secrets: tuple[str, ...] = ()


class Exit(msgspec.Struct, frozen=True):
    """How a process ended."""

    #: Exit code, or minus the number of the signal that ended it.
    code: int
    #: `exited`, `memory`, `processes` (too many of them), `cancelled`, `supervisor_lost`.
    reason: str = "exited"
    #: Processes that were still alive in its tree when it ended, and were killed.
    leftovers: int = 0
    #: Bytes of its output that are not in the log.
    lost: int = 0
    #: For people: why output was lost, or what could not be killed.
    note: str = ""


class Process(Protocol):
    """A running process with its whole tree."""

    pid: int
    start_time: int
    containment: str

    async def wait(self) -> Exit:
        """Wait for the exit of the process (not for the end of its output)."""

    async def terminate(self, grace: float = 10.0) -> Exit:
        """TERM to the whole tree, after `grace` seconds KILL; return when all of it is gone."""

    def output(self) -> AsyncIterator[bytes]:
        """The log's bytes in chunks as they arrive, until the process has exited and all was read."""


class Spawner(Protocol):
    """Starts processes whose whole trees die with the run."""

    async def spawn(self, command: Command) -> Process:
        """Start it. Raises `AgentError` if it cannot be started (missing, not executable)."""


def check_argv(check: str | Sequence[str]) -> tuple[str, ...]:
    """A task's check as a list of arguments: one that is a string is a line for the shell."""
    return ("/bin/sh", "-c", check) if isinstance(check, str) else tuple(check)


def check_text(check: str | Sequence[str]) -> str:
    """The same for people."""
    return check if isinstance(check, str) else shlex.join(check)
