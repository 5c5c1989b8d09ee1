"""The cgroup of a run (version 2): the net under the reapers, where it can be had."""

# A reaper is to be small: neither pathlib nor contextlib is loaded.
# ruff: noqa: PTH102, PTH106, PTH110

from __future__ import annotations

import os
import time

from orchestrator_nb.system._proc import read


def mount_point() -> str:
    """Where version 2 is mounted; empty if it is not."""
    mounts = [line.split()[4] for line in read("/proc/self/mountinfo").decode().splitlines() if " - cgroup2 " in line]
    return mounts[0] if mounts else ""


def own_cgroup() -> str:
    """Directory of the cgroup that this process is in; empty if it is not to be seen."""
    names = [line[3:] for line in read("/proc/self/cgroup").decode().splitlines() if line.startswith("0::")]
    return (mount_point() + names[0]).rstrip("/") if names and mount_point() else ""


def write(path: str, text: str) -> bool:
    """Write to a control file; return whether the kernel took it."""
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        return os.write(fd, text.encode()) > 0
    except OSError:
        return False
    finally:
        os.close(fd)


def remove(path: str) -> bool:
    """Kill all that is in a cgroup and the groups below it, and remove them; return whether that was done in 1 s."""
    write(f"{path}/cgroup.kill", "1")
    for _ in range(100):
        try:
            for directory, _, _ in os.walk(path, topdown=False):
                os.rmdir(directory)
            return True
        except OSError:
            time.sleep(0.01)  # the killed are still dying
    return False


def available() -> tuple[bool, bool]:
    """Whether a run can have a cgroup here, and whether that can limit memory, as far as looking tells."""
    import re

    own = own_cgroup()
    has_kill = [int(number) for number in re.findall(r"\d+", os.uname().release)[:2]] >= [5, 14]
    found = bool(own) and has_kill and os.access(own, os.W_OK) and os.access(f"{own}/cgroup.procs", os.W_OK)
    return found, found and b"memory" in read(f"{own}/cgroup.subtree_control").split()


class Cgroup:
    """The cgroup of a run, below that of the coordinator.

    Supervisor, reapers and tasks live in its ``run``, so that it costs nothing per task. Reapers end their trees by
    themselves: it is for what outlives supervisor and reapers (`processes.sweep`). A task with a memory limit has
    a group of its own, ``task-N``, where the memory controller can be had.
    """

    def __init__(self, name: str) -> None:
        self.base = own_cgroup()
        #: Its directory, empty if there is none; and whether it can limit memory.
        self.path = ""
        self.memory = False
        if not self.base:
            return
        path = f"{self.base}/{name}"
        try:
            os.mkdir(path)
            os.mkdir(f"{path}/run")
        except OSError:
            return
        if os.path.exists(f"{path}/cgroup.kill") and write(f"{path}/run/cgroup.procs", "0"):
            self.path = path
            self.memory = write(f"{path}/cgroup.subtree_control", "+memory")
        else:
            remove(path)

    def limit(self, task: str, memory: int) -> str:
        """Enter a new group that may use so many bytes; return its directory, empty if there is none."""
        group = f"{self.path}/task-{task}"
        try:
            os.mkdir(group)
        except OSError:
            return ""
        if write(f"{group}/memory.max", str(memory)) and write(f"{group}/cgroup.procs", "0"):
            write(f"{group}/memory.swap.max", "0")
            write(f"{group}/memory.oom.group", "1")
            return group
        os.rmdir(group)
        return ""

    def leave(self, group: str) -> None:
        """Go back from a task's group, if there is one, to the run's."""
        if group:
            write(f"{self.path}/run/cgroup.procs", "0")

    def release(self, group: str) -> bool:
        """Remove a task's group, if there is one; return whether the kernel killed in it for want of memory."""
        if not group:
            return False
        events = read(f"{group}/memory.events")
        remove(group)
        return b"\noom_kill " in events and b"\noom_kill 0\n" not in events

    def close(self) -> None:
        """Leave the run's group, and remove it with all that is left in it."""
        if self.path and write(f"{self.base}/cgroup.procs", "0"):
            remove(self.path)
