"""JSON read strictly: no NaN, no doubled keys, no numbers that other programs cannot read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator_nb.core.faults import Path, dotted
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


def read_json(text: str) -> tuple[Any, list[Problem]]:
    """The value in `text`, and what is wrong in it. Raises `Unreadable` where it is not JSON, or too deep."""
    doubled = False

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        value = dict(pairs)
        doubled = doubled or len(value) < len(pairs)
        return value

    if _holds_too_many(text):
        raise too_many()
    try:
        value = json.loads(text, object_pairs_hook=mapping, parse_int=_whole, parse_constant=float)
        faults = [(path, fault) for path, leaf in _leaves(value) if (fault := fault_of_value(leaf))]
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg}" if text.strip() else "is empty"
        raise Unreadable(message, error.lineno, error.colno) from error
    except RecursionError:
        raise too_deep() from None
    if not (doubled or faults):
        return value, []
    marks, problems = _scan(text)
    for path, fault in faults[:MAX_PROBLEMS]:
        problems.append(Problem(f"{dotted(path)}: {fault}", *marks.at(path)[:2]))
    return value, problems[:MAX_PROBLEMS]


def _holds_too_many(text: str) -> bool:
    """Whether there are more than `MAX_NODES` values, told by the signs outside of texts, before any is made."""
    if sum(map(text.count, ",{[")) <= MAX_NODES:
        return False
    count = end = 0
    for quoted in _STRING.finditer(text):
        count += sum(text.count(sign, end, quoted.start()) for sign in ",{[")
        end = quoted.end()
        if count > MAX_NODES:
            return True
    return count + sum(text.count(sign, end) for sign in ",{[") > MAX_NODES


def json_marks(text: str) -> Mark:
    """The marks of the values in `text`, which is known to be JSON."""
    return _scan(text)[0]


def _whole(digits: str) -> int:
    return int(digits) if len(digits) <= 40 else 10**40  # refused in any case: what counts is that it is too large


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if len(path) > MAX_DEPTH:
        raise too_deep()
    if isinstance(value, dict):
        for key, item in value.items():
            yield path, key
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


#: A text in quotes; one without end goes to the end, so that nothing is looked at twice.
_TEXT = r'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?"?'
_STRING = re.compile(_TEXT, re.DOTALL)
_TOKEN = re.compile(_TEXT + r'|[{}\[\]:,\n]|[^\s{}\[\]:,"]+', re.DOTALL)


def _scan(text: str) -> tuple[Mark, list[Problem]]:
    """Marks of the values in JSON text, and its doubled keys."""
    root = Mark(1, 1)
    problems: list[Problem] = []
    stack: list[Any] = []
    key: tuple[str, int, int] | None = None
    line, line_start = 1, 0
    for token in _TOKEN.finditer(text):
        word, place = token.group(), (line, token.start() - line_start + 1)
        if word == "\n":
            line, line_start = line + 1, token.end()
        elif word in "}]":
            stack.pop()
        elif word in ":,":
            continue
        elif stack and isinstance(stack[-1], dict) and key is None:
            name = json.loads(word)
            if name in stack[-1]:
                problems.append(Problem(f"the key '{name[:80]}' is doubled", *place, "remove one"))
            key = (name, *place)
        else:
            inside: Any = {} if word == "{" else [] if word == "[" else None
            if not stack:
                root = Mark(*place, inside)
            elif key is not None:
                stack[-1][key[0]] = Mark(key[1], key[2], inside)
            else:
                stack[-1].append(Mark(*place, inside))
            key = None
            if inside is not None:
                stack.append(inside)
    return root, problems
