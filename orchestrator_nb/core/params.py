"""The parameters of a plan: from what somebody gave to typed, complete values, or to all that is wrong with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Param
from orchestrator_nb.core.values import as_text, leaves
from orchestrator_nb.errors import ParameterError

#: What no file name, argument or UTF-8 file can hold: NUL, and halves of surrogate pairs.
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_TRUE = frozenset(["true", "yes", "on", "1"])
_FALSE = frozenset(["false", "no", "off", "0"])
_WHAT = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path",
    "json": "JSON",
}


def named(texts: Iterable[str], option: str = "-p") -> dict[str, str]:
    """``NAME=VALUE`` as people write it behind `option`: the values by name. Raises `ParameterError`."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParameterError(f"{option} {text}: write NAME=VALUE")
        values[name.strip()] = value
    return values


def resolve(params: Mapping[str, Param], given: Mapping[str, Any], *, typed: bool = False) -> dict[str, Any]:
    """The value of every parameter: as given, else its default.

    Args:
        params: The plan's parameters.
        given: Values by name. Text is converted to the parameter's type, as it comes from a command line; for type
            `json` it is parsed if it is JSON, and is itself if it is not (but text that begins with { or [ must be).
        typed: The values have their types already (they come from Python, or from another session): text stays text.

    Raises:
        ParameterError: With all faults: unknown names (and the nearest), missing values, wrong types, wrong choices.
    """
    faults = [f"unknown parameter '{name}'{did_you_mean(name, params)}" for name in given if name not in params]
    values: dict[str, Any] = {}
    for name, param in params.items():
        if name not in given:
            if param.required:
                hint = f" ({param.help})" if param.help else ""
                faults.append(f"parameter '{name}' has no value{hint}; give {_WHAT[param.type]} with -p {name}=VALUE")
            values[name] = param.default
            continue
        try:
            values[name] = convert(param, given[name], typed=typed)
        except ParameterError as error:
            faults.append(f"parameter '{name}' {error}")
    if given.keys() - params.keys():
        faults.append(f"parameters of this plan: {', '.join(params) or 'none'}")
    if faults:
        raise ParameterError("\n".join(faults))
    return values


def convert(param: Param, value: Any, *, typed: bool = False) -> Any:
    """`value` in the type of `param`. Raises `ParameterError`, worded to follow the parameter's name."""
    if value is None and not param.required and param.default is None:
        return None
    converted = check_type(param.type, value) if typed or not isinstance(value, str) else parse_text(param.type, value)
    if param.choices and not any(same_value(converted, choice) for choice in param.choices):
        allowed = ", ".join(as_text(choice) for choice in param.choices)
        near = did_you_mean(converted, [c for c in param.choices if isinstance(c, str)]) if _is_text(converted) else ""
        raise ParameterError(f"must be one of {allowed}, not {shown(value)}{near}")
    return converted


def parse_text(kind: str, text: str) -> Any:
    """Text from a command line in the type `kind` of `Param`. Raises `ParameterError`, as `convert` does."""
    word = text.strip()
    if kind == "bool" and word.lower() in _TRUE | _FALSE:
        return word.lower() in _TRUE
    try:
        if kind == "int":
            return check_type(kind, int(word) if len(word) <= 40 else word)
        if kind == "float":
            return check_type(kind, float(word))
        if kind == "json":
            return check_type(kind, json.loads(text))
    except (ValueError, RecursionError):
        if kind != "json" or word.startswith(("{", "[")):
            raise _wrong(kind, text) from None
    return check_type(kind, text)


def check_type(kind: str, value: Any) -> Any:
    """`value`, which must be of the type `kind` of `Param` already. Raises `ParameterError`, as `convert` does."""
    if isinstance(value, PurePath) and kind in ("path", "str"):
        value = str(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    good = {
        "str": _is_text(value),
        "path": _is_text(value) and bool(value),
        "int": number and isinstance(value, int),
        "float": number,
        "bool": isinstance(value, bool),
        "json": True,
    }[kind]
    if not good or fault_of_value(value):
        raise _wrong(kind, value)
    return float(value) if kind == "float" else value


def fault_of_value(value: Any) -> str | None:
    """What keeps `value` from being JSON that every program can read, or None.

    JSON has no NaN and no infinity; whole numbers beyond 64 bits, NUL characters and lone surrogates are refused too,
    because neither a file, a process nor another language takes them.
    """
    for _, leaf in leaves(value):
        if isinstance(leaf, str):
            if _NO_TEXT.search(leaf):
                return "text must be valid Unicode without NUL characters"
        elif isinstance(leaf, bool) or leaf is None:
            continue
        elif isinstance(leaf, int):
            if not -(2**63) <= leaf < 2**64:
                return "whole numbers beyond 64 bits must be written as text, in quotes"
        elif not isinstance(leaf, float):
            return f"{type(leaf).__name__} is no JSON value"
        elif not math.isfinite(leaf):
            return "numbers must be finite"
    return None


def same_value(value: Any, choice: Any) -> bool:
    """Whether two JSON values are the same: ``1`` is not ``true``."""
    return bool(value == choice and isinstance(value, bool) == isinstance(choice, bool))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _wrong(kind: str, value: Any) -> ParameterError:
    reason = fault_of_value(value)
    return ParameterError(f"must be {_WHAT[kind]}, not {shown(value)}{f' ({reason})' if reason else ''}")


def shown(value: Any) -> str:
    """A value as messages show it."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
