"""Values that a notebook records while it runs, kept in its outputs in the format of scrapbook (nteract).

`record("accuracy", 0.93)` in a cell makes a value of the executed notebook: `orchestrate batch` puts it into its table,
`scrapbook.read_notebook` finds it, and so does `scraps_of`. Of several values of one name the last one counts.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.core.ids import is_identifier
from orchestrator_nb.core.jsonable import fault_of_json
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.ipynb.document import read_notebook

#: The type of the output that holds a value, and of one that is shown by `scrapbook.glue(..., display=True)`.
SCRAP = "application/scrapbook.scrap.json+json"
#: Bytes that a value may have as JSON: it is kept in the notebook, and in a cell of a table.
MAX_SCRAP = 1024 * 1024

#: scrapbook's names of how a value is encoded; what it puts into other packages (pandas, arrow) is read as it stands.
_TEXT, _JSON = "text", "json"


def record(name: str, value: Any) -> None:
    """Keep `value` in the executed notebook, under `name`.

    Outside of Jupyter it prints ``name = value``, so that the same code runs everywhere.

    Args:
        name: Letters, digits and ``_``: it becomes a column of a batch's table.
        value: JSON: text, a finite number, a boolean, None, or lists and mappings of them. Numbers of numpy and pandas,
            and times, are taken for what they are in JSON.

    Raises:
        OrchestratorError: The name is none, or the value is no JSON or has more than `MAX_SCRAP` bytes.
    """
    if not isinstance(name, str) or not is_identifier(name):
        raise OrchestratorError(f"record({name!r:.80}, ...): a name is letters, digits and '_', as in my_value")
    try:
        value = _as_json(value)
    except RecursionError:
        raise OrchestratorError(f"record({name!r}, ...): the value holds itself, or is nested too deeply") from None
    if fault := fault_of_json(value):
        words = fault.replace("result", "the value", 1).replace("return ", "record ")
        raise OrchestratorError(f"record({name!r}, ...): {words}")
    encoded = json.dumps(value, ensure_ascii=False)
    if (size := len(encoded.encode())) > MAX_SCRAP:
        raise OrchestratorError(
            f"record({name!r}, ...): the value has {size:,} bytes of JSON, at most {MAX_SCRAP:,} are kept: "
            "write it to a file, and record the file's path"
        )
    if _in_kernel():
        from IPython.display import display

        scrap = {"name": name, "data": value, "encoder": _TEXT if isinstance(value, str) else _JSON, "version": 1}
        display({SCRAP: scrap}, metadata={"scrapbook": {"name": name, "data": True, "display": False}}, raw=True)  # type: ignore[no-untyped-call]
    else:
        shown = encoded if len(encoded) <= 1000 else f"{encoded[:1000]}…"
        print(f"{name} = {shown}")  # noqa: T201 - a script has nothing else to show it with


def _as_json(value: Any) -> Any:
    """Numbers and arrays of numpy, times, and tuples as JSON has them; everything else as it is."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return _as_json(value.tolist())
    if not isinstance(value, str) and hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def _in_kernel() -> bool:
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


def scraps_of(notebook: Mapping[str, Any] | Path) -> dict[str, Any]:
    """The recorded values of an executed notebook, by name, in the order in which they were recorded first.

    `notebook` is what a file in Jupyter's format (version 4) says, or its path. What is no value in scrapbook's format
    is passed over: it comes from the notebook's own code. Raises `NotebookError` for a file that is no notebook.
    """
    cells = (read_notebook(notebook) if isinstance(notebook, Path) else notebook).get("cells", ())
    return dict(_scraps(cells))


def _scraps(cells: Any) -> Iterator[tuple[str, Any]]:
    for cell in cells if isinstance(cells, list) else ():
        outputs = cell.get("outputs", ()) if isinstance(cell, Mapping) else ()
        for output in outputs if isinstance(outputs, list) else ():
            data = output.get("data") if isinstance(output, Mapping) else None
            scrap = data.get(SCRAP) if isinstance(data, Mapping) else None
            if isinstance(scrap, Mapping) and isinstance(scrap.get("name"), str) and "data" in scrap:
                yield scrap["name"], _finite(scrap["data"])


def _finite(value: Any) -> Any:
    """`value` with None for what JSON cannot hold: Python's reader takes NaN and Infinity in."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
