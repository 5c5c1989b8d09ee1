"""How coordinator, supervisor and reapers talk.

Orders go down, on fd 0: frames of four bytes of length, then fields separated by NUL, which neither arguments, nor
paths, nor environment variables can hold. The first field names the reaper that is meant, the second is the verb::

    fork      a new reaper (for the supervisor)
    close     this reaper is not needed any more (for the supervisor)
    end       no reaper is (for the supervisor; another process may hold this end of the pipe open)
    destroy   this reaper does not answer: kill it and what it holds (for the supervisor)
    spawn     CWD LOG ERROR_LOG STDIN CORES MEMORY ARGC ARGUMENT... NAME=VALUE...
    term      TERM to the whole tree; the coordinator has the clock of the grace period
    kill      KILL, until nothing is left

Reports go up, on fd 1: lines shorter than PIPE_BUF, so that those of several writers do not mix::

    ready MEMORY CGROUP                             the supervisor is there; its cgroup, which limits memory (1) or not
    started REAPER PID START_TIME OFFSET            the command runs; where its output begins in the log
    failed REAPER ERRNO ABOUT                       it could not be started
    exited REAPER CODE REASON LEFTOVERS LOST ERRNO  it has ended with all of its tree
    gone REAPER                                     the reaper was killed, and what it held is killed too
"""

# A reaper is to be small: neither pathlib nor contextlib is loaded.
# ruff: noqa: SIM105

from __future__ import annotations

import os
import signal

ORDERS, REPORTS = 0, 1
#: What a command finds at its default, whatever its parents ignore or block.
SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
#: Bytes of what is read for one signal.
SIGINFO = 128


class Frames:
    """The orders that come from a file descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.received = bytearray()

    def read(self) -> list[bytes] | None:
        """Read once; return the orders that are complete, or None when no more will come."""
        data = os.read(self.fd, 1 << 16)
        if not data:
            return None
        self.received += data
        orders = []
        while len(self.received) >= (end := 4 + int.from_bytes(self.received[:4], "big")):
            orders.append(bytes(self.received[4:end]))
            del self.received[:end]
        return orders


def frame(order: bytes) -> bytes:
    """An order as it goes down."""
    return len(order).to_bytes(4, "big") + order


def report(line: str) -> None:
    """Tell the coordinator."""
    try:
        os.write(REPORTS, line.encode() + b"\n")
    except BrokenPipeError:
        pass  # it is gone, which is found out by polling


def arrived(signals: int) -> None:
    """Take note that signals have arrived."""
    try:
        os.read(signals, 32 * SIGINFO)
    except BlockingIOError:
        pass
