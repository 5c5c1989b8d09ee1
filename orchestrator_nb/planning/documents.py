"""Files and texts of plain data: the value, every fault with its line, and where each part of it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.faults import Path as PlanPath
from orchestrator_nb.planning.json_reader import json_marks, read_json
from orchestrator_nb.planning.marks import MAX_SIZE, Mark, Problem, Unreadable
from orchestrator_nb.planning.yaml_reader import read_yaml

Kind = Literal["yaml", "json"]


@dataclass
class Document:
    """What a text says and where it says it. With errors among its `faults` the value is incomplete, or None."""

    #: Name of its file, for people.
    file: str
    text: str = ""
    kind: Kind = "yaml"
    #: Lines of the file before `text`.
    offset: int = 0
    value: Any = None
    faults: list[Fault] = field(default_factory=list)
    _root: Mark | None = None

    def locate(self, path: PlanPath) -> tuple[int, int]:
        """Line and column of what stands at `path`, or of the nearest thing around it."""
        mark = self.root.at(path)
        return mark.line + self.offset, mark.column

    @cached_property
    def root(self) -> Mark:
        """The mark of the whole."""
        if self._root is None and self.kind == "json" and self.value is not None:
            return json_marks(self.text)
        return self._root or Mark(1, 1)

    def note(self, problem: Problem) -> None:
        """Add what a reader found to the faults."""
        line = problem.line + self.offset if problem.line else 0
        self.faults.append(Fault("error", problem.message, "", (), problem.remedy, self.file, line, problem.column))


def read_document(path: Path, file: str) -> Document:
    """The document in a file, which people know as `file`: JSON if its name ends in ``.json``, else YAML."""
    try:
        return parse(read_text(path), file, "json" if path.suffix.lower() == ".json" else "yaml")
    except Unreadable as error:
        document = Document(file)
        document.note(error.problem)
        return document


def parse(text: str, file: str, kind: Kind, offset: int = 0) -> Document:
    """The document in `text`, before which `offset` lines of the file stand."""
    document = Document(file, text, kind, offset)
    try:
        if len(text) > MAX_SIZE:
            raise _too_large()
        _refuse_surrogates(text)
        if kind == "json":
            document.value, problems = read_json(text)
        else:
            document.value, document._root, problems = read_yaml(text)
    except Unreadable as error:
        problems = [error.problem]
    for problem in problems:
        document.note(problem)
    return document


def read_text(path: Path) -> str:
    """The text of a regular file of at most `MAX_SIZE` bytes of UTF-8. Raises `Unreadable`."""
    try:
        if not path.is_file():
            raise Unreadable("is not a regular file" if path.exists() else "does not exist")
        with path.open("rb") as stream:
            data = stream.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_SIZE:
        raise _too_large()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable("is not UTF-8 text", line, 1, "save it as UTF-8") from error


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text[: error.start].count("\n") + 1
        raise Unreadable("holds half of a surrogate pair, which is no text", line, 1, "remove it") from error


def _too_large() -> Unreadable:
    return Unreadable(f"is larger than {MAX_SIZE // 1_000_000} MB", remedy="split the plan")
