"""What papermill cannot write into a notebook: values as the annotations say, made of the JSON that it writes.

papermill's cell holds ``day = "2025-12-31"``. `typed_lines` gives ``day = date.fromisoformat("2025-12-31")``, to be put
at the end of that cell, so that `day` is what it is when the notebook is run by hand. The same for `datetime`, `time`,
`Path`, `Decimal`, `Enum`, tuples and sets, also within lists and dicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator_nb.ipynb.conversion import Mismatch, member_of
from orchestrator_nb.ipynb.kinds import Type
from orchestrator_nb.ipynb.parameters import Parameters

#: Where the types are that a notebook may not have imported by name (an annotation in quotes).
_MODULES = {"path": "pathlib", "decimal": "decimal", "date": "datetime", "datetime": "datetime", "time": "datetime"}
_NAMES = {"path": "Path", "decimal": "Decimal"}


def typed_lines(parameters: Parameters, values: Mapping[str, Any]) -> str:
    """Assignments of the `values` (as `values.resolve` gives them) that JSON alone does not say; mostly empty.

    They use the names that the notebook's own annotations use, so they belong behind its parameters cell. Notebooks in
    other languages have none.
    """
    lines = []
    for name, value in values.items():
        parameter = parameters.by_name.get(name)
        if parameter is not None and (code := expression(parameter.type, value)) != repr(value):
            lines.append(f"{name} = {code}")
    return "\n".join(lines)


def expression(kind: Type, value: Any) -> str:
    """Python for `value`, which is JSON of the type `kind`."""
    if value is None:
        return "None"
    match kind.kind:
        case "date" | "datetime" | "time":
            return f"{_made_by(kind)}.fromisoformat({value!r})"
        case "path" | "decimal":
            return f"{_made_by(kind)}({value!r})"
        case "enum":
            return _member(kind, value)
        case "union":
            try:
                member, _ = member_of(kind, value, True, None)
            except Mismatch:
                return repr(value)
            return expression(member, value)
        case "list":
            return f"[{', '.join(_elements(kind, value))}]"
        case "tuple":
            elements = _elements(kind, value)
            return f"({', '.join(elements)}{',' if len(elements) == 1 else ''})"
        case "set":
            return f"{{{', '.join(_elements(kind, value))}}}" if value else "set()"
        case "dict" if len(kind.of) == 2:
            keys, items = kind.of
            pairs = (f"{_key(keys, key)}: {expression(items, item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
    return repr(value)


def _elements(kind: Type, value: list[Any]) -> list[str]:
    if kind.of and (kind.repeated or kind.kind != "tuple"):
        return [expression(kind.of[0], item) for item in value]
    return [expression(inner, item) for inner, item in zip(kind.of or [Type()] * len(value), value, strict=True)]


def _key(kind: Type, key: str) -> str:
    return str(int(key)) if kind.kind == "int" else expression(kind, key)


def _made_by(kind: Type) -> str:
    return kind.code or f"__import__({_MODULES[kind.kind]!r}).{_NAMES.get(kind.kind, kind.kind)}"


def _member(kind: Type, value: Any) -> str:
    for name, known in kind.members:
        if known == value and type(known) is type(value):
            return f"{kind.code}[{name!r}]"
    return repr(value)
