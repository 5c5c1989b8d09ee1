"""Processes and their trees, read from /proc: for the supervisor, its reapers and `processes`."""

# A reaper is to be small: neither pathlib nor contextlib is loaded.
# ruff: noqa: PTH110, PTH208

from __future__ import annotations

import os
import signal
import sys

#: Whether the kernel lists the children of a process (CONFIG_PROC_CHILDREN, as good as everywhere).
HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def read(path: str) -> bytes:
    """The content of a file in /proc; empty if there is none (any more)."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        content = b""
        while data := os.read(fd, 1 << 16):
            content += data
        return content
    except OSError:
        return b""
    finally:
        os.close(fd)


def stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on (state, parent, group, ...); empty if there is no such process."""
    return read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()


def start_time(pid: int) -> int:
    """When it started, in clock ticks since boot: with the pid its identity. 0 if there is no such process."""
    fields = stat(pid)
    return int(fields[19]) if fields else 0


def parent(pid: int) -> int:
    """Its parent's pid, 0 if there is no such process."""
    fields = stat(pid)
    return int(fields[1]) if fields else 0


def living(pids: list[int]) -> list[int]:
    """Those that are there and no zombies."""
    return [pid for pid in pids if stat(pid)[:1] not in ([], [b"Z"], [b"X"])]


def all_pids() -> list[int]:
    """Every process that is to be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid: int) -> list[int]:
    """The children of a process, zombies included."""
    if not HAS_CHILDREN:
        return [child for child in all_pids() if parent(child) == pid]
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in read(f"/proc/{pid}/task/{thread}/children").split()]


def own_children() -> list[int]:
    """The children of this process, which has one thread only, zombies included."""
    pid = os.getpid()
    return [int(child) for child in read(f"/proc/self/task/{pid}/children").split()] if HAS_CHILDREN else children(pid)


def descendants(pid: int, limit: int = sys.maxsize) -> list[int]:
    """All below a process, from the top down, zombies included; once more than `limit` are found, only these."""
    found = children(pid)
    for child in found:
        if len(found) > limit:
            break
        found += children(child)
    return found


def signal_kin(pid: int, family: set[int], *numbers: int) -> None:
    """Signal a process that has its parent in this family, and never a stranger that was given its pid meanwhile."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if parent(pid) in family:
            for number in numbers:
                signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
    finally:
        os.close(fd)


def signal_trees(roots: list[int], *numbers: int) -> None:
    """Signal children of this process and all below them, from the top down."""
    for root in roots:
        tree = [root, *descendants(root)]
        family = {os.getpid(), *tree}
        for pid in tree:
            signal_kin(pid, family, *numbers)
