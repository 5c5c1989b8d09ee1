"""Types in words: as a table shows them, and as a message says what is expected."""

from __future__ import annotations

import json
from typing import Any

from orchestrator_nb.ipynb.kinds import Limits, Type
from orchestrator_nb.ipynb.parameters import Parameter

_EXPECTED = {
    "any": "a JSON value", "none": "null", "str": "text", "int": "a whole number", "float": "a number",
    "number": "a number", "bool": "true or false", "decimal": "a decimal number", "path": "a path",
    "date": "a date like 2025-12-31", "datetime": "a date and time like 2025-12-31T23:59",
    "time": "a time like 23:59", "list": "a list", "set": "a list of distinct values",
    "tuple": "a list", "dict": "a JSON object",
}  # fmt: skip
_PATHS = {"file": "a file that exists", "directory": "a directory that exists", "new": "a path where nothing is yet"}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def expected(kind: Type) -> str:
    """What a value must be, to follow "must be": ``a whole number >= 1``."""
    match kind.kind:
        case "choice" | "enum":
            words = f"one of {', '.join(_word(choice) for choice in choices(kind))}"
        case "union":
            words = " or ".join(expected(member) for member in kind.of)
        case "path" if kind.exists:
            words = _PATHS[kind.exists]
        case "list" | "set" | "tuple" | "dict" if kind.of:
            words = f"{_EXPECTED[kind.kind]} ({shown_type(kind)})"
        case other:
            words = _EXPECTED[other]
    said = " ".join(filter(None, (words, limits_in_words(kind.limits))))
    return f"{said} or null" if kind.optional else said


def choices(kind: Type) -> tuple[object, ...]:
    """The values of a ``Literal`` or of an ``Enum``'s members."""
    return kind.choices or tuple(value for _, value in kind.members)


def limits_in_words(limits: Limits) -> str:
    """``>= 1 and < 10``, ``of 1 to 20 in length``; empty if there are none."""
    words = [f"{sign} {_word(value)}" for name, sign in _SIGNS.items() if (value := getattr(limits, name)) is not None]
    if limits.multiple_of is not None:
        words.append(f"a multiple of {limits.multiple_of}")
    match limits.min_length, limits.max_length:
        case None, None:
            pass
        case shortest, None:
            words.append(f"of length >= {shortest}")
        case None, longest:
            words.append(f"of length <= {longest}")
        case shortest, longest:
            words.append(f"of length {shortest} to {longest}")
    if limits.pattern is not None:
        words.append(f"that matches {limits.pattern}")
    return " and ".join(words)


def shown_type(kind: Type) -> str:
    """The type as Python writes it, with its limits: ``int >= 1``, ``list[str]``, ``date | None``; choices by kind."""
    match kind.kind:
        case "enum":
            shown = kind.code
        case "choice":
            shown = " | ".join(dict.fromkeys(type(choice).__name__ for choice in choices(kind)))
        case "union":
            shown = " | ".join(shown_type(member) for member in kind.of)
        case "none":
            return "None"
        case "path":
            shown = "Path"
        case "decimal":
            shown = "Decimal"
        case name:
            inner = [*(shown_type(member) for member in kind.of), *(["..."] if kind.repeated else [])]
            shown = f"{name}[{', '.join(inner)}]" if inner else name
    shown = " ".join(filter(None, (shown, limits_in_words(kind.limits))))
    return f"{shown} | None" if kind.optional else shown


def type_of_parameter(parameter: Parameter) -> str:
    """A parameter's type for people: as far as it is understood, else its annotation as written."""
    if parameter.type.kind == "any" and not parameter.type.limits:
        return parameter.annotation or "any"
    return shown_type(parameter.type)


def example(kind: Type) -> str:
    """A value of this kind, as people would write it behind ``-p NAME=``; empty where any word says nothing."""
    return {
        "list": "'[1, 2]'", "tuple": "'[1, 2]'", "set": "'[1, 2]'", "dict": "'{\"key\": 1}'", "date": "2025-12-31",
    }.get(kind.kind, "VALUE")  # fmt: skip


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
