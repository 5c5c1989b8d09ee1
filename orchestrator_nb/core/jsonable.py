"""What may be a result: exactly the values that are the same after a trip through JSON."""

from __future__ import annotations

import dataclasses
import math
from enum import Enum
from typing import Any

#: How deep lists and objects may lie in one another.
MAX_DEPTH = 100

_SCALARS = (str, int, bool, float, type(None))

#: What to return instead, by the type's name (its package is never imported for this).
_INSTEAD = {
    "tuple": "a list: it would come back as one",
    "set": "sorted(...)",
    "frozenset": "sorted(...)",
    "range": "list(...)",
    "generator": "list(...)",
    "bytes": "text (.decode()), or write a declared output and return its Path",
    "bytearray": "text (.decode()), or write a declared output and return its Path",
    "date": ".isoformat()",
    "datetime": ".isoformat()",
    "Decimal": "str(...) or float(...)",
    "ndarray": ".tolist(), or write a declared output and return its Path",
    "DataFrame": ".to_dict('records'), or write a declared output and return its Path",
    "Series": ".to_dict()",
    "Figure": "the Path of a declared output that it is saved in",
    "Axes": "the Path of a declared output that the figure is saved in",
}


def fault_of_json(value: Any) -> str | None:
    """Say what in `value` is not JSON and what to return instead, or None if all of it is.

    Only `dict` with text keys, `list`, `str`, `int` (64 bits), finite `float`, `bool` and None pass: anything else
    would be another value after resuming from the log than before.
    """
    fault = _fault(value, 0)
    return f"result{fault[0]} {fault[1]}" if fault else None


def _fault(value: Any, depth: int) -> tuple[str, str] | None:
    """The place of the first fault in `value` (`['a'][2]`), and what is wrong there."""
    kind = type(value)
    if kind in _SCALARS:
        fault = _fault_of_scalar(value)
        return ("", fault) if fault else None
    if kind is not list and kind is not dict:
        return "", f"is of type {kind.__name__}: return {_instead(value)}"
    if depth == MAX_DEPTH:
        return "", f"lies more than {MAX_DEPTH} levels deep"
    for key, item in value.items() if kind is dict else enumerate(value):
        if kind is dict and (type(key) is not str or _fault_of_scalar(key)):
            return "", f"has the key {key!r:.80}: the keys of an object must be text"
        if fault_ := _fault(item, depth + 1):
            return f"[{key!r:.80}]{fault_[0]}", fault_[1]
    return None


def _fault_of_scalar(value: Any) -> str | None:
    if isinstance(value, str):
        try:
            value.isascii() or value.encode()
        except UnicodeEncodeError:
            return "holds half a surrogate pair, which is no text"
    elif isinstance(value, float) and not math.isfinite(value):
        return f"is {value}, which JSON cannot hold: return None"
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "is an integer of more than 64 bits: return str(...)"
    return None


def _instead(value: Any) -> str:
    kind = type(value)
    if kind.__name__ in _INSTEAD:
        return _INSTEAD[kind.__name__]
    if isinstance(value, Enum):
        return ".value"
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "item"):
        return ".item()"
    if dataclasses.is_dataclass(value):
        return "dataclasses.asdict(...)"
    if hasattr(value, "model_dump"):
        return ".model_dump(mode='json')"
    if hasattr(value, "__fspath__"):
        return "str(...)"
    if isinstance(value, str | int | float | list | dict):
        return f"{next(base.__name__ for base in (str, int, float, list, dict) if isinstance(value, base))}(...)"
    return "JSON values (dict, list, text, numbers), a Report, or the Path of a declared output"
