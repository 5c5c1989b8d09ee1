"""The rows of a batch: one mapping of parameters a run, from a grid, a table or both.

A grid gives each parameter a list of values; a batch has one row for each combination, the last name changing fastest.
Values of one name, as text:

    1..50             whole numbers, both ends included
    10..1             downwards
    0.1..1..0.1       with a step; exact decimals, so 0.3 is 0.3
    a,b,c             a list; what stands between commas is one value, without the blanks around it
    ["a,b", "c"]      a YAML list, for values with commas, for text that looks like a number, null and nested values

Text of a grid or of CSV is read in the type of its parameter, text in Python, JSON and YAML stays text.
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb.given import Text
from orchestrator_nb.storage.remedies import refused

#: Runs that one batch may have: the limit of what a session is measured with.
MAX_ROWS = 100_000

Row = dict[str, Any]


_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")


def rows_of(
    grid: Mapping[str, Any] | None = None, rows: Any = None, params: Mapping[str, Any] | None = None
) -> list[Row]:
    """The rows of a batch: each row of the table, with each combination of the grid, over `params`.

    Args:
        grid: By parameter, its values: a list or any other iterable, or text (see above).
        rows: A table: the path of a file, a list of mappings, a mapping of lists, or a DataFrame. Cells that are empty
            (None, NaN, NaT) are not given: the value in `params` holds, else the notebook's own.
        params: Values of parameters that are the same in all rows, where these do not say otherwise.

    Raises:
        ParameterError: A name is given twice, there are no rows, or more than `MAX_ROWS`.
    """
    table = [{}] if rows is None else _table(rows)
    axes = {name: values_of(name, values) for name, values in (grid or {}).items()}
    constant = dict(params or {})
    columns = {name for row in table for name in row}
    for name in axes:
        if name in columns or name in constant:
            other = "a column of the table" if name in columns else "a parameter of all rows"
            raise ParameterError(f"'{name}' is given twice: by the grid, and as {other}")
    number = len(table) * math.prod(len(values) for values in axes.values())
    if not number:
        empty = [name for name, values in axes.items() if not values]
        raise ParameterError(f"the grid has no value for '{empty[0]}'" if empty else "the table has no rows")
    if number > MAX_ROWS:
        raise ParameterError(f"the batch would have {number:,} runs; at most {MAX_ROWS:,} are possible")
    combinations = [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]
    return [{**constant, **row, **combination} for row in table for combination in combinations]


# -- grids -------------------------------------------------------------------------------------------------------------


def parse_grid(texts: Iterable[str]) -> dict[str, str]:
    """Grids as people write them behind ``--grid``, ``NAME=VALUES``, by name. Raises `ParameterError`."""
    axes: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ParameterError(f"--grid {text}: write NAME=1..50, NAME=0.1..1..0.1 or NAME=a,b,c")
        if name in axes:
            raise ParameterError(f"--grid gives '{name}' twice: put all its values into one list")
        axes[name] = values
    return axes


def values_of(name: str, given: Any) -> list[Any]:
    """The values of one parameter of a grid. Raises `ParameterError`."""
    if isinstance(given, str):
        return _values_in(name, given.strip())
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise ParameterError(f"the grid's values of '{name}' must be a list, not {type(given).__name__}")
    values = [plain(value) for value in itertools.islice(given, MAX_ROWS + 1)]
    if len(values) > MAX_ROWS:
        raise ParameterError(f"the grid has more than {MAX_ROWS:,} values of '{name}'")
    return values


def _values_in(name: str, text: str) -> list[Any]:
    if text.startswith("["):
        return _yaml_list(name, text)
    if found := _RANGE.fullmatch(text):
        return _range(name, text, *found.groups())
    if not text:
        raise ParameterError(f"the grid has no value for '{name}'")
    return [part.strip() for part in text.split(",")]


def _yaml_list(name: str, text: str) -> list[Any]:
    from orchestrator_nb.planning.documents import parse

    document = parse(text, f"the grid of '{name}'", "yaml")
    if document.faults or not isinstance(document.value, list):
        why = f": {document.faults[0]}" if document.faults else ""
        raise ParameterError(f"the grid's value of '{name}' begins with '[' and is no YAML list{why}")
    return [plain(value) for value in document.value]


def _range(name: str, text: str, first: str, last: str, step: str | None) -> list[Any]:
    """The numbers of a range, as they would be written."""
    start, end = Decimal(first), Decimal(last)
    if step is None and not (start == int(start) and end == int(end)):
        raise ParameterError(f"the grid's range {name}={text} needs a step: {text}..0.1")
    by = Decimal(step) if step is not None else Decimal(1 if end >= start else -1)
    if by == 0 or (end - start) * by < 0:
        raise ParameterError(f"the grid's range {name}={text} never ends: its step leads away from {last}")
    number = int((end - start) / by) + 1
    if number > MAX_ROWS:
        raise ParameterError(f"the grid's range {name}={text} has more than {MAX_ROWS:,} values")
    whole = not any("." in part or "e" in part.lower() for part in (first, last, step or ""))
    numbers = (start + by * index for index in range(number))
    return [str(int(value) if whole else float(value)) for value in numbers]


def _table(rows: Any) -> list[Row]:
    return read_table(Path(rows)) if isinstance(rows, str | os.PathLike) else records(rows)


# -- tables ------------------------------------------------------------------------------------------------------------


def read_table(path: Path) -> list[Row]:
    """The rows of a file: CSV or TSV with a header, JSON or YAML (a list of mappings, or a mapping of lists), Parquet.

    Cells of CSV are text; an empty one is not given. Raises `ParameterError` with file and line.
    """
    match path.suffix.lower():
        case ".csv":
            return _csv(path, ",")
        case ".tsv" | ".tab":
            return _csv(path, "\t")
        case ".json" | ".yaml" | ".yml":
            return _document(path)
        case ".parquet":
            return _parquet(path)
    raise ParameterError(f"{path}: a table is a file that ends in .csv, .tsv, .json, .yaml or .parquet")


def _csv(path: Path, delimiter: str) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_columns(header, f"{path}:1")
            rows = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    where = f"{path}:{reader.line_num}"
                    raise ParameterError(f"{where}: {len(cells)} cells, but the header has {len(header)} columns")
                rows.append({name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()})
            return rows
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError:
        raise ParameterError(f"{path}: not UTF-8 text; save the table as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise ParameterError(f"{path}: no CSV: {error}") from None


def _check_columns(header: Sequence[str], where: str) -> None:
    if not header:
        raise ParameterError(f"{where}: the table is empty; its first line must name the parameters")
    doubled = [name for index, name in enumerate(header) if name in header[:index]]
    if doubled:
        raise ParameterError(f"{where}: two columns are named '{doubled[0]}'")
    if "" in header:
        raise ParameterError(f"{where}: column {header.index('') + 1} has no name")


def _document(path: Path) -> list[Row]:
    from orchestrator_nb.planning.documents import read_document

    document = read_document(path, str(path))
    if document.faults:
        raise ParameterError("\n".join(map(str, document.faults)))
    try:
        return records(document.value)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from None


def _parquet(path: Path) -> list[Row]:
    try:
        import pandas as pd

        return records(pd.read_parquet(path))
    except ImportError as error:
        raise ParameterError(
            f"{path}: Parquet needs pandas and pyarrow ({error}): pip install pandas pyarrow"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError as error:
        raise ParameterError(f"{path}: no Parquet: {error}") from None


def _unreadable(path: Path, error: OSError) -> ParameterError:
    return ParameterError(str(refused("read", path, error)))


def records(table: Any) -> list[Row]:
    """The rows of a table in Python, as plain values. Raises `ParameterError` for what is no table.

    A table is a DataFrame of pandas or polars, a mapping of columns, or an iterable of mappings.
    """
    if hasattr(table, "to_dicts"):  # polars
        table = table.to_dicts()
    elif hasattr(table, "to_dict") and hasattr(table, "columns"):
        _check_columns([str(name) for name in table.columns], "the DataFrame")
        table = table.to_dict("records")
    if isinstance(table, Mapping):
        table = _from_columns(table)
    if isinstance(table, str | bytes | PurePath) or not isinstance(table, Iterable):
        raise ParameterError(f"a table is a list of mappings or a DataFrame, not {type(table).__name__}")
    rows: list[Row] = []
    for number, row in enumerate(table, 1):
        if not isinstance(row, Mapping):
            raise ParameterError(f"row {number} of the table is no mapping of parameters: {row!r:.60}")
        if strange := [name for name in row if not isinstance(name, str)]:
            raise ParameterError(f"row {number} of the table: {strange[0]!r:.60} is no parameter's name")
        rows.append({name: plain(value) for name, value in row.items() if not _is_missing(value)})
        if number > MAX_ROWS:
            raise ParameterError(f"the table has more than {MAX_ROWS:,} rows")
    return rows


def _from_columns(columns: Mapping[Any, Any]) -> list[Row]:
    lists = {name: list(values) for name, values in columns.items() if _is_list(values)}
    if single := [name for name in columns if name not in lists]:
        raise ParameterError(f"column '{single[0]}' of the table must be a list of values")
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1:
        told = ", ".join(f"'{name}' has {len(values)}" for name, values in lists.items())
        raise ParameterError(f"the columns of the table must have the same length: {told}")
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _is_list(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT, pandas' NA: what differs from itself, or does not say whether it does."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NaTType", "NAType") or (type(value).__module__ == "numpy" and _is_nan(value))


def _is_nan(value: Any) -> bool:
    return getattr(value, "shape", None) == () and bool(value != value)  # NaN and NaT are told by this


def plain(value: Any) -> Any:
    """`value` as it is meant: text as text, what numpy and pandas make of numbers and times as Python has it."""
    if isinstance(value, str):
        return Text(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if type(value).__name__ == "Timestamp" and hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value


def in_rows(numbers: Sequence[int]) -> str:
    """``row 3``, ``rows 3, 7 and 9``, ``rows 1, 2, 3 and 47 more``."""
    from orchestrator_nb.projections.words import some

    if len(numbers) == 1:
        return f"row {numbers[0]}"
    return f"rows {some([str(number) for number in numbers], 3)}"
