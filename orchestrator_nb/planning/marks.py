"""Where things stand in a text: marks beside the values that a reader makes, and what it found wrong."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator_nb.core.faults import Path

#: Bytes of one file.
MAX_SIZE = 5_000_000
#: Lists and mappings in one another.
MAX_DEPTH = 64
#: Scalars, lists and mappings in one file: about half a second and 50 MiB, for a hostile file as for a huge one.
MAX_NODES = 150_000
#: Things found wrong in one file: enough for anyone who wants to mend them.
MAX_PROBLEMS = 1_000


class Mark(NamedTuple):
    """Where a value begins (line and column, from 1; a mapping's value where its key does), and what it holds."""

    line: int
    column: int
    inside: dict[str, Mark] | list[Mark] | None = None

    def at(self, path: Path) -> Mark:
        """The mark of what stands at `path`, or of the nearest thing around it."""
        mark = self
        for step in path:
            inside = mark.inside
            if isinstance(inside, dict) and isinstance(step, int):
                inside = list(inside.values())  # tasks that are written as a mapping are counted, too
            try:
                mark = inside[step]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
        return mark


class Problem(NamedTuple):
    """Something wrong in a text, and where."""

    message: str
    line: int = 0
    column: int = 0
    remedy: str = ""


class Unreadable(Exception):  # noqa: N818 - never leaves `planning`
    """Reading stops here."""

    def __init__(self, message: str, line: int = 0, column: int = 0, remedy: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(message, line, column, remedy)


def too_deep(line: int = 0, column: int = 0) -> Unreadable:
    """The error for a text whose lists and mappings lie too deep in one another."""
    return Unreadable(f"is more than {MAX_DEPTH} levels deep", line, column, "write it flatter")


def too_many(line: int = 0, column: int = 0) -> Unreadable:
    """The error for a text that holds too many values."""
    return Unreadable(f"holds more than {MAX_NODES} values", line, column, "build so large a plan in Python")
