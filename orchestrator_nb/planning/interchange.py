"""Plans for other programs, and graphs of theirs: node-link JSON (networkx, D3) and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.core.models import DependencyKind, Plan
from orchestrator_nb.core.networks import node_attributes, plan_of_nodes
from orchestrator_nb.errors import PlanError
from orchestrator_nb.planning.documents import Document, read_document
from orchestrator_nb.planning.marks import Problem

_COLUMNS = ("id", "title", "agent", "phase", "role", "priority", "dependencies", "outputs", "timeout", "on_failure")


def node_link(plan: Plan, extra: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The plan's graph as node-link data: what `networkx.node_link_graph(data, edges="edges")` reads.

    `extra` adds attributes to the nodes of tasks, by id: their status, say.
    """
    more = extra or {}
    known = {task.id for task in plan.tasks}
    return {
        "directed": True,
        "multigraph": False,
        "graph": {"title": plan.title},
        "nodes": [{"id": task.id, **node_attributes(task), **more.get(task.id, {})} for task in plan.tasks],
        "edges": [
            {"source": dependency.task, "target": task.id, "kind": str(dependency.kind)}
            for task in plan.tasks
            for dependency in task.dependencies
            if dependency.task in known and dependency.kind in (DependencyKind.DATA, DependencyKind.SEQUENTIAL)
        ],
    }


def tasks_csv(plan: Plan, extra: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """One row a task, as CSV with a header; ids in a cell are separated by spaces.

    `extra` adds columns, by task id. Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    more = extra or {}
    added = list(dict.fromkeys(name for values in more.values() for name in values))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, *added])
    for task in plan.tasks:
        row: dict[str, Any] = {**task.__dict__, "agent": task.kind}
        row["dependencies"] = " ".join(dependency.task for dependency in task.dependencies)
        row["outputs"] = " ".join(task.outputs)
        values = [*(row[name] for name in _COLUMNS), *(more.get(task.id, {}).get(name) for name in added)]
        writer.writerow([_cell(value) for value in values])
    return stream.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return (
        f"'{text}" if text[:1] in ("=", "+", "@", "\t", "\r") or (text[:1] == "-" and not text[1:2].isdigit()) else text
    )


def load_graph(path: str | Path) -> Plan:
    """A plan for looking at, from node-link JSON (`networkx.node_link_data`; the edges' key is ``edges`` or ``links``).

    Raises `PlanError` for what is no such file.
    """
    document = read_document(Path(path), str(path))
    if not document.faults:
        try:
            return _plan(document.value)
        except (KeyError, TypeError, ValueError, AttributeError):
            _refuse(document, "is no node-link data of a graph (`nodes` with `id`, `edges` with `source`, `target`)")
    raise PlanError("\n".join(map(str, document.faults)), tuple(document.faults))


def _plan(data: Mapping[str, Any]) -> Plan:
    if data.get("directed") is False:
        raise PlanError("the graph has no directions; make it a DiGraph whose edges lead from a task to what needs it")
    edges = data["edges"] if "edges" in data else data["links"]
    nodes = [(_hashable(node["id"]), node) for node in data["nodes"]]
    pairs = [(_hashable(edge["source"]), _hashable(edge["target"])) for edge in edges]
    about = data.get("graph") or {}
    return plan_of_nodes(nodes, pairs, str(about.get("title") or about.get("name") or ""))


def _hashable(node: Any) -> Any:
    return tuple(map(_hashable, node)) if isinstance(node, list) else node


def _refuse(document: Document, message: str) -> None:
    document.note(Problem(message, 1, 1, "export it with networkx.node_link_data"))
