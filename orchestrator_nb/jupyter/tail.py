"""What grows on disk, read as it grows: logs of attempts as lines, the event log as records; and the newest lines kept.

Lines are numbered, so that a page is told only those that it does not have.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.coding.cli import Parser
from orchestrator_nb.agents.coding.telling import Telling, Told
from orchestrator_nb.core.events import Record
from orchestrator_nb.errors import UnsafePath
from orchestrator_nb.projections.text import MAX_LINE, Cleaner, one_line
from orchestrator_nb.system.reading import open_regular

#: Most lines, and most characters, that are kept of one text.
MAX_LINES = 5000
MAX_SIZE = 256 * 1024
#: Bytes of the event log that are read at once: of more, the last ones.
MAX_RECORDS = 1 << 20

_decode = msgspec.json.Decoder(Record).decode

#: A line, or a line with its kind (``error``, ``warning``, ``stderr``), as JSON.
Line = str | tuple[str, str]


class Recent:
    """The newest lines of a text. Lines are numbered from 0 on; those before `first` are kept no more.

    One thread adds, any may read.
    """

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        self.first = 0
        self._lock = threading.Lock()
        #: Lines that are not finished yet.
        self.open: list[Line] = []
        self._lines: deque[Line] = deque()
        self._size = 0
        self._max_lines = max_lines

    @property
    def end(self) -> int:
        """The number that the next line will have."""
        return self.first + len(self._lines)

    def add(self, lines: Iterable[Line]) -> None:
        """Take further lines, and drop the oldest ones that are too many."""
        with self._lock:
            for line in lines:
                self._lines.append(line)
                self._size += _length(line)
            while self._lines and (len(self._lines) > self._max_lines or self._size > MAX_SIZE):
                self._size -= _length(self._lines.popleft())
                self.first += 1

    def since(self, number: int) -> dict[str, Any]:
        """The lines from this number on, for a page that has those before: it drops what is older than `first`."""
        with self._lock:
            begin = max(number, self.first)
            lines = list(islice(self._lines, begin - self.first, None))
            return {"first": self.first, "begin": begin, "lines": lines, "open": self.open}


def _length(line: Line) -> int:
    return len(line) + 1 if isinstance(line, str) else len(line[0]) + 1


class Tail:
    """A raw log of an attempt, read as it grows: only what is new, of much only the end, made harmless."""

    #: Most bytes that are read at once: of more, the last ones.
    most = MAX_SIZE

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Bytes that were left out, and why nothing can be read, if so.
        self.left_out = 0
        self.trouble = ""
        self._offset = 0
        self._cleaner = Cleaner()
        self._begun = ""

    @property
    def unfinished(self) -> str:
        """The last line, as long as it is not finished."""
        return self._begun + self._cleaner.unfinished

    def read(self) -> Sequence[Line]:
        """The lines that were finished since the last time."""
        data = self._new()
        return self._finished(self._cleaner.feed(data)) if data else []

    def _new(self) -> bytes:
        """The bytes that are new, from the beginning of a line on."""
        if not _grown(self.path, self._offset):
            return b""
        try:
            with open_regular(self.path) as file:
                size = file.seek(0, os.SEEK_END)
                skipped = size - self._offset - self.most
                if skipped > 0:
                    self._skip(skipped)
                file.seek(self._offset)
                data = file.read(self.most)
        except (OSError, UnsafePath) as error:
            self.trouble = one_line(str(error), 500)
            return b""
        self._offset += len(data)
        if skipped > 0:
            cut = data.find(b"\n") + 1
            self.left_out += cut
            data = data[cut:]
        return data

    def finish(self) -> Sequence[Line]:
        """What is new, once nothing more comes: the last line needs no end."""
        lines = [*self.read()]
        lines += self._finished(self._cleaner.end())
        if self._begun:
            lines.append(self._begun)
            self._begun = ""
        return lines

    def _skip(self, size: int) -> None:
        self._offset += size
        self.left_out += size
        self._cleaner, self._begun = Cleaner(), ""

    def _finished(self, text: str) -> list[str]:
        *lines, self._begun = (self._begun + text).split("\n")
        while len(self._begun) > MAX_LINE:
            lines.append(self._begun[:MAX_LINE])
            self._begun = self._begun[MAX_LINE:]
        return lines


class AgentLog(Tail):
    """The raw log of a coding agent, told in words as it grows."""

    most = 4 << 20  # most of it is JSON around the words

    def __init__(self, path: Path, parser: Parser) -> None:
        super().__init__(path)
        self._telling = Telling(parser)

    def read(self) -> Sequence[Line]:
        """What the lines say that were finished since the last time."""
        return _plain(self._telling.feed(self._new()))

    def finish(self) -> Sequence[Line]:
        """What is new, once nothing more comes."""
        return [*self.read(), *_plain(self._telling.end())]


def _plain(told: Iterable[Told]) -> list[Line]:
    return [(line, mark) if mark else line for line, mark in told]


class Records:
    """The records of an event log, as they are written: the last ones first, then what is new.

    They are not verified here, as whoever opens the session does that: what cannot be read ends the reading.
    """

    def __init__(self, path: Path, of_types: Sequence[str] = (), after: int = 0) -> None:
        """Only those after number `after`, and of these types of events, by their tags; others are not decoded."""
        self.path = path
        self._marks = [tag.encode() for tag in of_types] or [b""]
        self._offset = 0
        self._seq = after

    def read(self, until: int, newest: Sequence[Record] = ()) -> list[Record]:
        """The records that are new, up to number `until`: what is published, and so safe to show.

        `newest` are published ones without a gap, as somebody has them, of any type: the log is read only if there are
        new ones before them.
        """
        if until <= self._seq:
            return []
        before, offset = self._seq, self._offset
        if newest and newest[0].seq <= self._seq + 1:
            found: Sequence[Record] = newest
            self._seq = max(self._seq, newest[-1].seq)
        else:
            found = self._read(until)
            if self._offset > offset:  # else it could not be read
                self._seq = until
        return [record for record in found if record.seq > before]

    def _read(self, until: int) -> list[Record]:
        records = []
        for line in self._new().splitlines(keepends=True):
            if line.endswith(b"\n") and not any(mark in line for mark in self._marks):
                self._offset += len(line)
                continue
            try:
                record = _decode(line) if line.endswith(b"\n") else None
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            if record is None or record.seq > until:
                break
            records.append(record)
            self._offset += len(line)
        return records

    def _new(self) -> bytes:
        if not _grown(self.path, self._offset):
            return b""
        try:
            with open_regular(self.path) as file:
                size = file.seek(0, os.SEEK_END)
                if size - self._offset > MAX_RECORDS:
                    self._offset = size - MAX_RECORDS
                    file.seek(self._offset)
                    self._offset += len(file.readline())
                file.seek(self._offset)
                return file.read(MAX_RECORDS)
        except (OSError, UnsafePath):
            return b""  # the session is gone: what is shown stays


def _grown(path: Path, offset: int) -> bool:
    """Whether there is anything beyond `offset`: a tenth of the cost of opening a file, which is mostly as it was."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return found.st_size > offset or not stat.S_ISREG(found.st_mode)
