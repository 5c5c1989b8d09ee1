"""The output of a command, from its pipe into its log.

The reaper does the moving, so that neither a slow nor a dead coordinator blocks a task, and so that the log stays out
of the task's reach. CPU for 80 MB, against reading a bare pipe: ``read`` and ``write`` by way of one buffer 1.3 x;
``splice`` into a file 1.6-2.2 x, as it goes page by page; the command writing into the file itself 0.9-1.4 x, but
then nothing can hold the log to a size.
"""

# A reaper is to be small: neither pathlib nor contextlib is loaded.
# ruff: noqa: SIM105

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from orchestrator_nb.system._redacting import Redacting

#: Size of a pipe, and of that of a talkative command; what is read from that at once; what is kept of the end of a log
#: that has reached its cap. Bytes.
PIPE, LARGE_PIPE, CHUNK, TAIL = 1 << 16, 1 << 20, 1 << 18, 1 << 20


class Drain:
    """Moves what comes out of a pipe into a log: the first `cap` bytes of it, and the last `TAIL`.

    The tail is kept in memory, and written when the command has ended, after a line that says how much is missing. A
    log that cannot be written (disk full) counts as one that has reached its cap: a command never waits for its log.
    Secrets are taken out before anything is written.
    """

    def __init__(self, path: bytes, cap: int, secrets: Sequence[bytes] = ()) -> None:
        self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        os.fchmod(self.log, 0o600)
        #: Where this output begins in the log.
        self.offset = os.lseek(self.log, 0, os.SEEK_END)
        self.pipe, self.writer = os.pipe()
        os.set_blocking(self.pipe, False)
        self.room = cap
        self.tail = bytearray()
        self.redacting = Redacting(secrets) if secrets else None
        self.buffer: memoryview | None = None
        #: Bytes that are not in the log, and the error of the log, if it could not be written.
        self.lost = self.error = 0

    def pump(self) -> int:
        """Move what is there now; return how many bytes that were."""
        try:
            data = self.read()
        except BlockingIOError:
            return 0
        size = len(data)
        self.keep(self.redacting.feed(data) if self.redacting else data)
        return size

    def keep(self, data: memoryview | bytes) -> None:
        """Put this into the log, or what is too much for it into the tail."""
        if self.room:
            data = data[self.write(data[: self.room]) :]
        if data:
            self.lost += len(data)
            self.tail += data
            if len(self.tail) > 2 * TAIL:
                del self.tail[:-TAIL]

    def read(self) -> memoryview | bytes:
        """Read from the pipe: with one large buffer from a large pipe, once the command fills a small one."""
        if self.buffer:
            return self.buffer[: os.readv(self.pipe, [self.buffer])]
        data = os.read(self.pipe, PIPE)
        if len(data) >= PIPE // 2:
            self.buffer = memoryview(bytearray(CHUNK))
            try:
                fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, LARGE_PIPE)
            except OSError:
                pass  # the user's share of pipe memory is used up: slower, no more
        return data

    def write(self, data: memoryview | bytes) -> int:
        """Write to the log; return how much of it is there."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self.log, data[done:])
        except OSError as error:
            self.error = error.errno or 0
            self.room = 0
        else:
            self.room -= done
        return done

    def finish(self) -> None:
        """Take what is left in the pipe, never waiting for its end (others may hold it), and write the tail."""
        for _ in range(2 * LARGE_PIPE // PIPE):
            if not self.pump():
                break
        if self.redacting:
            self.keep(self.redacting.end())
        tail = bytes(self.tail[-TAIL:])
        self.lost -= len(tail)
        if self.lost:
            self.write(b"\n[orchestrator: the log is full; %d bytes of output are left out here]\n" % self.lost)
        self.lost += len(tail) - self.write(tail)
        os.close(self.pipe)
        os.close(self.log)
