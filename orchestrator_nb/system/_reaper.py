"""A reaper: a small process that holds one command at a time with the whole tree below it.

It has its own session and is a child-subreaper, so that no descendant can leave its tree, whatever it does with
sessions, groups and double forks. It starts the command in a process group of its own with ``posix_spawn`` (vfork), or
as a fork of itself where it has modules that the command needs (`_forking`),
moves its output into the log, and reports when all of the tree is gone. It ends the tree by itself when the command
has exited and when nobody gives orders any more: its orders come from a pipe that the supervisor holds, its reports go
to one that the coordinator holds. Proven free of children, it can hold the next command.
"""

# A reaper is to be small: neither pathlib nor contextlib is loaded.
# ruff: noqa: PTH108, PTH113, PTH118, SIM105

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable
from itertools import islice

from orchestrator_nb.system._cgroup import Cgroup, write
from orchestrator_nb.system._drain import CHUNK, Drain
from orchestrator_nb.system._proc import descendants, living, own_children, read, signal_trees, start_time
from orchestrator_nb.system._wire import ORDERS, REPORTS, SIGNALS, Frames, arrived, report

#: Seconds that what a command left behind gets to end by itself, and then after TERM.
LINGER, LEFTOVER_GRACE = 0.1, 0.3
#: Seconds between TERM and KILL when nobody gives orders any more.
ORPHAN_GRACE = 0.5
#: Longest pause between two rounds of KILL, in milliseconds: some processes cannot be killed, and are not waited for.
MAX_PAUSE = 250.0
#: Seconds between two looks at a tree's memory and number of processes.
SAMPLE = 0.25
#: Seconds that a command has to take for a record of its exit to be left.
RECORD_AFTER = 1.0
#: Seconds in which writes of a talkative command are gathered (into larger ones, which cost a third).
COALESCE = 0.001
#: What a command's oom_score_adj is: the kernel, out of memory, takes it rather than the coordinator.
OOM_SCORE = "500"

PAGE = os.sysconf("SC_PAGE_SIZE")


class Task:
    """A command with its output and its tree, until all of it is gone."""

    def __init__(self, reaper: Reaper, fields: list[bytes]) -> None:
        self.reaper = reaper
        self.cwd, self.log, self.error_log, self.stdin, cores, memory, secrets, argc = fields[:8]
        self.cores = [int(core) for core in cores.split()]
        self.memory = int(memory)
        rest = iter(fields[8:])
        self.secrets, self.argv = list(islice(rest, int(secrets))), list(islice(rest, int(argc)))
        self.env = dict(item.split(b"=", 1) for item in rest)
        self.drains: dict[int, Drain] = {}
        #: Its own cgroup, where the kernel limits its memory.
        self.group = ""
        self.pid = self.start_time = 0
        #: Its exit code, once the command has exited.
        self.code: int | None = None
        #: Why its tree was ended, if it was not by itself.
        self.reason = "exited"
        self.leftovers = 0
        #: How far the end of its tree is, and when that goes on by itself.
        self.stage = ""
        self.deadline = 0.0
        #: Milliseconds between two rounds of KILL.
        self.pause = 2.0
        self.began = time.monotonic()
        self.next_sample = self.began + SAMPLE

    # -- the start

    def start(self) -> tuple[int, str]:
        """Start the command. Return an errno and what it is about (``0, ""``: nothing)."""
        about = "stdin"
        stdin = -1
        try:
            stdin = os.open(self.stdin or b"/dev/null", os.O_RDONLY | os.O_NONBLOCK)
            about = "cwd"
            os.chdir(self.cwd)  # noqa: TID251 - posix_spawn has no cwd, and the reaper's is nobody else's
            about = "log"
            output = errors = self.open_log(self.log)
            if self.error_log:
                errors = self.open_log(self.error_log)
            about = "program"
            program = executable(self.argv[0], self.env.get(b"PATH", os.defpath.encode()))
            about = "command"
            self.limit()
            self.pid = self.reaper.launch(program, self, (stdin, output.writer, errors.writer))
        except OSError as error:
            for drain in self.drains.values():
                os.close(drain.writer)
                drain.finish()
            self.reaper.cgroup.leave(self.group)
            self.reaper.cgroup.release(self.group)
            return error.errno or -1, about
        finally:
            if stdin >= 0:
                os.close(stdin)
        self.reaper.cgroup.leave(self.group)
        for drain in self.drains.values():
            os.close(drain.writer)
            self.reaper.poll.register(drain.pipe, select.POLLIN)
        write(f"/proc/{self.pid}/oom_score_adj", OOM_SCORE)
        self.start_time = start_time(self.pid)
        return 0, ""

    def open_log(self, path: bytes) -> Drain:
        """Take output into this log; a record of an earlier command there is void."""
        drain = Drain(path, self.reaper.log_cap, self.secrets)
        self.drains[drain.pipe] = drain
        remove(path + b".exit")
        return drain

    def limit(self) -> None:
        """Bind this process, and so the command, to its cores and its memory."""
        self.reaper.bind(self.cores)
        if self.memory and self.reaper.cgroup.memory:
            self.group = self.reaper.cgroup.limit(self.reaper.name, self.memory)

    # -- the end

    def order(self, verb: bytes) -> None:
        """Do as the coordinator says."""
        self.give_reason("cancelled")
        if verb == b"kill":
            self.stage = "kill"
        elif not self.stage and self.code is None:
            self.stage = "ordered"  # the coordinator has the clock
            self.signal(signal.SIGTERM, signal.SIGCONT)

    def orphan(self) -> None:
        """Nobody gives orders any more: end the tree."""
        self.give_reason("orphaned")
        if self.stage != "kill":
            self.stage, self.deadline = "term", time.monotonic() + ORPHAN_GRACE
            self.signal(signal.SIGTERM, signal.SIGCONT)

    def give_reason(self, reason: str) -> None:
        """Keep the first reason; what has exited by itself needs none."""
        if self.code is None and self.reason == "exited":
            self.reason = reason

    def patience(self) -> float:
        """Milliseconds until there is something to do unasked."""
        if self.stage == "kill":
            return self.pause
        wake = min(self.deadline or self.next_sample, self.next_sample)
        return max(0.0, wake - time.monotonic()) * 1000 + 1

    def proceed(self) -> bool:
        """Take the steps that are due; return whether all of the tree is gone."""
        self.reap()
        if self.code is not None and self.alone():
            return True
        now = time.monotonic()
        if now >= self.next_sample:
            self.next_sample = now + SAMPLE
            self.check_limits()
        if self.code is not None and not self.stage:
            self.stage, self.deadline = "linger", now + LINGER
        if self.stage == "linger" and now >= self.deadline:
            self.stage, self.deadline = "term", now + LEFTOVER_GRACE
            self.count_leftovers()
            self.signal(signal.SIGTERM, signal.SIGCONT)
        if self.stage == "term" and now >= self.deadline:
            self.stage = "kill"
        if self.stage == "kill":
            self.pause = min(1.2 * self.pause, MAX_PAUSE)
            self.count_leftovers()
            self.signal(signal.SIGKILL)
        return False

    def reap(self) -> None:
        """Reap what has ended, but not the command: as long as its zombie is there nobody else gets its pid."""
        while self.code is None:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            if ended.si_pid == self.pid:
                self.code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            else:
                os.waitpid(ended.si_pid, 0)

    def alone(self) -> bool:
        """Whether nothing but the command's zombie is left of the tree.

        Only looking tells: one that has just been reaped may have forked after the look before.
        """
        while others := [pid for pid in own_children() if pid != self.pid]:
            if 0 in [os.waitpid(pid, os.WNOHANG)[0] for pid in others]:
                return False
        return True

    def signal(self, *numbers: int) -> None:
        """Signal all of the tree."""
        if signal.SIGKILL in numbers:
            try:
                os.killpg(self.pid, signal.SIGKILL)  # all at once: no fork within the group is missed
            except OSError:
                pass
        signal_trees(own_children(), *numbers)

    def count_leftovers(self) -> None:
        """Count those who outlived the command."""
        if self.code is not None:
            self.leftovers = max(self.leftovers, len(living(descendants(os.getpid()))))

    def check_limits(self) -> None:
        """End a tree that has too many processes or uses too much memory."""
        tree = descendants(os.getpid(), self.reaper.process_limit)
        if len(tree) > self.reaper.process_limit:
            self.give_reason("processes")
            self.stage = "kill"
        if self.memory and not self.group and memory_of(tree, self.memory) > self.memory:
            self.give_reason("memory")
            self.stage = "kill"

    def finish(self) -> str:
        """All is gone: complete the log, leave the record next to it. Return what to report."""
        lost = error = 0
        for drain in self.drains.values():
            drain.finish()
            lost += drain.lost
            error = error or drain.error
        if self.reaper.cgroup.release(self.group):
            self.reason = "memory"
        self.record(lost)
        os.waitpid(self.pid, 0)
        return f"{self.code} {self.reason} {self.leftovers} {lost} {error}"

    def record(self, lost: int) -> None:
        """Write ``<log>.exit``, by which a resumed run knows how the command ended (`processes.read_exit`).

        One write to a new file: a record is there, or it is empty, and then it counts for nothing. A short command
        whose coordinator is there needs none: to run it again costs little more than the new file does.
        """
        if time.monotonic() - self.began < RECORD_AFTER and not self.reaper.orphaned:
            return
        text = (
            f'{{"pid": {self.pid}, "start_time": {self.start_time}, "code": {self.code}, "reason": "{self.reason}", '
            f'"leftovers": {self.leftovers}, "lost": {lost}, "time": {time.time():.3f}}}\n'
        )
        path = self.log + b".exit"
        try:
            remove(path)  # what the task may have put there
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.fchmod(fd, 0o600)
            os.write(fd, text.encode())
            os.close(fd)
        except OSError:
            pass  # without a record, a resumed run takes the attempt for interrupted


class Reaper:
    """The process around the tasks: waits for orders, children and output."""

    def __init__(self, name: str, log_cap: int, process_limit: int, cgroup: Cgroup, launch: Launch) -> None:
        self.name = name
        self.launch = launch
        self.log_cap = log_cap
        self.process_limit = process_limit
        self.cgroup = cgroup
        self.cores = self.bound = sorted(os.sched_getaffinity(0))
        self.orders = Frames(ORDERS)
        self.poll = select.poll()
        self.last_pump = 0.0
        self.task: Task | None = None
        self.orphaned = False

    def serve(self, signals: int) -> None:
        """Hold the tasks that come, until there are no more orders and nothing is left to hold."""
        os.setsid()
        self.poll.register(ORDERS, select.POLLIN)
        self.poll.register(REPORTS, 0)
        self.poll.register(signals, select.POLLIN)
        while self.task or not self.orphaned:
            for fd, _ in self.poll.poll(self.task.patience() if self.task else None):
                if fd == ORDERS:
                    self.obey()
                elif fd == signals:
                    arrived(signals)
                elif fd == REPORTS:
                    self.orphan()
                elif self.task and not self.pump(self.task.drains[fd]):
                    self.poll.unregister(fd)
            if self.task and self.task.proceed():
                self.end(self.task)

    def pump(self, drain: Drain) -> bool:
        """Move output; of a talkative command not at each of its writes, but some of them at once."""
        size = drain.pump()
        if 0 < size < CHUNK and time.monotonic() - self.last_pump < 2 * COALESCE:
            time.sleep(COALESCE)
        self.last_pump = time.monotonic()
        return size > 0

    def obey(self) -> None:
        """Carry out the orders that are there."""
        orders = self.orders.read()
        if orders is None:
            self.orphan()
            return
        for order in orders:
            _, verb, *fields = order.split(b"\0")
            if verb == b"spawn":
                self.begin(fields)
            elif self.task:
                self.task.order(verb)

    def orphan(self) -> None:
        """Nobody is there any more: orders and reports end together, or one by one."""
        if self.orphaned:
            return
        self.orphaned = True
        self.poll.unregister(ORDERS)
        self.poll.unregister(REPORTS)
        if self.task:
            self.task.orphan()

    def begin(self, fields: list[bytes]) -> None:
        """Take on a task."""
        task = Task(self, fields)
        error, about = task.start()
        if error:
            report(f"failed {self.name} {error} {about}")
            return
        self.task = task
        offset = next(iter(task.drains.values())).offset
        report(f"started {self.name} {task.pid} {task.start_time} {offset}")

    def end(self, task: Task) -> None:
        """Be done with it."""
        for pipe in task.drains:
            try:
                self.poll.unregister(pipe)
            except KeyError:
                pass  # it had come to its end
        outcome = task.finish()
        os.chdir("/")  # noqa: TID251 - to hold on to no directory
        self.task = None
        report(f"exited {self.name} {outcome}")

    def bind(self, cores: list[int]) -> None:
        """Run on these cores only; on all when there are none."""
        if self.bound != (cores or self.cores):
            self.bound = cores or self.cores
            os.sched_setaffinity(0, self.bound)


#: How the reapers of a supervisor start a task's program with standard input, output and error; returns the pid.
Launch = Callable[[bytes, Task, tuple[int, int, int]], int]


def spawn_program(program: bytes, task: Task, streams: tuple[int, int, int]) -> int:
    """Start a program in a process group of its own."""
    return os.posix_spawn(
        program,
        task.argv,
        task.env,
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)],
        setpgroup=0,
        setsigmask=(),
        setsigdef=SIGNALS,
    )


def executable(program: bytes, path: bytes) -> bytes:
    """Where a program is: in the directories of `path` when its name has no slash."""
    if b"/" in program:
        return program
    error: OSError = FileNotFoundError(errno.ENOENT, "not in PATH")
    for directory in path.split(b":"):
        candidate = os.path.join(directory or b".", program)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            error = PermissionError(errno.EACCES, "not executable")
    raise error


def remove(path: bytes) -> None:
    """Remove a file, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def memory_of(tree: list[int], limit: int) -> int:
    """Bytes of memory that processes use.

    This is the sum of what is resident, in which shared pages count many times; where that is over the limit, it is
    the sum of their proportional shares, which costs more to know.
    """
    resident = sum(int(fields[1]) * PAGE for pid in tree if (fields := read(f"/proc/{pid}/statm").split()))
    if resident <= limit:
        return resident
    rows = [row for pid in tree for row in read(f"/proc/{pid}/smaps_rollup").splitlines() if row.startswith(b"Pss:")]
    return sum(int(row.split()[1]) * 1024 for row in rows)
