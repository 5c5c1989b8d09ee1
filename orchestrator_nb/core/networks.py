"""Plans and networkx graphs: one made from the other. networkx is imported when a graph is asked for."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator_nb.core.ids import MAX_SEGMENT, fault_of_id
from orchestrator_nb.core.models import Dependency, DependencyKind, Phase, Plan, Task
from orchestrator_nb.errors import PlanError

if TYPE_CHECKING:
    import networkx

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def to_networkx(plan: Plan) -> networkx.DiGraph[str]:
    """A `networkx.DiGraph` with a node for each task and an edge for each dependency that orders two tasks.

    Nodes carry title, agent, phase, role and priority where the task has them, edges their kind (S1 1.2).
    Raises `PlanError` for a dependency on a task that is not in the plan.
    """
    import networkx as nx

    graph: networkx.DiGraph[str] = nx.DiGraph(title=plan.title)
    known = {task.id for task in plan.tasks}
    for task in plan.tasks:
        graph.add_node(task.id, **node_attributes(task))
    for task in plan.tasks:
        for dependency in task.dependencies:
            if dependency.kind not in (DependencyKind.DATA, DependencyKind.SEQUENTIAL):
                continue
            if dependency.task not in known:
                raise PlanError(f"task '{task.id}': unknown dependency '{dependency.task}'")
            graph.add_edge(dependency.task, task.id, kind=str(dependency.kind))
    return graph


def from_networkx(graph: networkx.DiGraph[Any]) -> Plan:
    """A plan for looking at: a task without work for each node of a directed graph, a dependency for each edge.

    Nodes may be anything; ids that the grammar does not allow are mapped to safe ones, and the node's own name becomes
    the title. Of a node's attributes `title` (or `label`), `phase`, `role` and `agent` are kept. Cycles are kept too.
    Raises `PlanError` for a graph without directions.
    """
    if not graph.is_directed():
        raise PlanError("the graph has no directions; make it a DiGraph whose edges lead from a task to what needs it")
    return plan_of_nodes(graph.nodes(data=True), graph.edges(), str(graph.graph.get("title", "") or graph.name))


def plan_of_nodes(
    nodes: Iterable[tuple[Hashable, Mapping[str, Any]]], edges: Iterable[tuple[Any, Any]], title: str = ""
) -> Plan:
    """A plan for looking at, from nodes with their attributes and edges from a node to what depends on it."""
    nodes = list(nodes)
    ids = _safe_ids([node for node, _ in nodes])
    parents: dict[Hashable, dict[str, None]] = {node: {} for node, _ in nodes}
    for source, target in edges:
        if source not in ids or target not in ids:
            missing = target if source in ids else source
            raise PlanError(f"an edge names the node {missing!r}, which the graph does not have")
        parents[target][ids[source]] = None
    tasks = []
    for node, attributes in nodes:
        kept = {key: str(attributes[key]) for key in ("phase", "role", "agent") if attributes.get(key)}
        name = str(attributes.get("title") or attributes.get("label") or ("" if ids[node] == str(node) else node))
        tasks.append(Task(id=ids[node], title=name, dependencies=tuple(map(Dependency, parents[node])), **kept))
    phases = tuple(Phase(id=phase) for phase in dict.fromkeys(task.phase for task in tasks) if phase)
    return Plan(title=title or "Graph", phases=phases, tasks=tuple(tasks))


def node_attributes(task: Task) -> dict[str, str]:
    """What a graph's node says of a task."""
    named = {"title": task.title, "agent": task.kind, "phase": task.phase, "role": task.role, "priority": task.priority}
    return {key: str(value) for key, value in named.items() if value and value != "none"}


def _safe_ids(nodes: Iterable[Hashable]) -> dict[Hashable, str]:
    """An id for each node: its own name where that is one, else one made of it; all different, also without case."""
    nodes = list(nodes)
    own = {node: str(node) for node in nodes if not fault_of_id(str(node))}
    used: dict[str, int] = {}  # with how often each was wanted
    ids: dict[Hashable, str] = {}
    for node in (*own, *(node for node in nodes if node not in own)):  # good names first: they keep them
        wanted = own.get(node) or _UNSAFE.sub("-", str(node))[: MAX_SEGMENT - 10].strip("-._")
        if fault_of_id(wanted):
            wanted = f"node-{wanted}".rstrip("-")
        name = wanted
        while name.casefold() in used:
            used[wanted.casefold()] += 1
            name = f"{wanted}-{used[wanted.casefold()]}"
        used[name.casefold()] = 1
        ids[node] = name
    return ids
