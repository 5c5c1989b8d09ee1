"""YAML read as if it were JSON with less punctuation.

Plain scalars are what JSON has: numbers as JSON writes them, `true`, `false` and `null` (also `True`, `TRUE`, `~` and
nothing at all). Everything else is text: `no`, `012`, `1_000`, `12:30:45`, `2025-01-01`, `0x1F`, `.inf`. Keys are text.
Anchors, aliases, tags, merge keys, doubled keys and several documents in one file are refused: a plan needs none of
them, and bombs are made of them.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from orchestrator_nb.core.params import fault_of_value
from orchestrator_nb.planning.marks import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_PROBLEMS,
    Mark,
    Problem,
    Unreadable,
    too_deep,
    too_many,
)

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is; only its events are used
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}


def read_yaml(text: str) -> tuple[Any, Mark, list[Problem]]:
    """The value in `text`, its marks, and what is wrong in it. Raises `Unreadable` where reading cannot go on."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(f"is not YAML: {problem or 'unreadable'}", *place, _remedy(problem)) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise Unreadable("holds a character that YAML does not allow", line, 1, "remove it") from error
    if not builder.documents:
        raise Unreadable("is empty", remedy="`orchestrate init` writes a plan to start from")
    return builder.value, builder.root, builder.problems


def _remedy(problem: str) -> str:
    if "cannot start any token" in problem:
        return "indent with spaces, and put text that begins with a sign in quotes"
    if "mapping values are not allowed" in problem:
        return "put text with ': ' in it in quotes"
    return ""


class _Open:
    """A list or mapping whose end has not come."""

    __slots__ = ("is_mapping", "key", "marks", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.marks: Any = type(value)()
        self.is_mapping = type(value) is dict
        #: Of a mapping: the key that waits for its value, with its place.
        self.key: tuple[str, int, int] | None = None


class _Builder:
    """Makes a value and its marks of the parser's events: one pass, no recursion."""

    def __init__(self) -> None:
        self.value: Any = None
        self.root = Mark(1, 1)
        self.problems: list[Problem] = []
        self.documents = 0
        self._nodes = 0
        self._stack: list[_Open] = []

    def take(self, event: Any) -> None:
        """Take the next event."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            if event.anchor is not None or event.tag is not None:
                self._refuse_decoration(event)
            if self._awaits_key():
                self._take_key(event)
            else:
                self._put(event, event.value if event.style or event.tag else self._plain(event))
        elif kind is yaml.MappingStartEvent:
            self._open(event, {})
        elif kind is yaml.SequenceStartEvent:
            self._open(event, [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._stack.pop()
        elif kind is yaml.AliasEvent:
            self._refuse(event, f"the alias *{event.anchor} is not allowed", "write the value out")
            if self._awaits_key():
                raise Unreadable("an alias cannot be a key", *_place(event), "write the key out")
            self._put(event, None)
        elif kind is yaml.DocumentStartEvent:
            self.documents += 1
            if self.documents > 1:
                raise Unreadable("holds more than one document", *_place(event), "remove the second '---'")

    def _awaits_key(self) -> bool:
        if not self._stack:
            return False
        top = self._stack[-1]
        return top.is_mapping and top.key is None

    def _take_key(self, event: Any) -> None:
        key, top = event.value, self._stack[-1]
        if key == "<<" and not event.style:
            self._refuse(event, "merge keys (<<) are not allowed", "write the keys out")
        elif key in top.value:
            self._refuse(event, f"the key '{key[:80]}' is doubled", "remove one")
        top.key = (key, *_place(event))

    def _plain(self, event: Any) -> Any:
        """The value of a scalar without quotes."""
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        form = _NUMBER.fullmatch(text)
        if form is None:
            return text
        if form.lastindex is None and len(text) < 18:
            return int(text)
        value = float(text) if form.lastindex else int(text) if len(text) <= 40 else 10**40
        if fault := fault_of_value(value):
            self._refuse(event, f"{text[:40]}: {fault}", "write it as text, in quotes")
        return value

    def _open(self, event: Any, value: Any) -> None:
        self._refuse_decoration(event)
        if len(self._stack) == MAX_DEPTH:
            raise too_deep(*_place(event))
        if self._awaits_key():
            raise Unreadable("a list or mapping cannot be a key", *_place(event), "put text with { or [ in quotes")
        opened = _Open(value)
        self._put(event, value, opened.marks)
        self._stack.append(opened)

    def _put(self, event: Any, value: Any, inside: Any = None) -> None:
        """Add a value to the innermost open list or mapping."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise too_many(*_place(event))
        if not self._stack:
            self.value, self.root = value, Mark(*_place(event), inside)
            return
        top = self._stack[-1]
        if top.key is None:
            top.value.append(value)
            top.marks.append(Mark(*_place(event), inside))
        else:
            key, line, column = top.key
            top.value[key] = value
            top.marks[key] = Mark(line, column, inside)
            top.key = None

    def _refuse_decoration(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse(event, f"the anchor &{event.anchor[:80]} is not allowed", "remove it")
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag[:80]} is not allowed", "remove it; text may stand in quotes")

    def _refuse(self, event: Any, message: str, remedy: str) -> None:
        self.problems.append(Problem(message, *_place(event), remedy))
        if len(self.problems) > MAX_PROBLEMS:
            raise Unreadable("has more faults than can be told", *_place(event))


def _place(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1
