"""Everything that a run can be started from, made a plan."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from orchestrator_nb.core.checks import check
from orchestrator_nb.core.ids import nearest
from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import OrchestratorError, PlanError
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.planning.loaded import LoadedPlan
from orchestrator_nb.planning.plan_file import load_plan
from orchestrator_nb.planning.task_folder import load_folder

#: How the names of plan files end.
SUFFIXES = (".yaml", ".yml", ".json")


def plan_from(source: Any, *, topology: bool = False, agents: Collection[str] | None = None) -> LoadedPlan:
    """The plan in `source`, with its faults: a `Plan`, a `PlanBuilder`, or the path of a plan file or task folder.

    A string is a path if it ends in .yaml, .yml or .json, or names a folder; a prompt is none (`is_prompt`).
    `topology` (S0's rule, for what stands in files) and `agents` (the names of those that there are) are for
    `core.checks.check`.

    Raises:
        PlanError: There is no such file or folder.
        OrchestratorError: `source` is a prompt, or nothing that can be a plan.
    """
    if isinstance(source, LoadedPlan):
        return source
    if isinstance(source, PlanBuilder):
        return source.load(agents)
    if isinstance(source, Plan):
        return LoadedPlan(source, Path.cwd(), f"Plan '{source.title}'", tuple(check(source, topology, agents)))
    if not isinstance(source, str | os.PathLike):
        raise OrchestratorError(
            f"a plan is a Plan, a PlanBuilder, or the path of a file or folder, not {type(source).__name__}"
        )
    path = Path(source)
    if source and _is_folder(path):
        return load_folder(path, topology=topology, agents=agents)
    if isinstance(source, str) and not source.endswith(SUFFIXES):
        raise OrchestratorError(_no_plan(source))
    if not path.is_file():
        raise PlanError(f"{path}: {_missing(path)}")
    return load_plan(path, topology=topology, agents=agents)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a long prompt, or one with a NUL character, is no path
        return False


def is_prompt(source: Any) -> bool:
    """Whether `source` is a prompt: a string with white space in it that is no path, as `plan_from` tells them."""
    if not isinstance(source, str) or source.endswith(SUFFIXES) or not any(map(str.isspace, source.strip())):
        return False
    return not _is_folder(Path(source))


def _no_plan(text: str) -> str:
    shown = text if len(text) <= 60 else text[:57] + "..."
    if is_prompt(text):
        return f"'{shown}' is a prompt, not a plan: 'orchestrate ask' and `Orchestrator.ask` plan it"
    near = _near(Path(text))
    return f"'{shown}' is no folder, and no name of a .yaml, .yml or .json file; a prompt has more than one word{near}"


def _missing(path: Path) -> str:
    if path.exists():
        return "is not a regular file"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return f"there is no such file{_near(path)}"


def _near(path: Path) -> str:
    """``; did you mean ...?`` with the nearest plan file or folder beside `path`, or an empty string."""
    try:
        beside = sorted(entry for entry in path.parent.iterdir() if entry.suffix in SUFFIXES or entry.is_dir())
    except (OSError, ValueError):
        return ""
    names = {entry.name: entry for entry in beside if not entry.name.startswith(".")}
    match = nearest(path.name, names) or nearest(path.stem, {entry.stem for entry in names.values()})
    found = [str(entry) for name, entry in names.items() if match in (name, entry.stem)]
    return f"; did you mean '{found[0]}'?" if found else ""
