"""The order within each layer: as few crossings of edges as a bounded amount of work finds.

Third step of layered drawing. From a first order, each layer is sorted by the mean place of its neighbours (barycentre
sweeps, down and up); the best order seen is then sifted: each item moves to the best place of its layer. Several first
orders are tried: by relaxation, depth first, and for small graphs many times the best so far with one layer shuffled.
Work is counted in steps, not in time, so that the same graph always gets the same picture.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import cycle
from math import sqrt

from orchestrator_nb.projections.layout_ranks import Layers

#: Steps (an item or an edge looked at once) that a small graph may cost, and what each part of a larger one takes off.
STEPS = 350_000
STEPS_LESS = 24
#: How often all layers relax before the first try.
RELAXATIONS = 25
#: Tries that a small graph gets at most, and sweeps without gain after which a try gives up.
MOST_TRIES = 40
PATIENCE = 5
#: How far an item is sifted.
REACH = 40


def reduce_crossings(layers: Layers) -> None:
    """Reorder `layers.layers` in place."""
    parts = layers.items() + sum([len(layers.after[item]) for layer in layers.layers for item in layer])
    order = _Order(layers, STEPS - STEPS_LESS * parts, parts)
    if order.steps < STEPS // 4:
        order.hurry()
    else:
        order.run()


def count_crossings(layer: Sequence[int], after: Sequence[Sequence[int]], place: Sequence[float]) -> int:
    """How many pairs of edges between `layer` and the next one cross, with the next one's items at `place`."""
    seen: list[float] = []
    total = 0
    for item in layer:
        ends = after[item]
        if len(ends) == 1:
            end = place[ends[0]]
            total += len(seen) - bisect_right(seen, end)
            insort(seen, end)
        elif ends:
            places = [place[end] for end in ends]
            for end in places:
                total += len(seen) - bisect_right(seen, end)
            for end in places:
                insort(seen, end)
    return total


class _Order:
    """The search: layers that are reordered, the place of each item in its layer (0 to 1), and steps left."""

    def __init__(self, layers: Layers, steps: int, parts: int) -> None:
        self.layers = layers.layers
        self.before = layers.before
        self.after = layers.after
        self.steps = steps
        self.parts = parts
        self.place = [0.0] * len(layers.before)
        self.slots = {size: [(2 * i + 1) / (2 * size) for i in range(size)] for size in {*map(len, self.layers)}}

    def hurry(self) -> None:
        """One try without counting: for graphs of thousands of nodes."""
        self.depth_first(self.layers, self.after)
        self.sweep(down=True)
        self.sweep(down=False)

    def run(self) -> None:
        """Try until nothing crosses or the steps are used up; leave the best order in the layers."""
        self.depth_first(self.layers, self.after)
        best, kept = self.crossings(), self.copy()
        seed = 1
        for attempt in range(MOST_TRIES):
            if best == 0 or self.steps <= 0:
                break
            if attempt == 0:
                self.relax()
            elif attempt == 1:
                self.depth_first(self.layers, self.after)
            elif attempt == 2:
                self.depth_first(self.layers[::-1], self.before)
            else:
                seed = self.shuffle_one(seed)
            crossings = self.improve()
            if crossings < best:
                best, kept = crossings, self.copy()
            self.restore(kept)

    def improve(self) -> int:
        """Sweep while that helps, sift the best order found; return its crossings."""
        best = self.crossings()
        kept = self.copy()
        stale = 0
        for sweep in cycle(range(4)):
            if best == 0 or stale >= PATIENCE or self.steps <= 0:
                break
            self.sweep(down=sweep % 2 == 0, flip=sweep >= 2)
            crossings = self.crossings()
            stale += 1
            if crossings < best:
                best, kept, stale = crossings, self.copy(), 0
        self.restore(kept)
        for _ in range(2):
            if best and self.steps > self.cost_of_sifting():
                best -= self.sift()
        return best

    def settle(self, layer: Sequence[int]) -> None:
        place = self.place
        for item, slot in zip(layer, self.slots[len(layer)], strict=True):
            place[item] = slot

    def copy(self) -> list[list[int]]:
        return [layer[:] for layer in self.layers]

    def restore(self, kept: list[list[int]]) -> None:
        for layer, order in zip(self.layers, kept, strict=True):
            layer[:] = order
            self.settle(layer)

    def crossings(self) -> int:
        self.steps -= self.parts
        return sum([count_crossings(layer, self.after, self.place) for layer in self.layers[:-1]])

    def depth_first(self, layers: list[list[int]], near: list[list[int]]) -> None:
        """Order each layer as a walk from the first layer meets its items: trees come out without a crossing."""
        found: list[list[int]] = [[] for _ in layers]
        where: list[list[int] | None] = [None] * len(self.place)  # the new layer, until it is there
        for layer, new in zip(layers, found, strict=True):
            for item in layer:
                where[item] = new
        for layer in layers:
            for root in layer:
                stack = [root]
                while stack:
                    item = stack.pop()
                    if (goal := where[item]) is not None:
                        where[item] = None
                        goal.append(item)
                        stack += near[item][::-1]
        self.restore(found if layers is self.layers else found[::-1])

    def relax(self) -> None:
        """Move each item to the mean of its neighbours on both sides, again and again, and order the layers by that.

        Each layer keeps its middle and its extent, so what is left is the longest wave across the layers: it untwists
        graphs of many layers, which sweeps from layer to layer cannot.
        """
        place = self.place
        both = [before + after for before, after in zip(self.before, self.after, strict=True)]
        for turn in range(RELAXATIONS):
            for layer in self.layers[:: -1 if turn % 2 else 1]:
                means = [
                    sum([place[end] for end in both[item]]) / len(both[item]) if both[item] else place[item]
                    for item in layer
                ]
                middle = sum(means) / len(means)
                extent = sqrt(sum([(mean - middle) ** 2 for mean in means]) / len(means)) or 1.0
                for item, mean in zip(layer, means, strict=True):
                    place[item] = (mean - middle) / extent
        for layer in self.layers:
            layer.sort(key=place.__getitem__)
            self.settle(layer)
        self.steps -= RELAXATIONS * self.parts

    def shuffle_one(self, seed: int) -> int:
        """Shuffle one layer, both chosen by a linear congruential sequence; return its next member."""
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        layer = self.layers[(seed >> 8) % len(self.layers)]
        for last in range(len(layer) - 1, 0, -1):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            other = (seed >> 8) % (last + 1)
            layer[last], layer[other] = layer[other], layer[last]
        self.settle(layer)
        return seed

    def sweep(self, *, down: bool, flip: bool = False) -> None:
        """Sort each layer by the mean place of its neighbours in the one before; `flip` turns ties around."""
        place = self.place
        layers, near = (self.layers[1:], self.before) if down else (self.layers[-2::-1], self.after)
        for layer in layers:
            for item in layer:
                ends = near[item]
                if len(ends) == 1:
                    place[item] = place[ends[0]]
                elif len(ends) == 2:
                    place[item] = (place[ends[0]] + place[ends[1]]) / 2
                elif ends:
                    place[item] = sum([place[end] for end in ends]) / len(ends)
            if flip:
                layer.reverse()
            layer.sort(key=place.__getitem__)
            self.settle(layer)
        self.steps -= self.parts

    def cost_of_sifting(self) -> int:
        """Steps of one pass: each item against those in reach, each edge of the one against each of the other."""
        cost = 0
        for layer in self.layers:
            links = sum([len(self.before[item]) + len(self.after[item]) for item in layer])
            cost += min(len(layer), 2 * REACH) * (len(layer) + links * links // (2 * len(layer)))
        return cost

    def sift(self) -> int:
        """Move each item to the place of its layer where its edges cross fewest others; return the gain."""
        gained = 0
        for layer in self.layers:
            moved = False
            for item in layer[:]:
                here = layer.index(item)
                best, there = 0, here
                gain = 0
                for index in range(here + 1, min(len(layer), here + REACH)):
                    gain += self.gain(item, layer[index])
                    if gain > best:
                        best, there = gain, index
                gain = 0
                for index in range(here - 1, max(-1, here - REACH), -1):
                    gain += self.gain(layer[index], item)
                    if gain > best:
                        best, there = gain, index
                if there != here:
                    layer.insert(there, layer.pop(here))
                    gained += best
                    moved = True
            if moved:
                self.settle(layer)
        self.steps -= self.cost_of_sifting()
        return gained

    def gain(self, left: int, right: int) -> int:
        """By how many the crossings fall when neighbours `left` and `right` change places."""
        place = self.place
        gain = 0
        for near in (self.before, self.after):
            others = near[right]
            if others:
                for end in near[left]:
                    at = place[end]
                    for other in others:
                        if at > place[other]:
                            gain += 1
                        elif at < place[other]:
                            gain -= 1
        return gain
