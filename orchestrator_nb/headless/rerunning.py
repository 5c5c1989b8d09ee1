"""Executed notebooks, executed again: copies without outputs, run as the tasks of a plan.

What is run is what was executed, cell by cell with the injected parameters, not what the notebook's file says today.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator_nb.core.ids import is_identifier
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.values import escaped
from orchestrator_nb.ipynb.document import ERROR_TAG, Notebook, tags_of
from orchestrator_nb.ipynb.provenance import is_guarded, provenance_of
from orchestrator_nb.ipynb.seeding import environment
from orchestrator_nb.storage.remedies import refused

#: What papermill and the kernel write into a notebook that is executed.
_OF_CELLS = ("execution", "papermill", "collapsed")


@dataclass(frozen=True)
class Executed:
    """An executed notebook."""

    #: Its path, for people; and what its file says.
    name: str
    notebook: Notebook
    #: Where it is put in a folder that keeps what is executed anew.
    kept_as: Path
    #: What could not be made as it was, in sentences.
    notes: list[str] = field(default_factory=list)


def is_executed(notebook: Notebook) -> bool:
    """Whether a notebook was executed: it says so itself, or a cell has a number."""
    return "papermill" in notebook["metadata"] or any(cell.get("execution_count") for cell in notebook["cells"])


def without_outputs(notebook: Notebook) -> dict[str, Any]:
    """The notebook as it was before it was executed, with its kernel and injected parameters: it takes no others."""
    metadata = {name: value for name, value in notebook["metadata"].items() if name not in ("widgets", "orchestrator")}
    if isinstance(earlier := metadata.pop("papermill", None), Mapping):
        metadata["papermill"] = {"parameters": earlier.get("parameters", {})}
    if kernel := provenance_of(notebook).get("kernel_name"):
        metadata["kernelspec"] = {"display_name": kernel, **metadata.get("kernelspec", {}), "name": kernel}
    cells = [_fresh(cell) for cell in notebook["cells"] if ERROR_TAG not in tags_of(cell)]
    return {**notebook, "metadata": metadata, "cells": cells}


def _fresh(cell: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in cell["metadata"].items() if name not in _OF_CELLS}
    if "parameters" in tags_of(cell):
        metadata["tags"] = [tag for tag in metadata["tags"] if tag != "parameters"]
    fresh = {**cell, "metadata": metadata}
    return {**fresh, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else fresh


def plan_of(executed: Sequence[Executed], directory: Path, seed: int | None) -> Plan:
    """A plan that runs each notebook again, with a copy of it in `directory`. Raises `StorageError`."""
    tasks = []
    for number, one in enumerate(executed, 1):
        path = directory / f"{number}" / f"{Path(one.name).stem}.ipynb"
        try:
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(without_outputs(one.notebook)), "utf-8")
        except OSError as error:
            raise refused("write", path, error) from error
        tasks.append(
            {"id": f"notebook-{number}", "title": one.name, "notebook": escaped(str(path)), **_task(one, seed)}
        )
    return Plan.model_validate({"title": "Reproduction", "merge": {"strategy": "concatenate"}, "tasks": tasks})


def _task(one: Executed, seed: int | None) -> dict[str, Any]:
    """The circumstances of its execution, as keys of a task."""
    recorded = provenance_of(one.notebook)
    chosen = seed if seed is not None else recorded.get("seed")
    variables = dict(_variables(recorded, one.notes))
    if isinstance(hash_seed := recorded.get("hash_seed"), str) and hash_seed.isdigit():
        variables["PYTHONHASHSEED"] = hash_seed
    if isinstance(chosen, int):
        variables |= environment(chosen)
    return {"env": escaped(variables), "inputs": escaped(_inputs(recorded)), "cwd": escaped(_cwd(recorded, one.notes))}


def _variables(recorded: Mapping[str, Any], notes: list[str]) -> Iterator[tuple[str, str]]:
    """The environment variables that were passed on purpose; secret ones must be set here."""
    for name, value in dict(recorded.get("environment") or {}).items():
        if not isinstance(value, str):
            continue
        if not is_guarded(value):
            yield name, value
        elif name not in os.environ:
            notes.append(f"environment variable {name} was set, is secret, and is not set here")


def _inputs(recorded: Mapping[str, Any]) -> dict[str, str]:
    files = dict(recorded.get("inputs") or {})
    return {name: str(file["path"]) for name, file in files.items() if is_identifier(name) and "path" in file}


def _cwd(recorded: Mapping[str, Any], notes: list[str]) -> str:
    """Where the cells ran, if that is known and still there; else the current directory."""
    told = recorded.get("cwd")
    if isinstance(told, str) and Path(told).is_dir():
        return told
    where = f"the directory in which it ran is gone ({told})" if told else "the directory in which it ran is not known"
    notes.append(f"{where}: it ran in {Path.cwd()}")
    return str(Path.cwd())
