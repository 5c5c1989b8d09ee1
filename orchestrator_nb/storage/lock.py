"""One writer a session: a lock on its `lock` file, which says who holds it.

The lock is `flock`: the kernel frees it the moment its holder dies, and never while the holder is only stopped.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orchestrator_nb.errors import SessionLocked, StorageError
from orchestrator_nb.storage.forks import abandon_in_children
from orchestrator_nb.storage.remedies import refused

#: Seconds between two tries, and before a waiting caller is told for whom it waits.
_RETRY = 0.05
_TELL_AFTER = 0.2
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock."""

    pid: int
    host: str
    #: Clock ticks from the host's boot to the start of the process (field 22 of /proc/PID/stat); 0: unknown.
    start_time: int
    #: When it took the lock, in seconds since the epoch.
    since: float

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.since, UTC).astimezone().isoformat(" ", "seconds")
        return f"process {self.pid} on {self.host}, since {when}"


class SessionLock:
    """The right to write a session, from `acquire` to `release` (or a `with` statement).

    It ends with the process. A forked child does not inherit it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, timeout: float = 5.0, on_wait: Callable[[Holder | None], object] | None = None) -> SessionLock:
        """Take the lock, waiting up to `timeout` seconds for it (S0: 5 s).

        Args:
            timeout: Seconds.
            on_wait: Told once, within 1 s, that somebody else holds it: who, if that is known.

        Raises:
            SessionLocked: Somebody still holds it: says who, since when, and what to do.
            StorageError: The lock file cannot be used.
        """
        begin = time.monotonic()
        while not self._try():
            waited = time.monotonic() - begin
            if waited >= timeout:
                raise SessionLocked(
                    f"the session {self.path.parent} is being run by {_read(self.path) or 'another process'}: follow "
                    f"it with `orchestrate watch`, end it with `orchestrate stop`, or wait until it has ended"
                )
            if on_wait and waited >= _TELL_AFTER:
                on_wait(_read(self.path))
                on_wait = None
            time.sleep(_RETRY)
        abandon_in_children(self)
        return self

    def verify(self) -> None:
        """Raise `StorageError` if the lock file is no longer the one that is held (removed by ``git clean``, say)."""
        if not _is_in_place(self._fd, self.path):
            raise StorageError(
                f"{self.path} was removed or replaced while the session was running: another run could have begun. "
                f"Make sure that there is none, then resume"
            )

    def release(self) -> None:
        """Let others have it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def abandon(self) -> None:
        """In a forked child: close this copy, so that the lock ends with its owner."""
        self.release()

    def __enter__(self) -> SessionLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _try(self) -> bool:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                if not try_flock(fd, fcntl.LOCK_EX) or not _is_in_place(fd, self.path):
                    os.close(fd)
                    return False
                _write(fd)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise refused("lock", self.path, error) from error
        self._fd = fd
        return True


def holder(path: Path) -> Holder | None:
    """Who holds the lock now, or None; it is not taken away from anybody.

    A holder that has not yet said who it is has pid 0.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused("read", path, error) from error
    try:
        if try_flock(fd, fcntl.LOCK_SH):
            return None
        return _read(path) or Holder(0, "an unknown host", 0, 0.0)
    finally:
        os.close(fd)


def process_start_time(pid: int) -> int:
    """Clock ticks from the boot to the start of a process: with it, a pid names one process for ever. 0: unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def try_flock(fd: int, kind: int) -> bool:
    """Lock an open file if that needs no waiting. A file system without locks grants it: weaker promises, as warned."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True


def _is_in_place(fd: int, path: Path) -> bool:
    try:
        return fd >= 0 and os.path.samestat(os.fstat(fd), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _write(fd: int) -> None:
    me = Holder(os.getpid(), os.uname().nodename, process_start_time(os.getpid()), time.time())
    os.ftruncate(fd, 0)
    os.pwrite(fd, msgspec.json.encode(me) + b"\n", 0)


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
