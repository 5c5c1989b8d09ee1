"""The graph's connected parts, each with its layers: what is laid out on its own and then put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import pairwise

from orchestrator_nb.core.graph import Graph
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.layout_draw import Grid, Part
from orchestrator_nb.projections.layout_ranks import SIMPLEX_PARTS, layers_of, pull, shorten
from orchestrator_nb.projections.layout_view import Edge, GraphView

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
    order, rank = _longest_paths(view, parents, children)
    tight = not pull(rank, parents, children, order)
    members: list[list[int]] = [list(range(len(rank)))]
    lone: list[int] = []
    aligned = _line_up(view, rank, parents, children)
    if not aligned:
        members, lone = _connected(parents, children)
    parts: list[Part | Grid] = [*_parts(view, rank, members, (parents, children), tight=tight, aligned=aligned)]
    return [*parts, Grid(lone)] if lone else parts


def _longest_paths(view: GraphView, parents: Neighbours, children: Neighbours) -> tuple[list[int], list[int]]:
    """The nodes in topological order; and for each how many edges the longest path to it has."""
    waiting = list(map(len, parents))
    rank = [0] * len(parents)
    order = [node for node, count in enumerate(waiting) if not count]
    for node in order:
        for child in children[node]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
                rank[child] = rank[node] + 1  # the last parent in this order is one of the highest
    if len(order) < len(parents):
        names = [str(node) for node in range(len(parents))]
        cycle = Graph(names, [[names[parent] for parent in above] for above in parents]).cycle() or []
        path = " -> ".join([view.nodes[node].id for node in (*cycle, *cycle[:1])])
        raise OrchestratorError(f"a graph with a cycle cannot be drawn in layers: {path}; take one of these edges out")
    return order, rank


def _line_up(view: GraphView, rank: list[int], parents: Neighbours, children: Neighbours) -> bool:
    """Whether the phases follow one another; if so, move nodes without edges to where their phase begins."""
    if not view.phases or not view.nodes:
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
    known = bytearray(len(parents))
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
            for other in parents[node] + children[node]:
                if not known[other]:
                    known[other] = True
                    found.append(other)
        members.append(sorted(found))
    return sorted(members, key=len, reverse=True), lone


class Edges:
    """The edges of each part, sorted out when first asked for: a part with straight lines only never asks."""

    def __init__(self, edges: Sequence[Edge], parts: int, part_of: Sequence[int], local: Sequence[int]) -> None:
        """Know the number of each node's part, and the node's own number there."""
        self.edges, self.parts, self.part_of, self.local = edges, parts, part_of, local

    def of(self, part: int) -> dict[int, tuple[int, int]]:
        """(source, target), numbered as in the part, by position in the view."""
        return self._by_part[part]

    @cached_property
    def _by_part(self) -> list[dict[int, tuple[int, int]]]:
        by_part: list[dict[int, tuple[int, int]]] = [{} for _ in range(self.parts)]
        part_of, local = self.part_of, self.local
        for number, (source, target, _) in enumerate(self.edges):
            by_part[part_of[source]][number] = local[source], local[target]
        return by_part


def _parts(
    view: GraphView,
    rank: list[int],
    members: Sequence[list[int]],
    neighbours: tuple[Neighbours, Neighbours],
    *,
    tight: bool,
    aligned: bool,
) -> list[Part]:
    """The parts with these nodes.

    Each numbers its nodes from 0. Only in a large part that is most of the graph they keep their numbers: then nothing
    has to be renumbered, and neighbours are those of the whole graph.

    Args:
        view: The graph.
        rank: The layer of each node.
        members: The nodes of each part, the largest part first.
        neighbours: The predecessors and the successors of each node.
        tight: Whether all edges have length 1.
        aligned: Whether phases rule the layers, so that no node may move any more.
    """
    parents, children = neighbours
    kept = [2 * len(nodes) > max(len(rank), SIMPLEX_PARTS) for nodes in members]
    local, part_of = list(range(len(rank))), [0] * len(rank)
    for number, nodes in enumerate(members):
        if not kept[number]:
            for index, node in enumerate(nodes):
                local[node], part_of[node] = index, number
    edges = Edges(view.edges, len(members), part_of, local)
    parts = []
    for number, nodes in enumerate(members):
        own_edges = partial(edges.of, number)
        first = min([rank[node] for node in nodes])
        if kept[number]:
            names, own, above, below = list(range(len(rank))), nodes, parents, children
            ranks = [value - first for value in rank] if first else rank
        else:
            names, own = nodes, list(range(len(nodes)))
            above = [[local[parent] for parent in parents[node]] for node in nodes]
            below = [[local[child] for child in children[node]] for node in nodes]
            ranks = [rank[node] - first for node in nodes]
            if not (tight or aligned):
                ranks = shorten(ranks, list(own_edges().values()))
        if tight:
            long_edges = {}
        elif kept[number]:
            long_edges = {
                edge: (source, target)
                for edge, (source, target, _) in enumerate(view.edges)
                if rank[target] - rank[source] != 1 and part_of[source] == number
            }
        else:
            long_edges = {edge: ends for edge, ends in own_edges().items() if ranks[ends[1]] - ranks[ends[0]] != 1}
        parts.append(Part(names, layers_of(own, ranks, above, below, long_edges), ranks, own_edges))
    return parts
