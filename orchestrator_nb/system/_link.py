"""The connection to one supervisor process: orders go down, reports come up (`_wire`)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator_nb.core.commands import Command, Exit
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _cgroup, processes
from orchestrator_nb.system._process import Preloaded, SupervisedProcess
from orchestrator_nb.system._wire import frame

LINUX = hasattr(os, "pidfd_open")
PROGRAM = Path(__file__).with_name("_supervisor_main.py")
#: Idle reapers that are kept for the next commands (2 MB each).
MAX_IDLE = 16
#: Seconds: for the supervisor to start; for reapers to end their trees without it; for it to end in order.
START, BURIAL, FAREWELL = 20.0, 1.5, 6.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """How a supervisor process is started: the ordinary one is as small as can be."""

    options: tuple[str, ...] = ("-I", "-S")
    program: Path = PROGRAM
    environment: Mapping[str, str] = field(
        default_factory=lambda: {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    )
    #: What it is to import, for commands that are its forks (`preloading`).
    modules: tuple[str, ...] = ()
    #: Seconds that it has for each of them.
    import_limit: float = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows the limits on its command line."""
        return (str(self.import_limit), *self.modules) if self.import_limit else ()


class Link:
    """A supervisor process and the commands that its reapers hold. It is lost when that process has died."""

    def __init__(self, session: str, log_cap: int, process_limit: int, interpreter: Interpreter | None = None) -> None:
        how = interpreter or Interpreter()
        name = processes.keeper_name(session)
        limits = (str(log_cap), str(process_limit), processes.CGROUP + name)
        self._command = (sys.executable, *how.options, str(how.program))
        self._popen = subprocess.Popen(
            [*self._command, *limits, *how.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={**how.environment, processes.KEEPER: name},
            start_new_session=True,
        )
        #: Seconds that it may take to start.
        self._patience = START + how.import_limit * len(how.modules)
        #: What it has imported, what it has not and why, and the module at which it is.
        self.preloaded: list[str] = []
        self.refused: dict[str, str] = {}
        self._importing = ""
        #: Called when nothing of it runs any more.
        self.on_idle: Callable[[], None] = lambda: None
        try:
            self._pidfd = os.pidfd_open(self._popen.pid)
        except OSError:
            self._popen.kill()
            self._popen.communicate()
            raise
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._orders, self._reports = self._popen.stdin, self._popen.stdout
        self._log_cap = log_cap
        #: Directory of the run's cgroup, empty if there is none; whether it can limit memory.
        self.cgroup = ""
        self.memory = False
        self.lost = False
        self._held: dict[int, SupervisedProcess] = {}
        self._idle: list[int] = []
        self._last = 0
        self._outgoing = bytearray()
        self._incoming = ""
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._hung_up = False
        #: Supervisor and reapers have all ended; and all they held is dead, and every file closed.
        self._silent: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._burial: asyncio.Task[None] | None = None
        os.set_blocking(self._orders.fileno(), False)
        os.set_blocking(self._reports.fileno(), False)
        self._loop.add_reader(self._reports, self._receive)
        self._loop.add_reader(self._pidfd, self._died)

    async def ready(self) -> None:
        """Wait until the supervisor is there."""
        done, _ = await asyncio.wait((self._ready,), timeout=self._patience)
        if not done or self.lost:
            self._popen.kill()
            raise AgentError(
                f"The supervisor of processes did not start. To see why, run: {' '.join(self._command)} 0 0 ''"
            )

    async def spawn(self, fields: list[bytes], command: Command) -> SupervisedProcess:
        """Have a reaper start a command, of which these are the fields of the order `spawn`.

        Raises `OSError`, with what it is about as its file name, if it could not be started.
        """
        process = SupervisedProcess(command, "cgroup" if self.cgroup else "reaper", self._order)
        if command.preload is not None:
            refused = {name: self.refused[name] for name in command.preload if name in self.refused}
            process.preloaded = Preloaded(tuple(self.preloaded), refused)
            told = process.preloaded.variables(command.env)
            fields = [*fields, *(os.fsencode(f"{name}={value}") for name, value in told.items())]
        if self._idle:
            process.reaper = self._idle.pop()
        else:
            process.reaper = self._last = self._last + 1
            self._send(process.reaper, b"fork")
        self._held[process.reaper] = process
        self._send(process.reaper, b"spawn", *fields)
        await process.launch()
        return process

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs."""
        return not self._held

    async def gone(self) -> None:
        """Wait until supervisor and reapers, and all that they held, are dead."""
        await asyncio.shield(self._gone)

    async def close(self, grace: float) -> None:
        """End what still runs, then the supervisor."""
        await asyncio.gather(*[process.terminate(grace) for process in self._held.values()])
        self._send(0, b"end")
        self._hang_up()
        done, _ = await asyncio.wait((self._gone,), timeout=FAREWELL)
        if not done:
            self._popen.kill()
            await self._gone

    # -- orders

    def _order(self, process: SupervisedProcess, verb: bytes) -> None:
        """Order something about a process; of one that has ended nothing is known any more."""
        if self._held.get(process.reaper) is process:
            self._send(process.reaper, verb)

    def _send(self, reaper: int, *fields: bytes) -> None:
        if self._hung_up:
            return
        waiting = bool(self._outgoing)
        self._outgoing += frame(b"\0".join((b"%d" % reaper, *fields)))
        if not waiting:
            self._flush()

    def _flush(self) -> None:
        """Write what the pipe takes; the rest follows when there is room."""
        try:
            del self._outgoing[: os.write(self._orders.fileno(), self._outgoing)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._outgoing.clear()  # the supervisor has died, as we are about to hear
        if self._outgoing:
            self._loop.add_writer(self._orders, self._flush)
        else:
            self._loop.remove_writer(self._orders)

    def _hang_up(self) -> None:
        if not self._hung_up:
            self._hung_up = True
            self._loop.remove_writer(self._orders)
            self._orders.close()

    # -- reports

    def _receive(self) -> None:
        """Read the reports that are there; the pipe ends when the supervisor and all reapers have."""
        try:
            data = os.read(self._reports.fileno(), 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._reports)
            self._silent.set_result(None)
            return
        *lines, self._incoming = (self._incoming + data.decode()).split("\n")
        for line in lines:
            kind, *words = line.split(" ")
            if kind == "ready":
                self.memory = words[0] == "1"
                self.cgroup = " ".join(words[1:])
                self._ready.set_result(None)
            elif kind == "importing":
                self._importing = words[0]
            elif kind == "preloaded":
                self.preloaded.append(words[0])
            elif kind == "refused":
                self.refused[words[0]] = " ".join(words[1:])
            else:
                self._hear(kind, int(words[0]), words[1:])

    def _hear(self, kind: str, reaper: int, words: list[str]) -> None:
        """Tell a process what is reported about it."""
        if kind == "started":
            pid, start_time, offset = map(int, words)
            self._held[reaper].launched(pid, start_time, offset)
        elif kind == "exited":
            self._held.pop(reaper).end(self._exit(*words))
            self._rest(reaper)
        elif kind == "failed":
            number, about = int(words[0]), words[1]
            self._held.pop(reaper).fail(OSError(number, os.strerror(number), about))
            if about != "fork":
                self._rest(reaper)
        elif reaper in self._held:
            self._held.pop(reaper).lost()
        elif reaper in self._idle:
            self._idle.remove(reaper)
        if not self._held:
            self.on_idle()

    def _rest(self, reaper: int) -> None:
        """Keep a reaper for the next command, or let it go."""
        if len(self._idle) < MAX_IDLE:
            self._idle.append(reaper)
        else:
            self._send(reaper, b"close")

    def _exit(self, code: str, reason: str, leftovers: str, lost: str, error: str) -> Exit:
        note = ""
        if int(error):
            note = f"the log could not be written ({os.strerror(int(error))})"
        elif int(lost):
            note = f"there was more output than the {self._log_cap:,} bytes that a log may hold"
        if reason == "orphaned":
            reason = "supervisor_lost"
        return Exit(int(code), reason, int(leftovers), int(lost), note)

    # -- the supervisor's end

    def _died(self) -> None:
        """The supervisor has ended. Its reapers end their trees now, if there are any."""
        self._loop.remove_reader(self._pidfd)
        if not self._ready.done():
            with suppress(OSError):
                os.killpg(self._popen.pid, signal.SIGKILL)  # what a module has started; not waited for: the pid is ours
        self._popen.wait()
        if not self._ready.done() and not self._silent.done():
            self._receive()  # what it said last
        self.lost = True
        self._hang_up()
        if self._importing and not self._ready.done():
            self.refused.setdefault(self._importing, _death(self._popen.returncode))
        if not self._ready.done():
            self._ready.set_result(None)
        self._burial = self._loop.create_task(self._bury())

    async def _bury(self) -> None:
        """Hear the last reports of the reapers, end what they did not, and let go of everything."""
        await asyncio.wait((self._silent,), timeout=BURIAL)
        self._loop.remove_reader(self._reports)
        try:
            if self._popen.returncode:
                await asyncio.to_thread(self._sweep)
        finally:
            for process in self._held.values():
                process.lost()
            self._held.clear()
            self._reports.close()
            os.close(self._pidfd)
            self._gone.set_result(None)
            self.on_idle()

    def _sweep(self) -> None:
        """End what a killed supervisor has left behind (blocking)."""
        if self.cgroup:
            _cgroup.remove(self.cgroup)
        for process in self._held.values():
            process.sweep()


def _death(code: int) -> str:
    """What ended a supervisor while it imported a module."""
    if code == -signal.SIGALRM:
        return "takes too long to import"
    return f"ends the interpreter ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
