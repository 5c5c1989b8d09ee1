"""The graph's connected parts, each with its layers: what is laid out on its own and then put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from orchestrator_nb.core.graph import Graph
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.layout_draw import Grid, Part
from orchestrator_nb.projections.layout_ranks import ranks, shorten
from orchestrator_nb.projections.layout_view import GraphView

Neighbours = list[list[int]]


def parts_of(view: GraphView) -> list[Part | Grid]:
    """The connected parts of the graph, the largest first, and at last the nodes without edges.

    A plan whose phases follow one another is one part, so that its phases stand in line. Raises `OrchestratorError` for
    a graph with a cycle.
    """
    parents: Neighbours = [[] for _ in view.nodes]
    children: Neighbours = [[] for _ in view.nodes]
    for source, target, _ in view.edges:
        children[source].append(target)
        parents[target].append(source)
    rank = ranks(parents, children, _order(view, parents, children))
    if _line_up(view, rank, parents, children):
        edges = [(source, target) for source, target, _ in view.edges]
        return [Part(range(len(view.nodes)), edges, range(len(edges)), rank)]
    members, lone = _connected(parents, children)
    parts: list[Part | Grid] = list(_parts(view, rank, members))
    return [*parts, Grid(lone)] if lone else parts


def _order(view: GraphView, parents: Neighbours, children: Neighbours) -> list[int]:
    """The nodes in topological order."""
    waiting = [len(above) for above in parents]
    order = [node for node, above in enumerate(parents) if not above]
    for node in order:
        for child in children[node]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    if len(order) < len(parents):
        names = [str(node) for node in range(len(parents))]
        cycle = Graph(names, [[names[parent] for parent in above] for above in parents]).cycle() or []
        path = " -> ".join([view.nodes[node].id for node in (*cycle, *cycle[:1])])
        raise OrchestratorError(f"a graph with a cycle cannot be drawn in layers: {path}; take one of these edges out")
    return order


def _line_up(view: GraphView, rank: list[int], parents: Neighbours, children: Neighbours) -> bool:
    """Whether the phases follow one another; if so, move nodes without edges to where their phase begins."""
    if not view.phases:
        return False
    spans: dict[str, tuple[int, int]] = {}
    lone = [node for node, above in enumerate(parents) if not above and not children[node]]
    alone = set(lone)
    for node, value in enumerate(rank):
        if node not in alone:
            phase = view.nodes[node].phase
            low, high = spans.get(phase, (value, value))
            spans[phase] = min(low, value), max(high, value)
    ordered = sorted(spans.values())
    apart = all(former[1] < latter[0] for former, latter in pairwise(ordered))
    if not apart or any(view.nodes[node].phase not in spans for node in lone):
        return False
    for node in lone:
        rank[node] = spans[view.nodes[node].phase][0]
    return True


def _connected(parents: Neighbours, children: Neighbours) -> tuple[list[list[int]], list[int]]:
    """The nodes of each connected part, the largest first; and the nodes without edges."""
    known = [False] * len(parents)
    members: list[list[int]] = []
    lone: list[int] = []
    for root, above in enumerate(parents):
        if known[root]:
            continue
        if not above and not children[root]:
            lone.append(root)
            continue
        known[root] = True
        found = [root]
        for node in found:
            for near in (parents[node], children[node]):
                for other in near:
                    if not known[other]:
                        known[other] = True
                        found.append(other)
        members.append(sorted(found))
    return sorted(members, key=len, reverse=True), lone


def _parts(view: GraphView, rank: Sequence[int], members: Sequence[list[int]]) -> list[Part]:
    part_of = [0] * len(rank)
    local = [0] * len(rank)
    for number, nodes in enumerate(members):
        for index, node in enumerate(nodes):
            part_of[node] = number
            local[node] = index
    edges: list[list[tuple[int, int]]] = [[] for _ in members]
    numbers: list[list[int]] = [[] for _ in members]
    for number, (source, target, _) in enumerate(view.edges):
        edges[part_of[source]].append((local[source], local[target]))
        numbers[part_of[source]].append(number)
    parts = []
    for nodes, ends, positions in zip(members, edges, numbers, strict=True):
        first = min([rank[node] for node in nodes])
        parts.append(Part(nodes, ends, positions, shorten([rank[node] - first for node in nodes], ends)))
    return parts
