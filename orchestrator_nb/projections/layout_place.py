"""Where the items of each layer stand: in order, apart, near their neighbours, long edges straight.

Fourth step of layered drawing. A layer alone has a best answer in linear time: wanted places in a given order with
least distances are a monotone regression, solved by pooling neighbours that want to pass each other. Layers take turns:
each asks for the mean place of the layer before it, then of the one after, then of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from orchestrator_nb.projections.layout_ranks import Layers

#: How strongly a dummy is pulled to a node and to another dummy; a node is pulled with 1 (as in graphviz dot).
PULL, STRAIGHT = 2, 8
#: Nodes that stand less than this many pixels beside the middle one of their neighbours move there.
JOG = 14
#: Turns that all layers take, and graphs of how many items take only one.
TURNS = 10
LARGE = 3000
_FAR = 1 << 40


def place(layers: Layers, half: Sequence[int]) -> list[int]:
    """The place of each item across the layers, by its middle, in whole pixels.

    Args:
        layers: Items in their final order.
        half: For each item, half of its extent plus half of the gap to its neighbours.
    """
    places = _Places(layers, half)
    large = layers.items() > LARGE
    places.settle(1 if large else TURNS)
    if layers.chains or not large:
        places.straighten(jogs=not large)
    return places.at


class _Places:
    def __init__(self, layers: Layers, half: Sequence[int]) -> None:
        self.graph = layers
        self.half = half
        #: Where each item stands, and where it would stand in its layer packed from 0 on.
        self.at = [0] * len(half)
        self.offset = [0] * len(half)
        for layer in layers.layers:
            end = 0
            for item in layer:
                self.offset[item] = end + half[item]
                end += 2 * half[item]
            for item in layer:
                self.at[item] = self.offset[item] - end // 2

    def settle(self, turns: int) -> None:
        """Let the layers take their turns."""
        graph = self.graph
        both = [[*before, *after] for before, after in zip(graph.before, graph.after, strict=True)] if turns > 2 else []
        for turn in range(turns):
            forward = turn % 2 == 0
            near = both if turn > 1 else graph.before if forward else graph.after
            for layer in graph.layers[1:] if forward else graph.layers[-2::-1]:
                self.regress(layer, near)

    def regress(self, layer: Sequence[int], near: Sequence[Sequence[int]]) -> None:
        """Move the items of `layer` as near as order and distances allow to the mean places of their neighbours."""
        at, offset, first_dummy = self.at, self.offset, self.graph.first_dummy
        pools: list[tuple[float, float, int]] = []  # wish, weight, number of items
        wish, weight, count = -float(_FAR), 0.0, 0  # of the last pool
        pull: float
        own: float
        for item in layer:
            ends = near[item]
            if not ends:
                pull, own = 0.1, at[item] - offset[item]
            elif len(ends) == 1:
                pull, own = 1.0, at[ends[0]] - offset[item]
                if item >= first_dummy:
                    pull = STRAIGHT if ends[0] >= first_dummy else PULL
            elif item >= first_dummy:
                pulls = [STRAIGHT if end >= first_dummy else PULL for end in ends]
                pull = sum(pulls)
                own = sum([pull * at[end] for pull, end in zip(pulls, ends, strict=True)]) / pull - offset[item]
            else:
                pull = len(ends)
                own = sum([at[end] for end in ends]) / pull - offset[item]
            if own >= wish:
                pools.append((wish, weight, count))
                wish, weight, count = own, pull, 1
                continue
            wish = (own * pull + wish * weight) / (pull + weight)
            weight += pull
            count += 1
            while pools[-1][0] > wish:
                other, more, items = pools.pop()
                wish = (wish * weight + other * more) / (weight + more)
                weight += more
                count += items
        pools.append((wish, weight, count))
        index = 0
        for wish, _, count in pools[1:]:
            base = round(wish)
            for item in layer[index : index + count]:
                at[item] = base + offset[item]
            index += count

    def straighten(self, *, jogs: bool) -> None:
        """Take bends out of long edges, and small `jogs` out of all, where the neighbours leave room."""
        graph, at = self.graph, self.at
        self.left = [-1] * len(at)
        self.right = [-1] * len(at)
        for layer in graph.layers:
            for left, right in pairwise(layer):
                self.right[left] = right
                self.left[right] = left
        for chain in graph.chains.values():
            self.straighten_chain(chain)
        for layer in graph.layers if jogs else ():
            for item in layer:
                for ends in (graph.before[item], graph.after[item]) if item < graph.first_dummy else ():
                    if len(ends) % 2:
                        wish = at[ends[0]] if len(ends) == 1 else sorted([at[end] for end in ends])[len(ends) // 2]
                        if 0 < abs(wish - at[item]) < JOG:
                            low, high = self.room(item)
                            if low <= wish <= high:
                                at[item] = wish

    def straighten_chain(self, chain: Sequence[int]) -> None:
        """Give the dummies of a long edge one place, or as few places as their neighbours allow."""
        at, graph = self.at, self.graph
        start = 0
        while start < len(chain):
            low, high = self.room(chain[start])
            stop = start + 1
            while stop < len(chain):
                lower, higher = self.room(chain[stop])
                if max(low, lower) > min(high, higher):
                    break
                low, high, stop = max(low, lower), min(high, higher), stop + 1
            part = chain[start:stop]
            if stop == len(chain):
                wish = at[graph.after[chain[-1]][0]]
            elif start == 0:
                wish = at[graph.before[chain[0]][0]]
            else:
                wish = sum([at[dummy] for dummy in part]) // len(part)
            for dummy in part:
                at[dummy] = max(low, min(high, wish))
            start = stop

    def room(self, item: int) -> tuple[int, int]:
        """Between which places the item's neighbours in its layer leave it room."""
        at, half = self.at, self.half
        left, right = self.left[item], self.right[item]
        low = at[left] + half[left] + half[item] if left >= 0 else -_FAR
        return low, at[right] - half[right] - half[item] if right >= 0 else _FAR
