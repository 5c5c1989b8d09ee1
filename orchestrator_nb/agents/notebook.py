"""The agent that executes a parameterised notebook with papermill, in a process of its own.

The executed notebook and its pictures are outputs of the task, whether they are declared or not. Its result is what
the cell tagged `result` shows (or a scrapbook scrap), else a sentence that lists what was made.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.child import run_child
from orchestrator_nb.agents.keeping import run_kept
from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services
from orchestrator_nb.errors import AgentError, NotebookError
from orchestrator_nb.ipynb.document import read_notebook
from orchestrator_nb.ipynb.imports import imports_of
from orchestrator_nb.ipynb.injection import typed_lines
from orchestrator_nb.ipynb.parameters import parameters_of
from orchestrator_nb.ipynb.provenance import Circumstances, checked_out, provenance
from orchestrator_nb.ipynb.seeding import seed_of
from orchestrator_nb.ipynb.values import beside, check, message, waiting
from orchestrator_nb.kernels.directories import sweep_at_times
from orchestrator_nb.kernels.modes import VARIABLE
from orchestrator_nb.kernels.preload import modules_for

#: What the program imports itself.
DRIVER = (
    "ipykernel.kernelspec",
    "orchestrator_nb.kernels._driver",
    "orchestrator_nb.agents._answering",
    "orchestrator_nb.agents._notebook_child",
    "orchestrator_nb.ipynb.seeding",
)
_PROGRAM = Path(__file__).with_name("_notebook_main.py")


class NotebookAgent:
    """Executes `notebook` with `parameters`; one progress event a code cell."""

    #: Its attempts can be recorded and replayed.
    recordable = True

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the notebook from being executed, or None: no such file, wrong parameters."""
        if "${" in (assignment.work.notebook or ""):
            return None  # not known before it starts
        try:
            _found_and_checked(assignment, starting=False)
        except AgentError as error:
            return str(error)
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Execute the notebook; what was executed is kept, also when a cell fails."""
        path, values, typed = await asyncio.to_thread(_found_and_checked, assignment, starting=True)
        name = re.sub(r"[^\w.-]", "_", path.stem)
        directory = Path(services.attempt_dir())
        request = {
            "notebook": str(path),
            "name": name,
            "parameters": values,
            "typed": typed,
            "cell_timeout": assignment.task.cell_timeout,
            "provenance": await asyncio.to_thread(_provenance, assignment, path, values),
        }
        environment = {
            "JUPYTER_PREFER_ENV_PATH": "1",  # python3 is the kernel of this environment, not of the user's home
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        preload = await asyncio.to_thread(_preload, path, services.environment())
        await asyncio.to_thread(sweep_at_times)
        outcome: Outcome
        said = ""
        if assignment.task.keep_kernel_on_error is None:
            outcome = await run_child(_PROGRAM, request, assignment, services, environment, preload)
        else:
            outcome, said = await run_kept(_PROGRAM, request, assignment, services, environment, preload)
        if isinstance(outcome, Failure):
            nothing = said and not (directory / "outputs" / f"{name}.ipynb").exists()
            executed = "" if nothing else f"What was executed is in {directory / 'outputs'}"
            error = "\n".join(line for line in (outcome.error, executed, said) if line)
            return msgspec.structs.replace(outcome, error=error)
        return outcome


def _preload(notebook: Path, environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """What the notebook's process and kernel are going to import; None: it asks for a kernel from the start."""
    if environment.get(VARIABLE) == "cold":
        return None
    return (*DRIVER, *modules_for(imports_of(read_notebook(notebook))))


def _found_and_checked(assignment: Assignment, *, starting: bool) -> tuple[Path, dict[str, Any], str]:
    """The notebook, the values to put into it, and the lines that make of them what its annotations say.

    Before it is `starting`, values that hold ``${...}`` and paths that other tasks may still make are left alone.
    Raises `AgentError`, with all that is wrong.
    """
    path, given = find(assignment), assignment.work.parameters
    places = (Path(assignment.run.base), Path(assignment.run.cwd), path.parent) if starting else None
    try:
        parameters = parameters_of(path)
    except NotebookError as error:
        raise AgentError(str(error)) from None
    values, faults = check(parameters, given, typed=True, places=places, later=() if starting else waiting(given))
    if faults:
        raise AgentError(message(parameters, faults))
    values |= beside(parameters, given, Path(assignment.cwd))
    return path, values, typed_lines(parameters, values)


def _provenance(assignment: Assignment, path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """What decides the execution. Raises `ParameterError` for a seed that is none."""
    given = Circumstances(
        notebook=path,
        parameters=values,
        inputs={name: Path(place) for name, place in assignment.inputs.items()},
        environment=dict(assignment.env),
        seed=seed_of({**os.environ, **assignment.env}),
        hash_seed={**os.environ, **assignment.env}.get("PYTHONHASHSEED") or "random",
        cwd=Path(assignment.cwd),
        git=checked_out(path.parent),
    )
    return provenance(given)


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
