"""Processes by identity: pid, start time and boot, so that a reused pid is never taken for the process that had it.

Whatever signals here does so by a pidfd that was opened first and compared with the identity then (RELIABILITY B8).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from orchestrator_nb.system import _cgroup, _proc

#: Seconds that the reapers of a dead coordinator get to end their trees, and then the killed to die.
REAPERS_GRACE, KILL_GRACE = 4.0, 5.0
#: Looks in a row that find nothing: a chain of processes that fork and exit would have to be missed each time.
PROOFS = 10
#: Variable in the environment of supervisors and reapers, and prefix of their cgroups; `keeper_name` is what follows.
KEEPER = "ORCH_SUPERVISOR"
CGROUP = "orchestrator."

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever."""

    pid: int
    #: Clock ticks since boot, field 22 of /proc/PID/stat.
    start_time: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """What a reaper wrote next to a log when its command had ended: `Exit`, with the identity of the process."""

    pid: int
    start_time: int
    code: int
    #: `exited`, `memory`, `processes`, `cancelled`, or `orphaned`: ended because its coordinator was gone.
    reason: str
    leftovers: int
    lost: int
    #: Seconds since the epoch.
    time: float


@cache
def boot_id() -> str:
    """This boot of the machine."""
    return _proc.read("/proc/sys/kernel/random/boot_id").decode().strip()


def identity(pid: int) -> Identity | None:
    """Who has this pid now, or None."""
    started = _proc.start_time(pid)
    return Identity(pid, started, boot_id()) if started else None


def alive(process: Identity) -> bool:
    """Whether it still runs (a zombie does not)."""
    return identity(process.pid) == process and bool(_proc.living([process.pid]))


def kill(process: Identity, number: int = signal.SIGKILL) -> bool:
    """Signal it; return False, and do nothing, when it is not there any more."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if identity(process.pid) != process:
            return False
        signal.pidfd_send_signal(fd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def read_exit(log: PurePath) -> ExitRecord | None:
    """The record that a reaper left next to this log, if the command came to its end under it (A9)."""
    try:
        return ExitRecord(**json.loads(Path(f"{log}.exit").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def keeper_name(session: str) -> str:
    """How a supervisor of this session that this process starts is known: session, number, pid, start time."""
    return f"{_plain(session)}.{next(_numbers)}.{os.getpid()}.{_proc.start_time(os.getpid())}"


def sweep(session: str, task: str, attempt: int) -> tuple[int, ...]:
    """End what is left of an attempt whose coordinator or reaper is dead, and prove it.

    The reapers of a dead coordinator get time to end their trees by themselves. Then they are killed, and so is all
    that is in the cgroups of the session's dead coordinators, has the attempt's variables in its environment, or is
    below such a process. What wiped its environment can escape, where there is no cgroup (G4).

    Returns:
        Pids that are still alive: empty, in almost every case.
    """
    keepers = _of_dead_coordinator(_plain(session))
    marks = {f"ORCH_SESSION={session}", f"ORCH_TASK_ID={task}", f"ORCH_ATTEMPT={attempt}"}

    def ours(environment: set[str]) -> bool:
        return marks <= environment or keepers(environment)

    _wait(lambda: not list(_with_environment(keepers, set())), REAPERS_GRACE)
    _remove_cgroups(_plain(session))
    strangers: set[int] = set()
    deadline = time.monotonic() + KILL_GRACE
    quiet = 0
    while quiet < PROOFS:
        found = list(map(_kill_with_all_below, _with_environment(ours, strangers)))
        if found and time.monotonic() > deadline:
            return tuple(found)
        quiet = 0 if found else quiet + 1
        time.sleep(0.001)
    return ()


def _kill_with_all_below(process: Identity) -> int:
    below = _proc.descendants(process.pid)
    for pid in reversed(below):  # from the bottom up: an orphan would no longer be found
        _proc.signal_kin(pid, {process.pid, *below}, signal.SIGKILL)
    kill(process)
    return process.pid


def _plain(session: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", session)[:100]


def _coordinator_is_dead(keeper: str) -> bool:
    pid, started = keeper.split(".")[-2:]
    return not alive(Identity(int(pid), int(started), boot_id()))


def _of_dead_coordinator(session: str) -> Callable[[set[str]], bool]:
    pattern = re.compile(rf"{KEEPER}=({re.escape(session)}\.\d+\.\d+\.\d+)")

    def keeper(environment: set[str]) -> bool:
        return any(_coordinator_is_dead(match[1]) for entry in environment if (match := pattern.fullmatch(entry)))

    return keeper


def _with_environment(wanted: Callable[[set[str]], bool], strangers: set[int]) -> Iterator[Identity]:
    """Every process but this one whose environment, as a set of NAME=VALUE, is what is wanted.

    The latest come first, and those that are not wanted are not looked at again (`strangers`), so that even a process
    that lives for a millisecond is seen.
    """
    for pid in sorted(set(_proc.all_pids()) - strangers, reverse=True):
        process = identity(pid)
        environment = _proc.read(f"/proc/{pid}/environ")
        if process and pid != os.getpid() and wanted(set(os.fsdecode(environment).split("\0"))):
            yield process
        else:
            strangers.add(pid)


def _remove_cgroups(session: str) -> None:
    root = _cgroup.mount_point()
    for directory, groups, _ in os.walk(root) if root else ():
        for group in groups:
            prefix, _, keeper = group.partition(".")
            if f"{prefix}." == CGROUP and keeper.startswith(f"{session}.") and _coordinator_is_dead(keeper):
                _cgroup.remove(os.path.join(directory, group))  # noqa: PTH118 - a string all along


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is done, for so many seconds at most."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
