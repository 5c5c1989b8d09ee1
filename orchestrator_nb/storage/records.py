"""The log's format, and how it is read: every byte of it is verified.

A record is one line: ``{"seq":1,"at":1736692200.1,"event":{...},"crc":"0a1b2c3d"}``. `crc` is a CRC-32 over all that
stands before it in this line and, because each begins where the last one ended, in all lines before: a record that
is changed, lost, doubled or moved breaks the chain. Only a last line without its newline is no damage, but a write
that a crash cut short.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from orchestrator_nb.core.events import FORMAT, Record, SessionCreated
from orchestrator_nb.errors import SessionCorrupt, SessionError
from orchestrator_nb.storage.remedies import refused

#: How a line ends, after the record's own fields: `TAIL` with the checksum in it.
TAIL = b',"crc":"%08x"}'
TAIL_LENGTH = len(TAIL % 0)
#: Most bytes of one record: events name bulk, they never carry it.
MAX_RECORD = 1 << 20

_CHUNK = 1 << 20
_MAX_TAIL = 16 * MAX_RECORD
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY

_decode = msgspec.json.Decoder(Record).decode


class _Sequence(msgspec.Struct):
    seq: int


class Chain:
    """How far a log is verified: the last good record, its checksum, and the byte after it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seq = 0
        self.crc = 0
        self.offset = 0
        #: Bytes after the last newline when the end was reached: a record being written, or one cut short.
        self.tail = 0

    def read(self, fd: int) -> Iterator[Record]:
        """Verify and yield what follows in the open file, up to its present end.

        What is yielded is on stable storage: nothing may be shown that a power cut could take back. Raises
        `SessionCorrupt`, or `SessionError` for what a newer release wrote, after all good records were yielded.
        """
        size = os.fstat(fd).st_size
        if size < self.offset:
            raise self._damaged("the file has become shorter")
        if size > self.offset:
            _make_durable(fd)
        want = _CHUNK
        while self.offset < size:
            data = os.pread(fd, min(want, size - self.offset), self.offset)
            end = data.rfind(b"\n") + 1
            if end:
                records, fault = self._verify(data[:end])
                yield from records
                if fault:
                    raise fault
            elif self.offset + len(data) >= size or not data:
                break
            elif want >= _MAX_TAIL:
                raise self._damaged(f"{want} bytes without the end of a line")
            else:
                want *= 2
        self.tail = size - self.offset

    def _verify(self, lines: bytes) -> tuple[list[Record], SessionError | None]:
        """The good records of these lines, and what is wrong with the line after them."""
        records = []
        seq, crc, offset = self.seq, self.crc, self.offset
        damage = unknown = ""
        for line in lines[:-1].split(b"\n"):
            check = crc32(line[:-TAIL_LENGTH], crc)
            if line[-TAIL_LENGTH:] != TAIL % check:
                damage = _what_is_wrong(line, seq + 1)
                break
            try:
                record = _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                unknown = str(error)
                break
            if record.seq != seq + 1:
                damage = _wrong_place(record.seq, seq + 1)
                break
            records.append(record)
            seq, crc, offset = seq + 1, check, offset + len(line) + 1
        first = records[0].event if records and self.seq == 0 else None
        self.seq, self.crc, self.offset = seq, crc, offset
        if isinstance(first, SessionCreated) and first.format > FORMAT:
            return [], self._too_new(f"its format is {first.format}, by orchestrator_nb {first.version}")
        if unknown:
            return records, self._too_new(f"record {seq + 1} at byte {offset} is intact, but {unknown}")
        return records, self._damaged(damage) if damage else None

    def _too_new(self, reason: str) -> SessionError:
        return SessionError(
            f"{self.path} was written by a newer release ({reason}); this one reads format {FORMAT}: upgrade it"
        )

    def _damaged(self, reason: str) -> SessionCorrupt:
        return SessionCorrupt(
            f"{self.path}: record {self.seq + 1} at byte {self.offset} is damaged: {reason}. The {self.seq} records "
            f"before it are intact. Restore the file from a copy; or go on without what follows, after keeping a copy: "
            f"truncate -s {self.offset} '{self.path}'"
        )


def _what_is_wrong(line: bytes, expected: int) -> str:
    """Say more than "wrong checksum" where the line still tells its number."""
    try:
        seq = msgspec.json.decode(line, type=_Sequence).seq
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "it is no record"
    return "its checksum is wrong" if seq == expected else _wrong_place(seq, expected)


def _wrong_place(seq: int, expected: int) -> str:
    return f"it has number {seq} where {expected} must be (a record is missing, doubled or out of order)"


def _make_durable(fd: int) -> None:
    try:
        os.fdatasync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS):  # a file system that cannot, or need not
            raise


def read_records(path: Path, on_tail: Callable[[int], object] | None = None) -> Iterator[Record]:
    """Verify and yield every record of the log at `path`, from any process.

    Args:
        path: The log.
        on_tail: Told, at the end, how many bytes of an unterminated last record there are, if any.

    Raises:
        SessionCorrupt: At the first damaged record: names the file, the byte, the record and the reason.
        SessionError: A newer release wrote it.
        StorageError: The file cannot be read.
    """
    chain = Chain(path)
    try:
        fd = os.open(path, _OPEN)
        try:
            yield from chain.read(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise refused("read", path, error) from error
    if chain.tail and on_tail:
        on_tail(chain.tail)


class LogFollower:
    """Reads a log that another process is writing, piece by piece. Close it, or use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chain = Chain(path)
        self._fd = -1

    @property
    def seq(self) -> int:
        """Number of the last record that was returned."""
        return self._chain.seq

    def poll(self) -> list[Record]:
        """Return the records that are new since the last call; none while the log does not exist yet.

        A record that is being written is returned once it is whole.

        Raises:
            SessionCorrupt: At a damaged record (after those before it were returned), or when the log was cut.
            StorageError: The file cannot be read, or was moved or deleted.
        """
        records: list[Record] = []
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, _OPEN)
            for record in self._chain.read(self._fd):
                records.append(record)
            if not records and not os.path.samestat(os.stat(self.path), os.fstat(self._fd)):  # noqa: PTH116
                raise FileNotFoundError(errno.ENOENT, "replaced")
        except SessionError:
            if not records:
                raise
        except OSError as error:
            if self._fd < 0 and isinstance(error, FileNotFoundError):
                return []
            raise refused("follow", self.path, error) from error
        return records

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> LogFollower:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
