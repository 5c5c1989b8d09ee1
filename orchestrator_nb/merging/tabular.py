"""One row a task, for tasks that do the same with different parameters: batches of notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_nb.core.reports import Report
from orchestrator_nb.core.values import as_text
from orchestrator_nb.merging import parts
from orchestrator_nb.merging.collection import Collection, Contribution
from orchestrator_nb.projections.text import image, inline, table
from orchestrator_nb.projections.words import some

#: Columns of parameters, and of values, that a table has; what is more is in the notebooks.
MAX_COLUMNS = 20
#: Characters of a value in the table, and of an error.
_VALUE, _ERROR = 80, 300


def tabular(collection: Collection) -> str:
    """The document."""
    items = collection.contributions
    constant = constants([item.parameters for item in items])
    parameters = names(item.parameters for item in items if item.parameters)
    shown = [name for name in parameters if name not in constant]
    values = names(item.values for item in items)
    columns: list[tuple[str, Callable[[Contribution], str]]] = [("Run", _name)]
    columns += [(name, _value_of("parameters", name)) for name in shown[:MAX_COLUMNS]]
    columns.append(("Status", _status))
    columns += [(name, _value_of("values", name)) for name in values[:MAX_COLUMNS]]
    columns.append(("Result", _result))
    columns.append(("Picture", _picture))
    rows = [[cell(item) for _, cell in columns] for item in items]
    used = [index for index in range(len(columns)) if index == 0 or any(row[index] for row in rows)]
    header = [inline(columns[index][0]) for index in used]
    sections = [
        f"# {inline(collection.title)}\n",
        f"- Runs completed: {len(items) - len(collection.missing):,} of {len(items):,}",
    ]
    if collection.missing:
        sections.append(f"- Missing: {some([inline(task) for task in collection.missing])}")
    if constant:
        sections.append(f"- The same in all: {_listed(constant)}")
    if len(shown) > MAX_COLUMNS or len(values) > MAX_COLUMNS:
        sections.append(f"- Shown are the first {MAX_COLUMNS} parameters and values; the notebooks have all")
    sections += ["", table(header, ([row[index] for index in used] for row in rows))]
    if who := parts.credits_table(items):
        sections.append(f"## Who did what\n\n{who}")
    return "\n".join(sections)


def names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """All keys, in the order in which they come up."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def constants(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters that have the same value in all of several rows."""
    if len(rows) < 2:
        return {}
    first = rows[0]
    return {name: value for name, value in first.items() if all(_same(row, name, value) for row in rows)}


def _same(row: Mapping[str, Any], name: str, value: Any) -> bool:
    return name in row and type(row[name]) is type(value) and bool(row[name] == value)


def _listed(parameters: Mapping[str, Any]) -> str:
    return some([f"{inline(name)} = {_cell(value)}" for name, value in parameters.items()])


def _name(item: Contribution) -> str:
    notebooks = parts.notebooks(item)
    return notebooks[0] if notebooks else inline(item.title)


def _value_of(kind: str, name: str) -> Callable[[Contribution], str]:
    def cell(item: Contribution) -> str:
        found: Mapping[str, Any] = getattr(item, kind)
        return _cell(found[name]) if name in found else ""

    return cell


def _cell(value: Any) -> str:
    return shown(value) if is_number(value) else inline(as_text(value), _VALUE)


def is_number(value: Any) -> bool:
    """Whether it is a number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value for people: fractions with six digits, lists and mappings as JSON."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.6g}"
    return as_text(value)


def _status(item: Contribution) -> str:
    return f"❌ {inline(item.missing.partition(chr(10))[0], _ERROR)}" if item.missing else "✅"


def _result(item: Contribution) -> str:
    """What the cell tagged `result` says, where that is not among the values."""
    result = item.result
    if result is msgspec.UNSET or result == dict(item.values) or result == item.values.get("result"):
        return ""
    if isinstance(result, str) and result.startswith("Executed ") and parts.notebooks(item):
        return ""  # the notebook says nothing: its agent does
    if isinstance(result, Report):
        return inline(result.summary or f"{len(result.findings):,} findings", _VALUE)
    return _cell(result)


def _picture(item: Contribution) -> str:
    """The last one: what a notebook ends with."""
    pictures = [path for name, path in item.outputs.items() if parts.is_picture(name)]
    return image(item.title, pictures[-1]) if pictures else ""
