"""A disk that loses what was not synced: the traced system calls of the small run, replayed up to a power cut.

As in SQLite's `test6.c`: what was synced is there; of what was not, any part may be there, torn, zeroed or without
what came before it. Names are no different: an entry of a directory that was not synced may be there or not.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.log_trace import Call

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>")


@dataclass(eq=False)
class _File:
    #: Offset, bytes and number of a write; length, None and number of a cut.
    operations: list[tuple[int, bytes | None, int]] = field(default_factory=list)


@dataclass(frozen=True)
class _Name:
    """A change of a directory: `path` names a file, a directory (None) or a link (str); or nothing any more."""

    path: str
    to: _File | str | None
    moved_from: str = ""
    at: int = 0


class Disk:
    """The calls of a run as operations on files and names, numbered by call."""

    def __init__(self, calls: Sequence[Call], workspace: Path) -> None:
        self.calls = calls
        self._root = str(workspace.parent)
        self._acks = str(workspace.with_suffix(".acks"))
        self._names: list[_Name] = []
        self._synced: list[tuple[int, str | _File]] = []
        self._acked: list[tuple[int, int]] = []
        self._live: dict[str, _File] = {}
        for at, call in enumerate(calls):
            if call.result >= 0:
                self._apply(at, call)

    def acknowledged(self, cut: int) -> int:
        """The last record promised before call number `cut`."""
        return max((seq for at, seq in self._acked if at < cut), default=0)

    def after_power_loss(self, cut: int, target: Path, chance: random.Random) -> None:
        """Put into `target` what the disk may hold when the power fails before call number `cut`."""
        keep = chance.choice((0.0, 0.5, 0.9, 1.0))
        present: dict[str, _File | str | None] = {}
        for name in (name for name in self._names if name.at < cut):
            if self._is_synced(str(Path(name.path).parent), name.at, cut) or chance.random() < keep:
                present.pop(name.moved_from, None)
                present[name.path] = name.to
        for path, what in sorted(present.items()):
            there = target / Path(path).relative_to(self._root)
            if not there.parent.is_dir():
                continue  # the directory itself was lost
            if what is None:
                there.mkdir()
            elif isinstance(what, str):
                there.symlink_to(what)
            else:
                there.write_bytes(self._content(what, cut, keep, chance))

    def _content(self, file: _File, cut: int, keep: float, chance: random.Random) -> bytes:
        content = bytearray()
        for offset, written, at in file.operations:
            if at >= cut:
                break
            data = written
            if not self._is_synced(file, at, cut):
                if chance.random() >= keep:
                    continue
                if written and chance.random() < 0.3:
                    torn = written[: chance.randrange(len(written))]
                    data = torn if chance.random() < 0.5 else bytes(len(written))
            if data is None:
                del content[offset:]
            else:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
        return bytes(content)

    def _is_synced(self, what: str | _File, at: int, cut: int) -> bool:
        return any(at < when < cut and synced == what for when, synced in self._synced)

    def _apply(self, at: int, call: Call) -> None:
        strings = [ast.literal_eval(f'b"{text}"') for text in _STRING.findall(call.arguments)]
        directories = _DESCRIPTOR.findall(_STRING.sub("", call.arguments))
        place = directories[0] if directories else ""
        if call.name in ("write", "pwrite64"):
            if place == self._acks:
                self._acked.append((at, int(strings[0])))
            elif file := self._live.get(place):
                size = sum(len(data) for _, data, _ in file.operations if data is not None)
                offset = int(call.arguments.rpartition(", ")[2]) if call.name == "pwrite64" else size
                file.operations.append((offset, strings[0][: call.result], at))
        elif call.name == "openat":
            if "O_CREAT" in call.arguments and call.returned not in (*self._live, self._acks):
                self._live[call.returned] = _File()
                self._names.append(_Name(call.returned, self._live[call.returned], at=at))
        elif call.name == "ftruncate" and place in self._live:
            self._live[place].operations.append((int(call.arguments.rpartition(", ")[2]), None, at))
        elif call.name in ("fsync", "fdatasync"):
            self._synced.append((at, self._live.get(place, place)))
        elif call.name.startswith("mkdir"):
            self._names.append(_Name(_join(place, strings[0]), None, at=at))
        elif call.name.startswith("symlink"):
            self._names.append(_Name(_join(place, strings[1]), strings[0].decode(), at=at))
        elif call.name.startswith("rename"):
            source, target = _join(place, strings[0]), _join((*directories, "", "")[1], strings[1])
            file = self._live.pop(source, None)
            if file:
                self._live[target] = file
            link = next((name.to for name in self._names if name.path == source), None)
            self._names.append(_Name(target, file or link, moved_from=source, at=at))
        elif call.name.startswith("unlink"):
            raise AssertionError(f"teach the disk to unlink: {call}")


def _join(directory: str, name: bytes) -> str:
    return str(Path(directory) / name.decode())
