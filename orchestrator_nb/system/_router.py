"""The supervisor: a small single-threaded process that forks the reapers of a run and passes orders on to them.

It is a child-subreaper as the reapers are: what a killed reaper leaves behind becomes its child, and is killed.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time

from orchestrator_nb.system._cgroup import Cgroup
from orchestrator_nb.system._proc import own_children, signal_trees
from orchestrator_nb.system._reaper import Launch, Reaper, spawn_program
from orchestrator_nb.system._wire import ORDERS, SIGNALS, Frames, arrived, frame, report

#: Seconds that reapers get to end their trees when the coordinator is gone.
SHUTDOWN = 3.0

PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36


class Supervisor:
    """Reapers by name: their pids, and the pipes by which they get their orders."""

    def __init__(self, log_cap: int, process_limit: int, cgroup: Cgroup, signals: int, launch: Launch) -> None:
        self.launch = launch
        self.log_cap = log_cap
        self.process_limit = process_limit
        self.cgroup = cgroup
        self.signals = signals
        self.orders = Frames(ORDERS)
        self.pids: dict[int, bytes] = {}
        self.pipes: dict[bytes, int] = {}
        #: Reapers that were killed and whose trees are not all dead yet.
        self.lost: list[bytes] = []
        #: When to lose patience with the reapers; 0 as long as the coordinator is there.
        self.deadline = 0.0

    def serve(self, coordinator: int) -> None:
        """Work until the coordinator (a pidfd) is gone, and then until all trees are."""
        poll = select.poll()
        for fd in (ORDERS, self.signals, coordinator):
            poll.register(fd, select.POLLIN)
        while self.pids or self.lost or not self.deadline:
            for fd, _ in poll.poll(10 if self.lost else 100 if self.deadline else None):
                if fd == self.signals:
                    arrived(self.signals)
                    self.reap()
                elif not self.deadline and (fd == coordinator or not self.obey()):
                    poll.unregister(ORDERS)
                    poll.unregister(coordinator)
                    self.end()
            if self.deadline and time.monotonic() > self.deadline:
                for pid in self.pids:
                    os.kill(pid, signal.SIGKILL)
            if self.lost:
                self.sweep()
        self.cgroup.close()

    def obey(self) -> bool:
        """Carry out the orders that are there; return False when no more will come."""
        orders = self.orders.read()
        for order in orders or ():
            name, verb = order.split(b"\0", 2)[:2]
            if verb == b"end":
                return False
            if verb == b"fork":
                self.fork(name)
            elif name not in self.pipes:
                pass  # it has just died, as the coordinator is about to hear
            elif verb == b"close":
                os.close(self.pipes.pop(name))
            elif verb == b"destroy":
                os.kill(next(pid for pid, of in self.pids.items() if of == name), signal.SIGKILL)
            else:
                self.pass_on(name, frame(order))
        return orders is not None

    def pass_on(self, name: bytes, data: bytes) -> None:
        """Give an order to a reaper."""
        try:
            while data:
                data = data[os.write(self.pipes[name], data) :]
        except BrokenPipeError:
            pass  # killed just now

    def fork(self, name: bytes) -> None:
        """Fork a reaper."""
        pipe: tuple[int, ...] = ()
        try:
            pipe = reader, writer = os.pipe()
            pid = os.fork()
        except OSError as error:
            for fd in pipe:
                os.close(fd)
            report(f"failed {name.decode()} {error.errno} fork")
            return
        if pid:
            os.close(reader)
            self.pids[pid] = name
            self.pipes[name] = writer
            return
        try:
            os.dup2(reader, ORDERS)
            for fd in (reader, writer, *self.pipes.values()):
                os.close(fd)
            hold_orphans(b"orch-reaper")
            Reaper(name.decode(), self.log_cap, self.process_limit, self.cgroup, self.launch).serve(self.signals)
        except Exception:  # noqa: BLE001 - not SystemExit, nor what a fork raises to become a command (`_forking`)
            os._exit(1)
        os._exit(0)

    def reap(self) -> None:
        """See who has ended; a reaper that did not end in order has left its tree to this process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            name = self.pids.pop(pid, b"")
            if name in self.pipes:
                os.close(self.pipes.pop(name))
            if name and status:
                self.lost.append(name)

    def sweep(self) -> None:
        """Kill what killed reapers left behind: the children that are no reapers."""
        self.reap()
        orphans = [pid for pid in own_children() if pid not in self.pids]
        signal_trees(orphans, signal.SIGKILL)
        if not orphans:
            for name in self.lost:
                report(f"gone {name.decode()}")
            self.lost.clear()

    def end(self) -> None:
        """The coordinator is gone, or wants no more: so are the reapers' orders."""
        for pipe in self.pipes.values():
            os.close(pipe)
        self.pipes.clear()
        self.deadline = time.monotonic() + SHUTDOWN


def hold_orphans(name: bytes) -> None:
    """Make this process, under a new name, the one that inherits the orphans below it."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_NAME, name, 0, 0, 0)


def open_signals() -> int:
    """Block every signal, and return a file descriptor that each process reads its own from, forks included."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    mask = sum(1 << (number - 1) for number in SIGNALS).to_bytes(8, sys.byteorder)
    return int(ctypes.CDLL(None).signalfd(-1, ctypes.create_string_buffer(mask, 128), os.O_NONBLOCK | os.O_CLOEXEC))


def find_coordinator() -> int:
    """A pidfd of the process that started this one."""
    parent = os.getppid()
    coordinator = os.pidfd_open(parent)
    if os.getppid() != parent:
        sys.exit("the coordinator is gone")
    return coordinator


def main(arguments: list[str], coordinator: int, launch: Launch = spawn_program) -> None:
    """Be the supervisor of a coordinator (a pidfd)."""
    log_cap, process_limit, cgroup_name = arguments
    hold_orphans(b"orch-supervisor")
    signals = open_signals()
    supervisor = Supervisor(int(log_cap), int(process_limit), Cgroup(cgroup_name), signals, launch)
    report(f"ready {supervisor.cgroup.memory:d} {supervisor.cgroup.path}")
    gc.freeze()
    supervisor.serve(coordinator)
