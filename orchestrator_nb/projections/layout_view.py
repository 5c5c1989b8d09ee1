"""What a picture of a graph is drawn from: nodes with a status, edges between positions; from plans and from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_nb.core.analysis import plan_priorities
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.models import DependencyKind, Plan
from orchestrator_nb.errors import OrchestratorError

Edge = tuple[int, int, str]


class Node(msgspec.Struct, frozen=True):
    """One box: a task, or a group of tasks."""

    id: str
    #: What stands in the box; the id when empty.
    label: str = ""
    #: A key of `theme.STATUSES`; anything else is drawn as "no status".
    status: str = ""
    phase: str = ""
    priority: str = ""
    agent: str = ""
    #: One more line for the tooltip: why it waits, what went wrong.
    note: str = ""
    #: Of a group: how many of its tasks have which status.
    counts: tuple[tuple[str, int], ...] = ()


class GraphView(msgspec.Struct, frozen=True):
    """A directed acyclic graph as people look at it."""

    nodes: tuple[Node, ...]
    #: (position of the source, position of the target, kind): kind is ``data`` or ``sequential``.
    edges: tuple[Edge, ...] = ()
    #: Phases in order: (id, title).
    phases: tuple[tuple[str, str], ...] = ()
    title: str = ""
    #: Positions of the nodes on the critical path, in order.
    critical: tuple[int, ...] = ()

    @classmethod
    def of_plan(
        cls, plan: Plan, statuses: Mapping[str, str] | None = None, notes: Mapping[str, str] | None = None
    ) -> GraphView:
        """The view of a plan without faults.

        Args:
            plan: The plan.
            statuses: Status by task id, of a session; left out, tasks have none.
            notes: A line for the tooltip by task id.
        """
        statuses, notes = statuses or {}, notes or {}
        nodes = tuple(
            Node(
                task.id,
                task.title,
                str(statuses.get(task.id, "")),
                task.phase or "",
                priority.value,
                task.kind,
                notes.get(task.id, ""),
            )
            for task, priority in zip(plan.tasks, plan_priorities(plan), strict=True)
        )
        index = plan.graph.index
        kinds: dict[tuple[int, int], str] = {}
        for target, task in enumerate(plan.tasks):
            for dependency in task.dependencies:
                if dependency.kind in (DependencyKind.DATA, DependencyKind.SEQUENTIAL):
                    edge = (index[dependency.task], target)
                    if kinds.get(edge) != DependencyKind.DATA:
                        kinds[edge] = str(dependency.kind)
        return cls(
            nodes,
            tuple((source, target, kind) for (source, target), kind in kinds.items()),
            _phases(nodes, {phase.id: phase.title or phase.id for phase in plan.phases}),
            plan.title,
            _critical(plan.graph),
        )

    @classmethod
    def from_node_link(cls, data: Mapping[str, Any]) -> GraphView:
        """The view of a graph in networkx's node-link form (`networkx.node_link_data`), edges under either of its keys.

        Nodes may carry `label` (or `title`, `name`), `status`, `phase`, `priority`, `agent`; edges may carry `kind`.
        Raises `OrchestratorError`, naming place and remedy, for anything that is not a directed acyclic graph.
        """
        return _from_node_link(data)


def _from_node_link(data: Mapping[str, Any]) -> GraphView:
    if not isinstance(data, Mapping) or not isinstance(data.get("nodes"), list):
        raise OrchestratorError(
            'this is not a graph in node-link form: expected an object with a list "nodes" and a list "edges", '
            "as networkx.node_link_data(graph) gives"
        )
    if data.get("directed") is False:
        raise OrchestratorError(
            "the graph is undirected, so it has no order to draw: make it a networkx.DiGraph before exporting it "
            '(or set "directed": true if every edge goes from source to target)'
        )
    nodes = _nodes(data["nodes"])
    edges = _edges(data.get("edges", data.get("links", [])), {key: index for index, key in enumerate(nodes)})
    names = [node.id for node in nodes.values()]
    upstream: list[list[str]] = [[] for _ in names]
    for source, target in edges:
        upstream[target].append(str(source))
    graph = Graph([str(index) for index in range(len(names))], upstream)
    if cycle := graph.cycle():
        path = " -> ".join([names[node] for node in (*cycle, cycle[0])])
        raise OrchestratorError(f"the graph has a cycle, so none of its tasks can start: {path}; take one edge out")
    attributes = data.get("graph")
    return GraphView(
        tuple(nodes.values()),
        tuple((source, target, kind) for (source, target), kind in edges.items()),
        _phases(tuple(nodes.values()), {}),
        title=_text(attributes, "name") if isinstance(attributes, Mapping) else "",
        critical=_critical(graph),
    )


def _nodes(items: Sequence[Any]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for index, item in enumerate(items):
        if not isinstance(item, Mapping) or "id" not in item:
            raise OrchestratorError(f'node {index} of the graph has no "id"')
        key = repr(item["id"])
        if key in nodes:
            raise OrchestratorError(f"the graph has two nodes with the id {key}: ids must differ")
        label = _text(item, "label") or _text(item, "title") or _text(item, "name")
        status, phase = _text(item, "status"), _text(item, "phase")
        nodes[key] = Node(_text(item, "id"), label, status, phase, _text(item, "priority"), _text(item, "agent"))
    return nodes


def _edges(items: Any, index: Mapping[str, int]) -> dict[tuple[int, int], str]:
    if not isinstance(items, list):
        raise OrchestratorError('"edges" of the graph must be a list of objects with "source" and "target"')
    edges: dict[tuple[int, int], str] = {}
    for number, item in enumerate(items):
        if not (isinstance(item, Mapping) and "source" in item and "target" in item):
            raise OrchestratorError(f'edge {number} of the graph must have a "source" and a "target"')
        for end in (item["source"], item["target"]):
            if repr(end) not in index:
                raise OrchestratorError(
                    f"edge {number} of the graph names {end!r}, which is no node of it: "
                    'add it to "nodes" or take the edge out'
                )
        edge = index[repr(item["source"])], index[repr(item["target"])]
        edges[edge] = "sequential" if item.get("kind") == "sequential" else "data"
    return edges


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return "" if value is None else str(value)


def _phases(nodes: Sequence[Node], declared: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The phases in their order: declared ones by title, then those that only nodes name."""
    named = dict.fromkeys([node.phase for node in nodes if node.phase])
    return tuple({phase: declared.get(phase, phase) for phase in (*declared, *named)}.items())


def _critical(graph: Graph) -> tuple[int, ...]:
    path = graph.critical_path()
    return tuple(path) if len(path) > 1 else ()
