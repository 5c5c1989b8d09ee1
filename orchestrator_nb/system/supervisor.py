"""Processes whose whole trees end with the run: the coordinator's side of supervisor and reapers.

A supervisor process is started with the first command (`_router`); it forks a reaper for each command that runs at
the same time (`_reaper`), and reapers are used again. A launch costs 1.2-1.5 x the CPU of
``asyncio.create_subprocess_exec``; with a reaper forked for each command it would be 3 x, as a forked Python pays for
copying all the memory in which it counts references. The coordinator never forks: the supervisor is started by vfork,
however much memory a notebook holds.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
from types import TracebackType
from typing import Self

from orchestrator_nb.core.commands import Command
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _cgroup
from orchestrator_nb.system._link import LINUX, Link
from orchestrator_nb.system._process import SupervisedProcess
from orchestrator_nb.system.preloading import WarmLinks

#: Default of the bytes that a log may hold, and of the processes that a command may have.
LOG_CAP = 256 << 20
PROCESS_LIMIT = 4096
#: Seconds that the import of a module may take which commands want preloaded.
IMPORT_LIMIT = 30.0
#: Errors of a machine that is short of something just now; how long a start is tried again, in seconds.
TRANSIENT = frozenset((errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE))
RETRY_FOR, FIRST_DELAY, LONGEST_DELAY = 30.0, 0.02, 1.0


class Supervisor:
    """Starts processes whose whole trees die with the run (`core.ports.Spawner`).

    To be used from one event loop. It starts nothing before it is needed, and a killed supervisor process is
    replaced at the next command; the commands that it held end as `supervisor_lost`.
    """

    def __init__(
        self,
        session: str = "",
        *,
        log_cap: int = LOG_CAP,
        process_limit: int = PROCESS_LIMIT,
        import_limit: float = IMPORT_LIMIT,
    ) -> None:
        #: Bytes of output that a log holds (and the last MiB of what is more); processes that a command may have.
        self.log_cap = log_cap
        self.process_limit = process_limit
        self._session = session
        self._cores = sorted(os.sched_getaffinity(0)) if LINUX else []
        self._next_core = 0
        self._link: Link | None = None
        self._linking = asyncio.Lock()
        self._warm = WarmLinks(session, log_cap, process_limit, import_limit)

    async def start(self) -> None:
        """Start the supervisor process now, so that `facts` are known. Raises `AgentError` if it cannot be."""
        try:
            await self._connect()
        except OSError as error:
            raise AgentError(f"The supervisor of processes cannot be started: {error}.") from None

    @property
    def facts(self) -> tuple[str, ...]:
        """What holds processes, and what limits them, on this machine: for people."""
        link = self._link
        cgroup, memory = (bool(link.cgroup), link.memory) if link else _cgroup.available()
        if not LINUX:
            return ("Commands cannot be run here: their supervision needs Linux 5.3 or later.",)
        net = "and by a cgroup for the run" if cgroup else "(no cgroup v2 can be written here)"
        by = (
            "the kernel (cgroup v2)"
            if memory
            else "looking at processes every 0.25 s (no memory controller in cgroup v2)"
        )
        return (
            f"Process trees are held by a reaper each, {net}.",
            f"Memory is limited by {by}.",
            f"Cores are shared out by affinity: {len(self._cores)} of them.",
            f"A log holds {self.log_cap:,} bytes, and the end of what is more.",
            f"A command may have {self.process_limit:,} processes.",
        )

    def warm_facts(self) -> tuple[str, ...]:
        """What the interpreters that commands are forked from have preloaded, and what not and why: for people."""
        return self._warm.facts

    async def spawn(self, command: Command) -> SupervisedProcess:
        """Start it. A machine that is out of processes, files or memory is given some time.

        Raises:
            CannotFork: It has `preload` and cannot be run in a fork (`preloading.obstacle`): without, it can be run.
            AgentError: It cannot be started: the message says why, and what to do.
        """
        fields = self._encode(command)
        deadline = asyncio.get_running_loop().time() + RETRY_FOR
        delay = FIRST_DELAY
        while True:
            try:
                if command.preload is None:
                    return await (await self._connect()).spawn(fields, command)
                return await (await self._warm.connect(command)).spawn(fields, command)
            except OSError as error:
                if error.errno not in TRANSIENT or asyncio.get_running_loop().time() > deadline:
                    raise AgentError(explain(command, error)) from None
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    async def close(self, grace: float = 0.5) -> None:
        """End what still runs (TERM, after `grace` seconds KILL), and the supervisor process."""
        link, self._link = self._link, None
        await asyncio.gather(self._warm.close(grace), *([link.close(grace)] if link else []))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connect(self) -> Link:
        """The link to a living supervisor process."""
        if not LINUX:
            raise AgentError("Commands run under supervision, which needs Linux 5.3 or later: use one, or a container.")
        async with self._linking:
            if self._link and self._link.lost:
                await self._link.gone()
                self._link = None
            if not self._link:
                link = Link(self._session, self.log_cap, self.process_limit)
                try:
                    await link.ready()
                except BaseException:
                    await link.close(0)
                    raise
                self._link = link
            return self._link

    def _encode(self, command: Command) -> list[bytes]:
        """The command as the fields of a `spawn` order."""
        texts = [str(command.cwd), str(command.log), str(command.error_log or ""), str(command.stdin_file or "")]
        environment = [f"{name}={value}" for name, value in command.env.items()]
        cores = " ".join(map(str, self._choose_cores(command.cpus)))
        secrets = [secret for secret in command.secrets if "\0" not in secret]  # it could be in no variable
        fields = [
            *texts,
            cores,
            str(command.memory or 0),
            str(len(secrets)),
            str(len(command.argv)),
            *secrets,
            *command.argv,
            *environment,
        ]
        if not command.argv:
            raise AgentError("A command needs at least the name of a program; this one is an empty list.")
        if any("=" in name or not name for name in command.env):
            raise AgentError("The name of an environment variable must not be empty or hold '='.")
        for field in fields:
            if "\0" in field:
                raise AgentError(f"A command, its paths and its variables cannot hold a NUL: {field[:80]!r}.")
        return [os.fsencode(field) for field in fields]

    def _choose_cores(self, cpus: float | None) -> list[int]:
        """As many cores as are asked for, in turn; none when all may be used."""
        count = math.ceil(cpus or 0)
        if not 0 < count < len(self._cores):
            return []
        start, self._next_core = self._next_core, self._next_core + count
        return [self._cores[(start + n) % len(self._cores)] for n in range(count)]


def explain(command: Command, error: OSError) -> str:
    """Why a command could not be started, and what to do about it."""
    program = command.argv[0]
    reason = error.strerror or str(error)
    if error.filename == "cwd":
        return f"Cannot start '{program}' in {command.cwd}: {reason}. Give a directory that exists."
    if error.filename == "stdin":
        return f"Cannot start '{program}': its input {command.stdin_file} cannot be read: {reason}."
    if error.filename == "log":
        return f"Cannot start '{program}': its log {command.log} cannot be written: {reason}."
    if error.errno == errno.ENOENT and error.filename == "program":
        where = command.env.get("PATH", os.defpath)
        return f"Cannot start '{program}': no program of this name is in PATH ({where}). Install it, or give its path."
    if error.errno == errno.ENOENT:
        return (
            f"Cannot start '{program}' in {command.cwd}: it, or the interpreter that its first line names, "
            "does not exist. Correct the path."
        )
    if error.errno == errno.EACCES:
        return f"Cannot start '{program}': it may not be executed. Allow it with: chmod +x {program}"
    if error.errno == errno.ENOEXEC:
        return (
            f"Cannot start '{program}': it is no program for this machine. A script needs a first line like #!/bin/sh"
        )
    if error.errno == errno.E2BIG:
        return (
            f"Cannot start '{program}': its arguments and variables are too long (128 KiB each, 2 MiB in all). "
            "Hand large text over in a file, or as standard input."
        )
    if error.errno == errno.ECONNABORTED:
        return f"Cannot tell whether '{program}' was started: {reason}, with all that was running. Try it again."
    if error.errno in TRANSIENT:
        return (
            f"Cannot start '{program}': the machine is out of processes, files or memory ({reason}), for "
            f"{RETRY_FOR:.0f} s now. Run less at once (--jobs), or raise the limit (ulimit -u, ulimit -n)."
        )
    return f"Cannot start '{program}': {reason}."
