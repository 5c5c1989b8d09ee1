"""Types of a plan's fields: what may stand there, and the short forms that people write."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from orchestrator_nb.core.ids import ID_PATTERN, MAX_ID, NAME_PATTERN, fault_of_id, is_identifier


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _good_id(value: str) -> str:
    if fault := fault_of_id(value):
        raise ValueError(fault)
    return value


def _good_name(value: str) -> str:
    if not is_identifier(value):
        raise ValueError(f"'{value}' is no name; use letters, digits and '_', as in my_file")
    return value


def _good_output(value: str) -> str:
    if not is_inside(value):
        raise ValueError(f"'{value}' must be a relative path without '..', a file name on every system")
    return value


def is_inside(path: str) -> bool:
    """Whether `path` is relative, stays in its directory, and is a file name on every system.

    No ``..``, no drive, no backslash, no control character, nothing that is not Unicode text.
    """
    pure = PurePosixPath(path)
    return bool(pure.parts) and not (pure.is_absolute() or ".." in pure.parts or _HOSTILE.search(path))


#: Control characters, backslash, colon, line separators, lone surrogates.
_HOSTILE = re.compile(r"[\x00-\x1f\x7f-\x9f\\:\u2028\u2029\ud800-\udfff]")
#: The same for JSON Schema, but for lone surrogates, which no JSON text holds.
OUTPUT_SCHEMA = {
    "type": "string",
    "pattern": r"^(?!/)(?!(.*/)?\.\.(/|$))(?!(\./*)+$)[^\x00-\x1f\x7f-\x9f\\:\u2028\u2029]+(?![\s\S])",
}


def named(paths: Any) -> Any:
    """Inputs given as a list, by names made of the files' names: ``data/my-file.csv`` is ``my_file``."""
    if not isinstance(paths, list | tuple):
        return paths
    inputs: dict[str, Any] = {}
    for path in paths:
        stem = PurePosixPath(str(path).rstrip("}").rpartition(":")[2]).stem
        base = re.sub(r"[^A-Za-z0-9_]", "_", stem)
        name = base = base if is_identifier(base) else f"_{base}"
        number = 2
        while name in inputs:
            name, number = f"{base}_{number}", number + 1
        inputs[name] = path
    return inputs


def short(key: str, *kinds: type) -> Callable[[Any], Any]:
    """A validator that takes a value of one of `kinds` for the mapping with just `key`."""

    def full(data: Any) -> Any:
        return {key: data} if isinstance(data, kinds) else data

    return full


def type_of(value: object) -> str:
    """The type of a parameter whose default is `value`."""
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "str")):
        if isinstance(value, kind):
            return name
    return "json"


#: Numbers as JSON has them: text and booleans are no numbers, 3.0 is a whole one.
Number = Annotated[float, Strict()]
Count = Annotated[int, Strict(), Field(ge=1, le=10_000), BeforeValidator(_whole)]
Attempts = Annotated[int, Strict(), Field(ge=1, le=100), BeforeValidator(_whole)]
ExitCode = Annotated[int, Strict(), Field(ge=0, le=255), BeforeValidator(_whole)]
Flag = Annotated[bool, Strict()]
Id = Annotated[
    str, AfterValidator(_good_id), WithJsonSchema({"type": "string", "pattern": ID_PATTERN, "maxLength": MAX_ID})
]
Name = Annotated[str, AfterValidator(_good_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
Output = Annotated[str, AfterValidator(_good_output), WithJsonSchema(OUTPUT_SCHEMA)]

#: Of all plan models: frozen, strict about keys, docstrings as the schema's descriptions.
MODEL = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
