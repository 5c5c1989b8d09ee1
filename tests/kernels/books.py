"""Notebooks, and their execution by papermill with its own engine or ours."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_notebook
from papermill.engines import papermill_engines

from orchestrator_nb.kernels.engine import OrchestratorEngine

papermill_engines.register("orchestrator", OrchestratorEngine)  # installed or not

PYTHON = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}


def notebook(path: Path, *cells: Any, **metadata: Any) -> Path:
    """Save a notebook; a cell is its source, or source and tags."""
    made = [new_code_cell(cell) if isinstance(cell, str) else tagged(*cell) for cell in cells]
    nbformat.write(new_notebook(cells=made, metadata=metadata or PYTHON), path)
    return path


def tagged(source: str, *tags: str) -> Any:
    return new_code_cell(source, metadata={"tags": list(tags)})


def execute(path: Path, mode: str | None = "cold", output: Path | None = None, **options: Any) -> Any:
    """Execute with our engine in this mode; None: with papermill's."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # ipykernel does without capturing descriptors when it is tested
    engine = {"engine_name": "orchestrator", "kernel_mode": mode} if mode else {}
    return papermill.execute_notebook(
        str(path), str(output or path.with_suffix(".out.ipynb")), progress_bar=False, **{**engine, **options}
    )


def run(directory: Path, *cells: Any, mode: str | None = "cold", **options: Any) -> Any:
    """Execute these cells."""
    return execute(notebook(directory / "book.ipynb", *cells), mode, **options)


def text(cell: Any) -> str:
    """All that a cell shows as text."""
    shown = []
    for output in cell.outputs:
        if output.output_type == "stream":
            shown.append(output.text)
        elif output.output_type == "error":
            shown.append(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback)))
        else:
            shown.append(str(output.data.get("text/plain", "")))
    return "".join(shown)
