"""Plans in YAML and JSON files (DESIGN 4 "Plan file"): every fault at once, with file, line and remedy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from orchestrator_nb.core import faults as core_faults
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.planning.documents import Document, Kind, parse, read_document
from orchestrator_nb.planning.loaded import LoadedPlan, Place, located
from orchestrator_nb.planning.validation import validate


def load_plan(path: str | Path, *, topology: bool = False, agents: Collection[str] | None = None) -> LoadedPlan:
    """The plan in a file: JSON if its name ends in ``.json``, else YAML.

    Args:
        path: The file; relative paths in the plan begin in its folder.
        topology: Whether S0's rule applies (`core.checks.check`).
        agents: Names of the agents that there are (`core.checks.check`).
    """
    path = Path(path)
    document = read_document(path, str(path))
    return _loaded(document, path.absolute().parent, str(path.absolute()), topology, agents)


def parse_plan(
    text: str,
    *,
    file: str = "plan",
    kind: Kind = "yaml",
    base: str | Path = "",
    topology: bool = False,
    agents: Collection[str] | None = None,
) -> LoadedPlan:
    """The plan in `text`, as if it stood in `file`; its relative paths begin in `base`, else in the caller's folder."""
    return _loaded(parse(text, file, kind), Path(base).absolute(), file, topology, agents)


def _loaded(document: Document, base: Path, source: str, topology: bool, agents: Collection[str] | None) -> LoadedPlan:
    def locate(path: core_faults.Path) -> Place:
        return (document.file, *document.locate(path))

    plan, found = None, list(document.faults)
    raw = document.value
    if isinstance(raw, Mapping) and "tasks" not in raw and "nodes" in raw and ("edges" in raw or "links" in raw):
        message, remedy = "is a graph (node-link data), not a plan", "look at it with `orchestrate graph`"
        found.append(Fault("error", message, remedy=remedy, file=document.file, line=1, column=1))
    elif raw is not None or not found:
        plan, faults = validate(raw, topology, agents)
        lines = {fault.line for fault in document.faults}  # what is wrong there is said already
        found += [fault for fault in located(faults, locate) if fault.line not in lines]
    found.sort(key=lambda fault: fault.line)
    return LoadedPlan(None if document.faults else plan, base, source, tuple(found), locate=locate)
