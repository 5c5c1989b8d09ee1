"""The connection to one supervisor process: orders go down, reports come up (`_wire`)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from orchestrator_nb.core.ports import Command, Exit
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _cgroup, processes
from orchestrator_nb.system._process import SupervisedProcess
from orchestrator_nb.system._wire import frame

PROGRAM = Path(__file__).with_name("_supervisor_main.py")
#: Idle reapers that are kept for the next commands (2 MB each).
MAX_IDLE = 16
#: Seconds: for the supervisor to start; for reapers to end their trees without it; for it to end in order.
START, BURIAL, FAREWELL = 20.0, 1.5, 6.0


class Link:
    """A supervisor process and the commands that its reapers hold. It is lost when that process has died."""

    def __init__(self, session: str, log_cap: int, process_limit: int) -> None:
        name = processes.keeper_name(session)
        kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PROGRAM), str(log_cap), str(process_limit), processes.CGROUP + name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={processes.KEEPER: name, **kept},
            start_new_session=True,
        )
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
        done, _ = await asyncio.wait((self._ready,), timeout=START)
        if not done or self.lost:
            self._popen.kill()
            raise AgentError(
                f"The supervisor of processes did not start. To see why, run: {sys.executable} -I -S {PROGRAM} 0 0 ''"
            )

    async def spawn(self, fields: list[bytes], command: Command) -> SupervisedProcess:
        """Have a reaper start a command, of which these are the fields of the order `spawn`.

        Raises `OSError`, with what it is about as its file name, if it could not be started.
        """
        process = SupervisedProcess(command, "cgroup" if self.cgroup else "reaper", self._order)
        if self._idle:
            process.reaper = self._idle.pop()
        else:
            process.reaper = self._last = self._last + 1
            self._send(process.reaper, b"fork")
        self._held[process.reaper] = process
        self._send(process.reaper, b"spawn", *fields)
        await process.launch()
        return process

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
        self._popen.wait()
        self.lost = True
        self._hang_up()
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

    def _sweep(self) -> None:
        """End what a killed supervisor has left behind (blocking)."""
        if self.cgroup:
            _cgroup.remove(self.cgroup)
        for process in self._held.values():
            process.sweep()
