"""Layers of the drawing: which layer each node stands in, and where long edges pass the layers between.

First two steps of layered drawing (Sugiyama): nodes get ranks such that every edge points to a higher one and edges are
short, then each layer that a long edge passes gets a place holder for it, a *dummy*. Long edges of one node share
their dummies (a trunk), so that a node with hundreds of far dependents costs one line and not hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Most dummies for each node and edge; the longest edges beyond it run outside of the layers.
DUMMIES_PER_PART = 4
#: Work that network simplex may take, in nodes and edges looked at.
SIMPLEX_STEPS = 60_000
#: Graphs of more nodes and edges than this do without it.
SIMPLEX_PARTS = 4000
#: Most turns of pulling to either side.
PULLS = 8


def ranks(parents: Sequence[Sequence[int]], children: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """The layer of each node, from 0: by longest path, then moved to where the edges are short in sum.

    A node with more edges on one side is pulled to that side, in turns to the right and to the left, until the sum of
    lengths falls no more: near the optimum, in linear time.

    Args:
        parents: The predecessors of each node.
        children: The successors of each node.
        order: The nodes in topological order.
    """
    rank = [0] * len(order)
    for node in order:
        above = parents[node]
        if above:
            rank[node] = 1 + (rank[above[0]] if len(above) == 1 else max([rank[parent] for parent in above]))
    excess = sum([value * (len(parents[node]) - len(children[node])) for node, value in enumerate(rank)])
    excess -= sum(map(len, children))  # by how much all edges together are longer than 1
    for _ in range(PULLS):
        if not excess:
            break
        gain = 0
        for node in reversed(order):  # to the right, also where that costs nothing: what pushes from behind may follow
            below = children[node]
            if below and (pull := len(below) - len(parents[node])) >= 0:
                slack = min([rank[child] for child in below]) - 1 - rank[node]
                rank[node] += slack
                gain += slack * pull
        for node in order:
            above = parents[node]
            if above and (pull := len(above) - len(children[node])) >= 0:
                slack = rank[node] - 1 - max([rank[parent] for parent in above])
                rank[node] -= slack
                gain += slack * pull
        if not gain:
            break
        excess -= gain
    return rank


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
    """Nodes and dummies by layer. Items are numbered: nodes first (0 to `nodes` - 1), then dummies."""

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


def layers_of(rank: Sequence[int], edges: Sequence[tuple[int, int]]) -> Layers:
    """Put nodes into their layers and dummies where edges pass layers, at most a bounded number of them."""
    count = len(rank)
    layers: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for node, layer in enumerate(rank):
        layers[layer].append(node)
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    result = Layers(count, layers, before, after, {}, [])
    long_edges = []
    for edge, (source, target) in enumerate(edges):
        if rank[target] - rank[source] == 1:
            after[source].append(target)
            before[target].append(source)
        else:
            long_edges.append(edge)
    if long_edges:
        _route_long_edges(result, rank, edges, long_edges)
    return result


def _route_long_edges(
    result: Layers, rank: Sequence[int], edges: Sequence[tuple[int, int]], long_edges: list[int]
) -> None:
    leaving = [0] * result.nodes
    arriving = [0] * result.nodes
    for edge in long_edges:
        source, target = edges[edge]
        leaving[source] += 1
        arriving[target] += 1
    layers, before, after = result.layers, result.before, result.after
    room = DUMMIES_PER_PART * (result.nodes + len(edges)) + 100
    trunks: dict[tuple[int, bool], list[int]] = {}
    for edge in sorted(long_edges, key=lambda edge: rank[edges[edge][1]] - rank[edges[edge][0]]):
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
