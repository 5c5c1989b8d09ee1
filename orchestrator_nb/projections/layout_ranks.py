"""Layers of the drawing: which layer each node stands in, and where long edges pass the layers between.

First two steps of layered drawing (Sugiyama): nodes get ranks such that every edge points to a higher one and edges are
short, then each layer that a long edge passes gets a place holder for it, a *dummy*. Long edges of one node share
their dummies (a trunk), so that a node with hundreds of far dependents costs one line and not hundreds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul, sub

#: Most dummies for each node and edge; the longest edges beyond it run outside of the layers.
DUMMIES_PER_PART = 4
#: Work that network simplex may take, in nodes and edges looked at.
SIMPLEX_STEPS = 60_000
#: Graphs of more nodes and edges than this do without it.
SIMPLEX_PARTS = 4000


def pull(
    rank: list[int], parents: Sequence[Sequence[int]], children: Sequence[Sequence[int]], order: Sequence[int]
) -> int:
    """Move nodes to layers where the edges are short in sum.

    A node with more edges on one side is pulled to that side, once all to the right and once all to the left: near the
    optimum, in linear time. (More turns have not been seen to gain anything.)

    Args:
        rank: The layer of each node, from 0, by longest path.
        parents: The predecessors of each node.
        children: The successors of each node.
        order: The nodes in topological order.

    Returns:
        By how much all edges together are longer than 1.
    """
    pulls = list(map(sub, map(len, parents), map(len, children)))  # to the left; below 0 to the right
    excess: int = sum(map(mul, rank, pulls)) - sum(map(len, children))
    if not excess:
        return 0
    gain = 0
    for node in reversed(order):  # to the right, also where that costs nothing: what pushes from behind may follow
        below = children[node]
        if below and pulls[node] <= 0:
            nearest = rank[below[0]] if len(below) == 1 else min(map(rank.__getitem__, below))
            slack = nearest - 1 - rank[node]
            rank[node] += slack
            gain -= slack * pulls[node]
    for node in order:
        above = parents[node]
        if above and pulls[node] >= 0:
            nearest = rank[above[0]] if len(above) == 1 else max(map(rank.__getitem__, above))
            slack = rank[node] - 1 - nearest
            rank[node] -= slack
            gain += slack * pulls[node]
    return excess - gain


def shorten(rank: list[int], edges: Sequence[tuple[int, int]], steps: int = SIMPLEX_STEPS) -> list[int]:
    """Move connected nodes to ranks with the least sum of edge lengths (network simplex), within bounded work.

    A tree of edges of length 1 spans the graph. Cutting one of them sets a part free; where that part has more edges
    on the far side, it moves there until another edge is of length 1, which takes the place in the tree.
    """
    if len(rank) + len(edges) > SIMPLEX_PARTS or sum([rank[b] - rank[a] for a, b in edges]) == len(edges):
        return rank
    rank = rank[:]
    tree = _tight_tree(rank, edges)
    excess = [0] * len(rank)
    for source, target in edges:
        excess[source] += 1
        excess[target] -= 1
    for _ in range(steps // (len(rank) + len(edges))):
        cut = _best_cut(tree, edges, excess)
        if cut is None:
            break
        edge, part, right = cut
        slack, bridge = min(
            [
                (rank[target] - rank[source] - 1, number)
                for number, (source, target) in enumerate(edges)
                if (source in part) == right and (target in part) != right
            ]
        )
        for node in part:
            rank[node] += slack if right else -slack
        tree.remove(edge)
        tree.add(bridge)
    first = min(rank)
    return [value - first for value in rank]


def _tight_tree(rank: list[int], edges: Sequence[tuple[int, int]]) -> set[int]:
    """Edges of length 1 that span the graph; where there are none, part of the graph moves until there are."""
    at: list[list[int]] = [[] for _ in rank]
    for number, (source, target) in enumerate(edges):
        at[source].append(number)
        at[target].append(number)
    tree: set[int] = set()
    inside = [0]
    known = [False] * len(rank)
    known[0] = True
    todo = [0]
    while True:
        while todo:
            node = todo.pop()
            for number in at[node]:
                source, target = edges[number]
                other = target if source == node else source
                if not known[other] and rank[target] - rank[source] == 1:
                    known[other] = True
                    inside.append(other)
                    tree.add(number)
                    todo.append(other)
        if len(inside) == len(rank):
            return tree
        slack, source, target = min(
            [
                (rank[target] - rank[source] - 1, source, target)
                for source, target in edges
                if known[source] != known[target]
            ]
        )
        for node in inside:
            rank[node] += slack if known[source] else -slack
        todo.append(source if known[source] else target)


def _best_cut(
    tree: set[int], edges: Sequence[tuple[int, int]], excess: Sequence[int]
) -> tuple[int, set[int], bool] | None:
    """The tree edge that gains most when it is cut, the part it sets free, and whether that moves to the right."""
    at: list[list[int]] = [[] for _ in excess]
    for number in sorted(tree):
        source, target = edges[number]
        at[source].append(number)
        at[target].append(number)
    order: list[int] = []
    above = [-1] * len(excess)  # the tree edge towards the root
    stack = [0]
    while stack:
        node = stack.pop()
        order.append(node)
        for number in at[node]:
            if number != above[node]:
                source, target = edges[number]
                other = target if source == node else source
                above[other] = number
                stack.append(other)
    gain = list(excess)  # of moving a node with all below it by one to the right
    size = [1] * len(gain)
    best, cut = 0, -1
    for node in order[:0:-1]:
        source, target = edges[above[node]]
        parent = source if target == node else target
        gain[parent] += gain[node]
        size[parent] += size[node]
        if (gain[node] if target == node else -gain[node]) > best:
            best, cut = abs(gain[node]), node
    if cut < 0:
        return None
    first = order.index(cut)
    return above[cut], set(order[first : first + size[cut]]), edges[above[cut]][1] == cut


@dataclass(slots=True)
class Layers:
    """Nodes and dummies by layer. Items are numbered: nodes first (below `first_dummy`), then dummies."""

    first_dummy: int
    #: How many nodes there are; with fewer than `first_dummy` some numbers are not in use.
    nodes: int
    #: Items of each layer, from first to last.
    layers: list[list[int]]
    #: Neighbours of each item in the layer before and in the layer after.
    before: list[list[int]]
    after: list[list[int]]
    #: The dummies that an edge (by its position) passes, from source to target; edges between neighbours are not in.
    chains: dict[int, list[int]]
    #: Edges that pass outside of the layers, because they are so long and so many.
    outside: list[int]
    #: Source and target of the edges that are in `chains` or `outside`.
    long_edges: Mapping[int, tuple[int, int]]

    def items(self) -> int:
        """How many items there are."""
        return len(self.before) - self.first_dummy + self.nodes


def layers_of(
    nodes: Sequence[int],
    rank: Sequence[int],
    parents: list[list[int]],
    children: list[list[int]],
    long_edges: Mapping[int, tuple[int, int]],
) -> Layers:
    """Put nodes into their layers and dummies where edges pass layers, at most a bounded number of them.

    Args:
        nodes: The nodes.
        rank: The layer of each node.
        parents: The predecessors of each node; becomes the neighbours in the layer before.
        children: The successors of each node; becomes the neighbours in the layer after.
        long_edges: The edges between layers that are no neighbours, by their position.
    """
    layers: list[list[int]] = [[] for _ in range(max([rank[node] for node in nodes], default=-1) + 1)]
    for node in nodes:
        layers[rank[node]].append(node)
    result = Layers(len(rank), len(nodes), layers, parents, children, {}, [], long_edges)
    if long_edges:
        room = DUMMIES_PER_PART * (len(nodes) + sum([len(children[node]) for node in nodes])) + 100
        for node in {end for ends in long_edges.values() for end in ends}:
            parents[node] = [parent for parent in parents[node] if rank[node] - rank[parent] == 1]
            children[node] = [child for child in children[node] if rank[child] - rank[node] == 1]
        _route_long_edges(result, rank, long_edges, room)
    return result


def _route_long_edges(result: Layers, rank: Sequence[int], edges: Mapping[int, tuple[int, int]], room: int) -> None:
    leaving = Counter([source for source, _ in edges.values()])
    arriving = Counter([target for _, target in edges.values()])
    layers, before, after = result.layers, result.before, result.after
    trunks: dict[tuple[int, bool], list[int]] = {}
    for edge in sorted(edges, key=lambda edge: rank[edges[edge][1]] - rank[edges[edge][0]]):
        source, target = edges[edge]
        length = rank[target] - rank[source] - 1
        outward = leaving[source] >= arriving[target]
        hub, step = (source, 1) if outward else (target, -1)
        trunk = trunks.setdefault((hub, outward), [])
        room -= max(0, length - len(trunk))
        if room < 0:
            result.outside.append(edge)
            continue
        while len(trunk) < length:
            dummy = len(before)
            last = trunk[-1] if trunk else hub
            layers[rank[hub] + step * (len(trunk) + 1)].append(dummy)
            before.append([last] if outward else [])
            after.append([] if outward else [last])
            (after if outward else before)[last].append(dummy)
            trunk.append(dummy)
        end = trunk[length - 1]
        if outward:
            after[end].append(target)
            before[target].append(end)
            result.chains[edge] = trunk[:length]
        else:
            before[end].append(source)
            after[source].append(end)
            result.chains[edge] = trunk[length - 1 :: -1]
