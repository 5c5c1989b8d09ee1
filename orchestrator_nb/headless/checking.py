"""The parameters of all rows of a batch, checked against the notebook before any kernel starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator_nb.errors import NotebookError, ParameterError
from orchestrator_nb.headless.grid import Row, in_rows
from orchestrator_nb.ipynb.parameters import parameters_of
from orchestrator_nb.ipynb.values import check, message

#: Faults that are told one by one.
MAX_FAULTS = 50


def notebook_at(given: str | Path) -> Path:
    """The notebook's file, absolute. Raises `NotebookError` if there is none."""
    path = Path(given).expanduser()
    if path.suffix != ".ipynb":
        raise NotebookError(f"notebook '{given}' must be a file that ends in .ipynb")
    if not path.is_file():
        raise NotebookError(f"notebook '{given}' does not exist: tried {path.absolute()}")
    return path.resolve()


def checked(notebook: Path, rows: Sequence[Row]) -> list[Row]:
    """`rows` with their values as JSON of the types that the notebook asks for.

    Paths are relative to the caller's directory, then to the notebook's. Raises `ParameterError` with all faults, each
    with the rows that have it, and `NotebookError` for a file that is no notebook.
    """
    parameters = parameters_of(notebook)
    places = (Path.cwd(), notebook.parent)
    table: list[Row] = []
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        values, faults = check(parameters, row, places=places)
        table.append(values)
        for fault in faults:
            found.setdefault(fault, []).append(number)
    if found:
        told = [f"{in_rows(at)}: {fault}" if len(rows) > 1 else fault for fault, at in found.items()]
        more = [f"... and {len(told) - MAX_FAULTS:,} more faults"] if len(told) > MAX_FAULTS else []
        raise ParameterError(message(parameters, [*told[:MAX_FAULTS], *more]))
    return table
