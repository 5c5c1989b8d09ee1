"""Lines out of chunks of bytes, records out of lines, events out of both.

Chunks may be split anywhere, also inside a character; lines may be long (tool results have many megabytes), torn at
the end of a killed process, hold invalid UTF-8 or NUL, or be no JSON. Nothing here raises for what a line holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from orchestrator_nb.agents.coding.vocabulary import AgentEvent

#: Longest line that is kept whole, in bytes: of a longer one only the beginning is handed on, which is no record.
LONGEST_LINE = 64 * 1024 * 1024
_BEGINNING = 4096

#: What one line (its number, from 1, and its bytes) says.
ReadLine = Callable[[int, bytes], Sequence[AgentEvent]]

_NOTHING: dict[str, Any] = {}
_NO_LIST: list[Any] = []
_decode = msgspec.json.Decoder().decode
_lenient = json.JSONDecoder(strict=False)
#: Halves of surrogate pairs, which JSON can spell and UTF-8 cannot.
_HALVES = re.compile(r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]..")


class Lines:
    """Numbered lines out of chunks; empty ones are counted, not handed on.

    Args:
        longest: Longest line to keep whole, in bytes; memory is bounded by it.
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._size = 0
        #: Lines so far, and how many of them were too long to keep.
        self.count = 0
        self.overlong = 0

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """The lines that `chunk` completes."""
        *whole, rest = chunk.split(b"\n")
        lines: list[tuple[int, bytes]] = []
        for piece in whole:
            self._keep(piece)
            self._finish(lines)
        self._keep(rest)
        return lines

    def end(self) -> list[tuple[int, bytes]]:
        """The last line, if it has no newline (a torn one, or a process that writes none)."""
        lines: list[tuple[int, bytes]] = []
        if self._size:
            self._finish(lines)
        return lines

    def _keep(self, piece: bytes) -> None:
        if piece and self._size <= self._longest:
            self._pieces.append(piece)
        self._size += len(piece)

    def _finish(self, lines: list[tuple[int, bytes]]) -> None:
        line = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self.count += 1
        if self._size > self._longest:
            self.overlong += 1
            line = line[:_BEGINNING]
        self._pieces.clear()
        self._size = 0
        if line and not line.isspace():
            lines.append((self.count, line))


class Reader:
    """Events out of one stream's chunks.

    Args:
        read: What one line says (a parser's `output` or `errors`).
        longest: As in `Lines`.
    """

    def __init__(self, read: ReadLine, longest: int = LONGEST_LINE) -> None:
        self._read = read
        self.lines = Lines(longest)

    def feed(self, chunk: bytes) -> list[AgentEvent]:
        """The events of the lines that `chunk` completes."""
        return [event for number, line in self.lines.feed(chunk) for event in self._read(number, line)]

    def end(self) -> list[AgentEvent]:
        """The events of a last line without newline."""
        return [event for number, line in self.lines.end() for event in self._read(number, line)]


# -- records -----------------------------------------------------------------------------------------------------------


def record_of(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds, or None. What strict JSON forbids is read as far as possible."""
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        record = _leniently(line)
    return record if type(record) is dict else None


def _leniently(line: bytes) -> object:
    text = line.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return None
    try:
        return _lenient.decode(_HALVES.sub("�", text))
    except (ValueError, RecursionError):
        return None


def text_in(record: dict[str, Any], key: str) -> str:
    """The text under `key`, else empty."""
    value = record.get(key)
    return value if type(value) is str else ""


def table_in(record: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`, else an empty one (not to be changed)."""
    value = record.get(key)
    return value if type(value) is dict else _NOTHING


def list_in(record: dict[str, Any], key: str) -> list[Any]:
    """The list under `key`, else an empty one (not to be changed)."""
    value = record.get(key)
    return value if type(value) is list else _NO_LIST


def count_in(record: dict[str, Any], key: str) -> int:
    """The whole number that isn't negative under `key`, else 0."""
    value = record.get(key)
    if type(value) is float and math.isfinite(value):
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else 0


def number_in(record: dict[str, Any], key: str) -> float | None:
    """The finite number that isn't negative under `key`, else None."""
    value = record.get(key)
    if type(value) is int and 0 <= value < 2**63:
        return float(value)
    return value if type(value) is float and math.isfinite(value) and value >= 0 else None


def code_in(record: dict[str, Any], key: str) -> int | None:
    """The small whole number under `key` (an exit code, an HTTP status), else None."""
    value = record.get(key)
    return value if type(value) is int and -(2**31) <= value < 2**31 else None


def words_in(record: dict[str, Any], key: str) -> str:
    """The text under `key`, which may be a list of parts with a `text` each; else empty."""
    value = record.get(key)
    if type(value) is str:
        return value
    if type(value) is not list:
        return ""
    parts = (part if type(part) is str else text_in(part, "text") if type(part) is dict else "" for part in value)
    return "\n".join(part for part in parts if part)


#: Arguments of tools that say most, best first.
_TELLING = (
    "command",
    "cmd",
    "file_path",
    "absolute_path",
    "notebook_path",
    "path",
    "dir_path",
    "url",
    "query",
    "pattern",
)


def summary_of(arguments: dict[str, Any]) -> str:
    """What a tool is called with, in a line or two: its command or path, else all as JSON."""
    for key in _TELLING:
        value = arguments.get(key)
        if type(value) is str and value:
            return value[:2000]
        if type(value) is list and value and all(type(part) is str for part in value):
            return " ".join(value)[:2000]
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True, default=str)[:500] if arguments else ""


def path_in(arguments: dict[str, Any]) -> str:
    """The path that a tool for files is called with, else empty."""
    for key in ("file_path", "absolute_path", "notebook_path", "path", "dir_path"):
        if path := text_in(arguments, key):
            return path
    return ""
