"""The comments of a parameters cell: help for people, and papermill's ``# type: help``."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass

#: Words for tools, not for people.
_FOR_TOOLS = re.compile(r"(?:noqa|type:\s*ignore|pragma|fmt:|isort:|pylint:|mypy:|ruff:|pyright:|%%)", re.IGNORECASE)
_TYPED = re.compile(r"type:\s*(\S+)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comment:
    """What is said about an assignment."""

    help: str = ""
    #: The type behind ``# type:``.
    type: str = ""


class Comments:
    """The comments of a cell, by line."""

    def __init__(self, behind: dict[int, str], alone: dict[int, str]) -> None:
        #: Comments behind code, and comments that have their line to themselves.
        self._behind, self._alone = behind, alone

    def of(self, statement: ast.stmt) -> Comment:
        """What is said about a statement: behind its last or first line, else in the lines right above it."""
        last = statement.end_lineno or statement.lineno
        behind = _words(self._behind.get(last, "")) or _words(self._behind.get(statement.lineno, ""))
        kind = ""
        if typed := _TYPED.fullmatch(behind):
            kind, behind = typed[1], typed[2].strip()
        if behind:
            return Comment(behind, kind)
        above: list[str] = []
        line = statement.lineno - 1
        while line in self._alone:
            above.insert(0, _words(self._alone[line]))
            line -= 1
        return Comment(" ".join(filter(None, above)), kind)


def _words(comment: str) -> str:
    words = comment.lstrip("#").strip()
    return "" if _FOR_TOOLS.match(words) else words


def comments_of(source: str) -> Comments:
    """The comments of a cell; those of its part that can be read, if it has faults."""
    behind: dict[int, str] = {}
    alone: dict[int, str] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                is_alone = not token.line[: token.start[1]].strip()
                (alone if is_alone else behind)[token.start[0]] = token.string
    except (tokenize.TokenError, SyntaxError):
        pass
    return Comments(behind, alone)
