"""One value, from what somebody gave to JSON of a parameter's type."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.jsonable import fault_of_json
from orchestrator_nb.core.params import check_type, fault_of_value, parse_text, same_value, shown
from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb.given import Text
from orchestrator_nb.ipynb.kinds import Limits, Type
from orchestrator_nb.ipynb.wording import choices, expected

#: Words for None where text is no value of the type; an empty cell of a table is one too.
_NONE = frozenset(["", "none", "null", "nan", "nat"])
_WORDS = {"True": True, "False": False, "None": None}
_TIMES: dict[str, Any] = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}
_CONTAINERS = ("list", "tuple", "set", "dict")
#: Kinds of unions that are tried last, as every text is one.
_LAST = ("str", "path", "any")


class Mismatch(Exception):  # noqa: N818
    """The value is not of the type; says why where that is more than what was expected."""


def convert(kind: Type, value: Any, *, typed: bool = False, places: Sequence[Path] | None = None) -> Any:
    """`value` as JSON of the type `kind`.

    Text is read in the type. Where text is a value of the type too (no annotation, ``int | str``), it is read as if it
    were not, unless `typed` or `given.Text` says that it is meant as text. A whole float is an int too (tables make
    floats of numbers).

    Args:
        kind: The type.
        value: What was given: text, JSON, or what NumPy, pandas, `datetime`, `pathlib` and `enum` have for it.
        typed: It comes from where types are known: Python, JSON, YAML.
        places: Directories that a path may be relative to, in order; paths are not looked up when it is None.

    Raises:
        ParameterError: Worded to follow the parameter's name.
    """
    is_text = typed or isinstance(value, Text)
    try:
        value = plain(value)
        return _value(kind, value, is_text, places)
    except Mismatch as error:
        reason = str(error) or fault_of_value(value) or ""
        near = _near(kind, value)
        raise ParameterError(
            f"must be {expected(kind)}, not {_shown(value)}{f' ({reason})' if reason else near}"
        ) from None
    except RecursionError:
        raise ParameterError("is nested too deeply") from None


def _shown(value: Any) -> str:
    is_json = value is None or isinstance(value, str | int | float | list | dict | bytes)
    return shown(value) if is_json else f"a value of type {type(value).__name__}"


def _near(kind: Type, value: Any) -> str:
    known = [*choices(kind), *(name for name, _ in kind.members)]
    return did_you_mean(value, [each for each in known if isinstance(each, str)]) if isinstance(value, str) else ""


def plain(value: Any) -> Any:
    """A value of Python, NumPy or pandas as what it is in JSON; what is nothing there stays as it is."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float | decimal.Decimal):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {_plain_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    for method in ("item", "tolist"):  # of a NumPy scalar or array, a Series
        if hasattr(value, method):
            try:
                return plain(getattr(value, method)())
            except (ValueError, TypeError):
                continue
    return value


def _plain_key(key: Any) -> Any:
    made = plain(key)
    return made if isinstance(made, str | int) else key


def _value(kind: Type, value: Any, typed: bool, places: Sequence[Path] | None) -> Any:
    if _is_none(kind, value):
        return None
    match kind.kind:
        case "none":
            raise Mismatch
        case "union":
            return _of_union(kind, value, typed, places)
        case "choice" | "enum":
            converted = _choice(kind, value)
        case "date" | "datetime" | "time":
            converted = _time(kind.kind, value)
        case "decimal":
            converted = _decimal(value)
        case "path":
            converted = _path(kind, value, places)
        case "list" | "tuple" | "set" | "dict":
            converted = _container(kind, value, places)
        case _:
            converted = _scalar(kind.kind, value, typed)
    if kind.limits and not within(kind, converted):
        raise Mismatch
    return converted


def _is_none(kind: Type, value: Any) -> bool:
    if kind.kind == "any":
        return False  # None is a value of it, and "None" is read with the other words
    if not (kind.optional or kind.kind == "none"):
        return False
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if not isinstance(value, str) or _takes_text(kind) or value in choices(kind):
        return False
    return value.strip().lower() in _NONE


def _takes_text(kind: Type) -> bool:
    return kind.kind in ("str", "any") or any(_takes_text(member) for member in kind.of if kind.kind == "union")


def _scalar(kind: str, value: Any, typed: bool) -> Any:
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        value = int(value)
    reads = isinstance(value, str)
    if kind == "number":
        is_whole = re.fullmatch(r"\s*[-+]?\d+\s*", value) if isinstance(value, str) else type(value) is int
        kind = "int" if is_whole else "float"
    elif kind == "any":
        reads = reads and not typed
        if reads and value in _WORDS:
            return _WORDS[value]
        kind = "json"
    try:
        converted = parse_text(kind, value) if reads else check_type(kind, value)
    except ParameterError as error:
        raise Mismatch("numbers must be finite" if "finite" in str(error) else "") from None
    if fault := fault_of_json(converted):
        raise Mismatch(fault.replace("result ", "it ", 1))
    return converted


def _choice(kind: Type, value: Any) -> Any:
    for choice in choices(kind):
        if same_value(value, choice):
            return choice
    if isinstance(value, str):
        if value in (members := dict(kind.members)):
            return members[value]
        for choice in choices(kind):
            if not isinstance(choice, str) and value.strip().lower() == str(choice).lower():
                return choice
    raise Mismatch


def _time(kind: str, value: Any) -> str:
    try:
        text = value.strip()
        if kind == "date":  # a date and time at midnight is one: tables know no other dates
            text = re.sub(r"[T ]00:00(:00(\.0+)?)?$", "", text)
        return str(_TIMES[kind].fromisoformat(text).isoformat())
    except (AttributeError, TypeError, ValueError):
        raise Mismatch from None


def _decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | decimal.Decimal):
        raise Mismatch
    try:
        number = decimal.Decimal(
            value.strip() if isinstance(value, str) else repr(value) if isinstance(value, float) else value
        )
    except decimal.InvalidOperation:
        raise Mismatch from None
    if not number.is_finite():
        raise Mismatch("numbers must be finite")
    return str(number)


def _container(kind: Type, value: Any, places: Sequence[Path] | None) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            like = '{"key": 1}' if kind.kind == "dict" else "[1, 2]"
            raise Mismatch(f"write JSON, like {like}") from None
    if kind.kind == "dict":
        return _dict(kind, value, places)
    if not isinstance(value, list):
        raise Mismatch
    kinds = [kind.of[0]] * len(value) if kind.of and (kind.repeated or kind.kind != "tuple") else list(kind.of)
    if kinds and len(kinds) != len(value):
        raise Mismatch(f"it has {len(value)} values instead of {len(kinds)}")
    converted = [
        _inner(f"value {n}", *pair, places)
        for n, pair in enumerate(zip(kinds or [Type()] * len(value), value, strict=True), 1)
    ]
    if kind.kind == "set":
        if not all(isinstance(item, str | int | float | bool | None) for item in converted):
            raise Mismatch("the values of a set are text, numbers, true, false or null")
        return list({(type(item), item): item for item in converted}.values())
    return converted


def _dict(kind: Type, value: Any, places: Sequence[Path] | None) -> Any:
    if not isinstance(value, dict):
        raise Mismatch
    of_keys, of_values = kind.of if len(kind.of) == 2 else (Type("any"), Type("any"))
    for key in value:
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise Mismatch(f"its key {shown(key)} is no text")
    converted = {}
    for key, item in value.items():
        if of_keys.kind not in ("any", "str"):  # JSON has its keys as text
            _inner(f"key {shown(key)}", of_keys, key, places)
        converted[str(key)] = _inner(f"[{shown(key)}]", of_values, item, places)
    if fault := fault_of_json(converted):
        raise Mismatch(fault.replace("result ", "it ", 1))
    return converted


def _inner(where: str, kind: Type, value: Any, places: Sequence[Path] | None) -> Any:
    try:
        return _value(kind, value, True, places)
    except Mismatch as error:
        raise Mismatch(f"{where} must be {expected(kind)}{f': {error}' if str(error) else ''}") from None


def _of_union(kind: Type, value: Any, typed: bool, places: Sequence[Path] | None) -> Any:
    return member_of(kind, value, typed, places)[1]


def member_of(kind: Type, value: Any, typed: bool, places: Sequence[Path] | None) -> tuple[Type, Any]:
    """The member of a union that `value` is one of, and the value as JSON of it. Raises `Mismatch`."""
    members = sorted(kind.of, key=lambda member: (not _is_exactly(member, value, typed), member.kind in _LAST))
    for member in members:
        try:
            return member, _value(replace(member, optional=False), value, typed, places)
        except Mismatch:
            continue
    raise Mismatch


def _is_exactly(kind: Type, value: Any, typed: bool) -> bool:
    """Whether `value` needs no conversion: an int is not taken for a float where both are allowed."""
    if isinstance(value, str):
        return typed and kind.kind == "str"
    return type(value).__name__ == kind.kind


# -- paths -------------------------------------------------------------------------------------------------------------


def _path(kind: Type, value: Any, places: Sequence[Path] | None) -> str:
    if not isinstance(value, str) or not value or fault_of_value(value):
        raise Mismatch
    if places is None:
        return value
    try:
        return str(_found(kind, Path(value).expanduser(), places))
    except (OSError, RuntimeError) as error:  # a name that is too long, no such user behind ~
        raise Mismatch(str(error)) from None


def _found(kind: Type, path: Path, places: Sequence[Path]) -> Path:
    candidates = list(dict.fromkeys((place / path).absolute() for place in places))  # an absolute path stays as it is
    there = [candidate for candidate in candidates if candidate.exists()]
    wanted = {"file": Path.is_file, "directory": Path.is_dir}.get(kind.exists)
    tried = f"tried {' and '.join(map(str, candidates))}"
    if kind.exists == "new" and there:
        raise Mismatch(f"{there[0]} exists")
    for candidate in there:
        if wanted is None or wanted(candidate):
            return candidate.resolve()
    if wanted is not None:
        raise Mismatch(tried)
    for candidate in candidates:
        if candidate.parent.is_dir():
            return candidate
    raise Mismatch(f"{tried}: no such file, and no directory to make it in")


# -- limits ------------------------------------------------------------------------------------------------------------


def within(kind: Type, value: Any) -> bool:
    """Whether `value`, JSON of the type `kind`, keeps the type's limits."""
    limits = kind.limits
    return _in_range(kind, value, limits) and _in_length(value, limits) and _in_pattern(value, limits)


def _in_range(kind: Type, value: Any, limits: Limits) -> bool:
    read = (
        _TIMES[kind.kind].fromisoformat if kind.kind in _TIMES else decimal.Decimal if kind.kind == "decimal" else None
    )
    try:
        number = read(value) if read else value
        bounds = {
            name: read(str(bound)) if read else bound for name, bound in limits.given().items() if name in _COMPARED
        }
        return all(_COMPARED[name](number, bound) for name, bound in bounds.items())
    except (TypeError, ValueError, decimal.InvalidOperation):
        return False


def _is_multiple(value: Any, of: Any) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return of != 0 and value % of == 0
    rest, tolerance = abs(value % of), abs(value) / 10**9  # as pydantic has it: 0.3 is a multiple of 0.1
    return bool(rest <= tolerance or abs(rest - abs(of)) <= tolerance)


_COMPARED: dict[str, Any] = {
    "ge": lambda value, bound: value >= bound,
    "gt": lambda value, bound: value > bound,
    "le": lambda value, bound: value <= bound,
    "lt": lambda value, bound: value < bound,
    "multiple_of": _is_multiple,
}


def _in_length(value: Any, limits: Limits) -> bool:
    if limits.min_length is None and limits.max_length is None:
        return True
    if not isinstance(value, str | list | dict):
        return False
    longest = limits.max_length if limits.max_length is not None else len(value)
    return (limits.min_length or 0) <= len(value) <= longest


def _in_pattern(value: Any, limits: Limits) -> bool:
    if limits.pattern is None:
        return True
    try:
        return isinstance(value, str) and re.search(limits.pattern, value) is not None
    except re.error:  # the notebook's own pydantic will say so
        return True
