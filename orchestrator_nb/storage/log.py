"""The event log: the one file that is the truth of a session, and its one writer.

An append is one `write()`: whatever is killed after it, the events are there. A thread of the log brings them to
stable storage together (group commit) and then says so: only what is synced may be shown or answered. The first
I/O error ends the log for good: after a failed fsync a later success proves nothing.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from zlib import crc32

import msgspec

from orchestrator_nb.core.events import AnyEvent, Record
from orchestrator_nb.errors import OrchestratorError, SessionLocked, StorageError
from orchestrator_nb.storage.files import sync_directory, write_all
from orchestrator_nb.storage.forks import abandon_in_children
from orchestrator_nb.storage.lock import try_flock
from orchestrator_nb.storage.records import MAX_RECORD, TAIL, Chain, LogFollower, read_records
from orchestrator_nb.storage.remedies import refused

__all__ = ["Durability", "EventLog", "LogFollower", "read_records"]

Durability = Literal["group", "strict"]

#: Seconds between two looks at whether the file is still in its place.
CHECK_INTERVAL = 1.0

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_LINE_END = TAIL + b"\n"
_encode = msgspec.json.Encoder().encode


class EventLog:
    """Appends events to a session's log. Made by `open`; may be used from any thread.

    It holds a lock on the file itself, so that there is one writer even where the session's lock file was removed.
    A forked child cannot use it, and does not keep it locked.
    """

    #: Number of the last record.
    seq: int
    #: Number of the last record that is on stable storage.
    synced_seq: int
    #: Bytes of an unterminated last record that were dropped when the log was opened.
    dropped: int

    def __init__(self, path: Path, fd: int, chain: Chain, durability: Durability, sync_interval: float) -> None:
        self.path = path
        self.seq = self.synced_seq = chain.seq
        self.dropped = chain.tail
        self._fd = fd
        self._crc = chain.crc
        self._size = chain.offset
        self._strict = durability == "strict"
        self._interval = sync_interval
        self._error: str | None = None
        self._write_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._unsynced = threading.Event()
        self._closing = threading.Event()
        self._on_synced: Callable[[int], object] | None = None
        self._on_failed: Callable[[StorageError], object] | None = None
        self._thread = threading.Thread(target=self._group_commit, name="orchestrator-log", daemon=True)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        on_record: Callable[[Record], object] | None = None,
        on_synced: Callable[[int], object] | None = None,
        on_failed: Callable[[StorageError], object] | None = None,
        durability: Durability = "group",
        sync_interval: float = 0.01,
    ) -> EventLog:
        """Create the log, or verify all of it and continue after its last whole record.

        Args:
            path: The file.
            on_record: Given every record that is there, in order: the fold of a resume.
            on_synced: Told the number of the last record on stable storage, each time that it grows; called from
                whichever thread synced. It must be quick, and must not call the log.
            on_failed: Told once when the log dies, also while nobody is calling it (a failed group commit, a
                workspace that was moved or deleted); called from the log's thread.
            durability: `group` syncs within `sync_interval`; `strict` also before `append` returns.
            sync_interval: Seconds that an event may wait for its sync to begin.

        Raises:
            SessionCorrupt: A record is damaged; `SessionError`: a newer release wrote it (`read_records`).
            SessionLocked: Another process is writing this log.
            StorageError: The file cannot be opened, read or written.
        """
        chain = Chain(path)
        try:
            fd = os.open(path, _FLAGS, 0o600)
            try:
                _claim(fd, path)
                for record in chain.read(fd):
                    if on_record:
                        on_record(record)
                if chain.tail:
                    os.ftruncate(fd, chain.offset)
                    os.fdatasync(fd)
                sync_directory(path.parent)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise refused("open", path, error) from error
        log = cls(path, fd, chain, durability, sync_interval)
        log._on_synced, log._on_failed = on_synced, on_failed
        abandon_in_children(log)
        log._thread.start()
        return log

    def append(self, events: Sequence[AnyEvent], at: float) -> list[Record]:
        """Write the events as the next records, all with one `write()`, and return these.

        When it returns they survive a kill of any process; `synced_seq` says what survives a power cut.

        Args:
            events: What happened, in order.
            at: Seconds since the epoch, for people.

        Raises:
            StorageError: The log is dead, now or before: no event of this call may be acted on. What a failed write
                left in the file is cut off again, if the system still can.
            OrchestratorError: An event is no JSON or too large; nothing was written and the log goes on.
        """
        with self._write_lock:
            records = [Record(seq, at, event) for seq, event in enumerate(events, self.seq + 1)]
            self._append([encoded(record) for record in records])
        if self._strict:
            self.sync()
        return records

    def write(self, bodies: Sequence[bytes]) -> None:
        """Write records that `encoded` has made of the next sequence numbers, as `append` does."""
        with self._write_lock:
            self._append(bodies)
        if self._strict:
            self.sync()

    def _append(self, bodies: Sequence[bytes]) -> None:
        if self._error:
            raise StorageError(self._error)
        if not bodies:
            return
        crc = self._crc
        parts = []
        for body in bodies:
            crc = crc32(body, crc)
            parts.append(body)
            parts.append(_LINE_END % crc)
        data = b"".join(parts)
        self._write(data)
        self.seq, self._crc, self._size = self.seq + len(bodies), crc, self._size + len(data)
        if not self._unsynced.is_set():
            self._unsynced.set()

    def sync(self) -> None:
        """Return once everything that was appended before this call is on stable storage.

        Raises:
            StorageError: It is not, and never will be by this log.
        """
        wanted = self.seq
        with self._sync_lock:
            if self._error:
                raise StorageError(self._error)
            if self.synced_seq >= wanted:
                return
            with self._write_lock:
                reached, size = self.seq, self._size
                self._unsynced.clear()
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                raise self._die(refused("sync", self.path, error)) from error
            self._check_place(size)
            self.synced_seq = reached
            if self._on_synced:
                self._on_synced(reached)

    def close(self) -> None:
        """Sync, and let go of the file. Raises `StorageError` if the sync fails; a log that died is closed quietly."""
        if self._fd < 0:
            return
        self._closing.set()
        self._unsynced.set()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join()
        try:
            if not self._error:
                self.sync()
        finally:
            with self._sync_lock, self._write_lock:
                self._error = self._error or f"{self.path} is closed"
                fd, self._fd = self._fd, -1
                os.close(fd)

    def abandon(self) -> None:
        """In a forked child: close this copy of the file, and refuse to write."""
        self._write_lock, self._sync_lock = threading.Lock(), threading.Lock()
        self._error = f"{self.path} belongs to the process that opened it, not to its forked children"
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise self._die(refused("write", self.path, error)) from error

    def _group_commit(self) -> None:
        try:
            while not self._closing.is_set():
                if self._unsynced.wait(CHECK_INTERVAL):
                    # Half of the time allowed: a busy interpreter may need 5 ms to let this thread run again.
                    self._closing.wait(self._interval / 2)
                    self.sync()
                else:
                    with self._sync_lock:
                        self._check_place(self._size)
        except StorageError as error:
            if self._on_failed and not self._closing.is_set():
                self._on_failed(error)
        finally:
            if not self._closing.is_set():  # also when a listener raised: nothing is synced any more
                self._error = self._error or f"{self.path}: its group commit has stopped"

    def _check_place(self, size: int) -> None:
        """Fail if the path no longer leads to this file, or somebody has cut it: what we write would be lost."""
        try:
            there = self.path.stat(follow_symlinks=False)
            ours = os.fstat(self._fd)
        except OSError as error:
            raise self._die(refused("find", self.path, error)) from error
        if not os.path.samestat(there, ours):
            raise self._die(StorageError(f"{self.path} was replaced while it was being written; resume the session"))
        if ours.st_size < size:
            raise self._die(StorageError(f"{self.path} was cut short by someone else while it was being written"))

    def _die(self, error: StorageError) -> StorageError:
        self._error = self._error or str(error)
        self._unsynced.set()  # wakes the log's thread, which finds out
        return error


def encoded(record: Record) -> bytes:
    """The record's line up to the checksum. Raises `OrchestratorError` if it is no JSON or too large."""
    try:
        body = _encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        kind = type(record.event).__name__
        raise OrchestratorError(f"a {kind} event cannot be written as JSON: {error}") from error
    if len(body) > MAX_RECORD:
        kind = type(record.event).__name__
        raise OrchestratorError(
            f"a {kind} event of {len(body)} bytes is too large for the log (at most {MAX_RECORD}): put what is large "
            f"into a file, and name that"
        )
    return body[:-1]


def _claim(fd: int, path: Path) -> None:
    if not try_flock(fd, fcntl.LOCK_EX):
        raise SessionLocked(
            f"another process is writing {path}, though the session's lock was free (was its lock file removed?): "
            f"wait until that run has ended"
        )
