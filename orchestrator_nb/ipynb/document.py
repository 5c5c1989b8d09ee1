"""Reading a notebook's file (nbformat 4, https://nbformat.readthedocs.io) and finding things in it.

Everything here takes the plain JSON value of the file. `read_notebook` looks once at its form, so that the rest can
rely on it: each cell is a dict with a `cell_type`, a `source` (text, or its lines) and a dict as `metadata`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.errors import NotebookError

#: A cell, or a whole notebook, as JSON has it.
Cell = Mapping[str, Any]
Notebook = Mapping[str, Any]

#: The tag by which papermill marks the cells that it puts into a notebook that failed.
ERROR_TAG = "papermill-error-cell-tag"


def read_notebook(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The notebook in the file `path`.

    Raises:
        NotebookError: The file cannot be read, is no JSON, no notebook, or one of another format than 4.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise NotebookError(f"notebook {path} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: NUL in its name
        raise NotebookError(f"notebook {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_notebook(content, path)


def parse_notebook(content: bytes | str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The notebook in the content of the file `path`. Raises `NotebookError`, which names the file."""
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        why = "it is empty" if not content.strip() else f"it is not JSON: {error}"
        raise NotebookError(f"{path} is not a notebook in the format of Jupyter (version 4): {why}") from None
    if fault := _fault(notebook):
        raise NotebookError(f"{path} is not a notebook in the format of Jupyter (version 4): {fault}")
    return notebook  # type: ignore[no-any-return]


def _fault(notebook: Any) -> str | None:
    if not isinstance(notebook, dict):
        return "it holds no object"
    version = notebook.get("nbformat")
    if version != 4:
        if not isinstance(version, int):
            return "it has no 'nbformat'"
        newer = "update orchestrator_nb" if version > 4 else "convert it: jupyter nbconvert --to notebook FILE"
        return f"it is of version {version}; {newer}"
    if not isinstance(notebook.get("cells"), list):
        return "it has no list of 'cells'"
    if not isinstance(notebook.setdefault("metadata", {}), dict):
        return "its 'metadata' is no object"
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            return f"cell {number} has no 'cell_type'"
        source = cell.setdefault("source", "")
        if not isinstance(source, str) and not (isinstance(source, list) and all(isinstance(s, str) for s in source)):
            return f"the 'source' of cell {number} is no text"
        if not isinstance(cell.setdefault("metadata", {}), dict):
            return f"the 'metadata' of cell {number} is no object"
    return None


def source_of(cell: Cell) -> str:
    """The text of a cell, which files keep as one text or as its lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def tags_of(cell: Cell) -> tuple[str, ...]:
    """The tags of a cell."""
    tags = cell.get("metadata", {}).get("tags")
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def code_cells(notebook: Notebook) -> list[Any]:
    """The code cells, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tagged_cell(notebook: Notebook, tag: str) -> int | None:
    """Index among all cells of the first one with this tag, of whatever type (as papermill looks for it), or None."""
    return next((index for index, cell in enumerate(notebook["cells"]) if tag in tags_of(cell)), None)


def parameters_cell(notebook: Notebook) -> int | None:
    """Index among all cells of the one tagged `parameters`, or None."""
    return tagged_cell(notebook, "parameters")


def language_of(notebook: Notebook) -> str:
    """The notebook's language in small letters, as its file says; `python` where it says nothing."""
    named = _metadata(notebook, "kernelspec").get("language") or _metadata(notebook, "language_info").get("name")
    return named.lower() if isinstance(named, str) else "python"


def kernel_name_of(notebook: Notebook) -> str | None:
    """Name of the kernel that the notebook asks for (such as `python3`), or None."""
    name = _metadata(notebook, "kernelspec").get("name")
    return name if isinstance(name, str) and name else None


def _metadata(notebook: Notebook, key: str) -> Mapping[str, Any]:
    value = notebook.get("metadata", {}).get(key)
    return value if isinstance(value, dict) else {}
