"""Names of a batch's executed notebooks, by a template over each row: ``{x}-{model}.ipynb``.

A name is the id of the row's task and ``.ipynb``: safe as a file name on every system, with ``/`` for folders. What is
not (blanks, umlauts, signs) becomes ``-``. ``{row}`` is the number of the row, ``{notebook}`` the notebook's name, and
a format may follow as in Python: ``{x:.2f}``, ``{row:04}``. Braces are doubled to be themselves.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_nb.core.ids import MAX_SEGMENT, did_you_mean, fault_of_id
from orchestrator_nb.errors import ParameterError
from orchestrator_nb.headless.grid import Row
from orchestrator_nb.projections.words import some

SUFFIX = ".ipynb"

#: Longest name that the parameters of a row give without a template.
_LONGEST = 60
#: Faults that are told one by one.
_SHOWN = 20
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def names_of(rows: Sequence[Row], template: str | None, notebook: str) -> list[str]:
    """The name of each row without its ending: an id.

    Args:
        rows: The parameters of each row.
        template: As above, with or without ``.ipynb``; without one, the names and values of the parameters in which the
            rows differ, or the number of the row where that would be long.
        notebook: Name of the notebook without its ending.

    Raises:
        ParameterError: With all faults: fields that no row has, names that no file can have, rows with the same name.
    """
    names = _by_default(rows, notebook) if template is None else _by_template(rows, template, notebook)
    faults = [
        f"row {number}: '{name}': {fault}" for number, name in enumerate(names, 1) if (fault := fault_of_id(name))
    ]
    faults += _collisions(names, template)
    if faults:
        shown = faults[:_SHOWN] + ([f"... and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else [])
        raise ParameterError("the executed notebooks cannot be named:\n" + "\n".join(shown))
    return names


def _by_default(rows: Sequence[Row], notebook: str) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    varying = [name for name in columns if any(_differ(row.get(name), rows[0].get(name)) for row in rows)]
    if not varying:
        return [_safe(notebook) or "run"] if len(rows) == 1 else _numbered(rows)
    if any(isinstance(row.get(name), list | tuple | dict) for row in rows for name in varying):
        return _numbered(rows)
    names = ["-".join(f"{name}_{safe_text(row[name])}" for name in varying if name in row) for row in rows]
    names = [_safe(name) or "default" for name in names]
    usable = all(len(name) <= _LONGEST and not fault_of_id(name) for name in names)
    return names if usable and not _collisions(names, None) else _numbered(rows)


def _differ(value: Any, other: Any) -> bool:
    return type(value) is not type(other) or bool(value != other)


def _numbered(rows: Sequence[Row]) -> list[str]:
    width = len(str(len(rows)))
    return [f"row_{number:0{width}}" for number in range(1, len(rows) + 1)]


def _by_template(rows: Sequence[Row], template: str, notebook: str) -> list[str]:
    wanted = template.removesuffix(SUFFIX)
    try:
        fields = [
            (field or "", form or "") for _, field, form, _ in string.Formatter().parse(wanted) if field is not None
        ]
    except ValueError as error:
        raise ParameterError(f"--name {template}: {error}; double a brace that is meant as one") from None
    if not wanted or (not fields and len(rows) > 1):
        raise ParameterError(
            f"--name {template}: write the parameters that tell the rows apart, as in '{{x}}-{{model}}'"
        )
    known = [*dict.fromkeys(name for row in rows for name in row), "row", "notebook"]
    unknown = [field for field, _ in fields if field not in known]
    if unknown:
        raise ParameterError(
            f"--name {template}: no row gives '{unknown[0]}'{did_you_mean(unknown[0], known)} (they give {some(known)})"
        )
    return [_formatted(wanted, row, number, notebook, template) for number, row in enumerate(rows, 1)]


def _formatted(template: str, row: Row, number: int, notebook: str, whole: str) -> str:
    values: Mapping[str, Any] = {"notebook": notebook, "row": number, **row}
    parts = []
    for literal, field, form, _ in string.Formatter().parse(template):
        parts.append("/".join(_UNSAFE.sub("-", piece) for piece in literal.split("/")))
        if field is not None:
            if field not in values:
                raise ParameterError(
                    f"--name {whole}: row {number} gives no '{field}': use '{{row}}', or fill the cell"
                )
            try:
                parts.append(safe_text(format(values[field], form) if form else values[field]))
            except (ValueError, TypeError) as error:
                raise ParameterError(f"--name {whole}: row {number}: {field}={values[field]!r:.60}: {error}") from None
    return "".join(parts)


def safe_text(value: Any) -> str:
    """`value` as part of a file name: letters, digits, ``.``, ``_``, ``-``."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = _UNSAFE.sub("-", str(value))
    return text.strip("-") if isinstance(value, str) else text  # a number keeps its sign


def _safe(name: str) -> str:
    """A name that begins and ends as an id does."""
    return _UNSAFE.sub("-", name).strip("-.")[:MAX_SEGMENT].rstrip(".")


def _collisions(names: Sequence[str], template: str | None) -> list[str]:
    """Rows with the same name, on file systems that do not tell capital letters too."""
    rows: dict[str, list[int]] = {}
    for number, name in enumerate(names, 1):
        rows.setdefault(name.lower(), []).append(number)
    remedy = "" if template is None else "; put another parameter, or {row}, into --name"
    return [
        f"rows {some([str(number) for number in numbers], 5)} would all be '{names[numbers[0] - 1]}{SUFFIX}'{remedy}"
        for numbers in rows.values()
        if len(numbers) > 1
    ]
