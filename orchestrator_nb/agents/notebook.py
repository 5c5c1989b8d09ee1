"""The agent that executes a parameterised notebook with papermill, in a process of its own.

The executed notebook and its pictures are outputs of the task, whether they are declared or not. Its result is what
the cell tagged `result` shows (or a scrapbook scrap), else a sentence that lists what was made.
"""

from __future__ import annotations

import ast
import asyncio
import json
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.child import run_child
from orchestrator_nb.core.ids import did_you_mean, is_identifier
from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services
from orchestrator_nb.errors import AgentError

_PROGRAM = Path(__file__).with_name("_notebook_child.py")


class NotebookAgent:
    """Executes `notebook` with `parameters`; one progress event a code cell."""

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the notebook from being executed, or None: no such file, no such parameter."""
        if "${" in (assignment.work.notebook or ""):
            return None  # not known before it starts
        try:
            _found_and_checked(assignment)
        except AgentError as error:
            return str(error)
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Execute the notebook; what was executed is kept, also when a cell fails."""
        path = await asyncio.to_thread(_found_and_checked, assignment)
        name = re.sub(r"[^\w.-]", "_", path.stem)
        directory = Path(services.attempt_dir())
        request = {"notebook": str(path), "name": name, "parameters": assignment.work.parameters}
        environment = {
            "JUPYTER_PREFER_ENV_PATH": "1",  # python3 is the kernel of this environment, not of the user's home
            "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        outcome = await run_child(_PROGRAM, request, assignment, services, environment)
        if isinstance(outcome, Failure):
            kept = f"{outcome.error}\nWhat was executed is in {directory / 'outputs'}"
            return msgspec.structs.replace(outcome, error=kept)
        return outcome


def _found_and_checked(assignment: Assignment) -> Path:
    path = find(assignment)
    check_parameters(assignment.work.parameters, path)
    return path


def find(assignment: Assignment) -> Path:
    """The notebook's file: relative to the plan, then to the caller's directory. Raises `AgentError`."""
    named = assignment.work.notebook or ""
    places = list(dict.fromkeys((Path(assignment.run.base, named), Path(assignment.run.cwd, named))))
    if not named.endswith(".ipynb"):
        raise AgentError(f"notebook '{named}' must be a file that ends in .ipynb")
    for place in places:
        if place.is_file():
            return place
    raise AgentError(f"notebook '{named}' does not exist: tried {' and '.join(map(str, places))}")


def check_parameters(parameters: Mapping[str, Any], path: Path) -> None:
    """Raise `AgentError` for names that cannot be injected (papermill writes them into code), and unknown ones."""
    for name in parameters:
        if not is_identifier(name) or keyword.iskeyword(name):
            raise AgentError(f"'{name}' cannot be the parameter of a notebook: it must be a name like my_param")
    known = parameters_of(path)
    if known is not None and (unknown := [name for name in parameters if name not in known]):
        hint = did_you_mean(unknown[0], known)
        raise AgentError(
            f"notebook {path} has no parameter '{unknown[0]}'{hint} (its cell tagged 'parameters' sets: "
            f"{', '.join(sorted(known)) or 'nothing'})"
        )


def parameters_of(path: Path) -> set[str] | None:
    """Names that the cell tagged `parameters` sets; None if there is none, or it is not plain Python.

    Raises `AgentError` if the file is no notebook.
    """
    try:
        cells = json.loads(path.read_bytes())["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", ())]
        source = "".join(tagged[0]["source"]) if tagged else None
    except OSError as error:
        raise AgentError(f"notebook {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AgentError(f"{path} is not a notebook in the format of Jupyter (version 4)") from None
    if source is None:
        return None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None  # another language, or magics
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
