"""Graph algorithms on the plan: our own adjacency, by position, all linear in nodes plus edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush


class Graph:
    """A directed graph whose nodes are the positions of `ids`; `parents` and `children` hold positions."""

    __slots__ = ("children", "ids", "index", "parents")

    def __init__(self, ids: Sequence[str], upstream: Iterable[Sequence[str]]) -> None:
        """Build from each node's ids of predecessors, in the nodes' order. Raises `KeyError` for an unknown id."""
        self.ids = list(ids)
        self.index = {task_id: position for position, task_id in enumerate(self.ids)}
        index = self.index
        self.parents: list[tuple[int, ...]] = [
            tuple(dict.fromkeys([index[parent] for parent in parents])) if parents else () for parents in upstream
        ]
        children: list[list[int] | tuple[()]] = [()] * len(self.ids)
        for node, parents_ in enumerate(self.parents):
            for parent in parents_:
                if children[parent]:
                    children[parent].append(node)  # type: ignore[union-attr]
                else:
                    children[parent] = [node]
        self.children: list[Sequence[int]] = children  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.ids)

    def order(self) -> list[int]:
        """Positions in topological order, deterministic; nodes on a cycle or behind one are left out."""
        waiting = [len(parents) for parents in self.parents]
        order = [node for node, count in enumerate(waiting) if count == 0]
        for node in order:
            for child in self.children[node]:
                waiting[child] -= 1
                if waiting[child] == 0:
                    order.append(child)
        return order

    def sorted_order(self) -> list[int]:
        """Positions in topological order that leave a plan which is in order already as it is.

        Of the nodes that may come next, the first by position does. Nodes on a cycle or behind one come last.
        """
        waiting = [len(parents) for parents in self.parents]
        ready = [node for node, count in enumerate(waiting) if count == 0]  # sorted, so a heap
        order: list[int] = []
        while ready:
            node = heappop(ready)
            order.append(node)
            for child in self.children[node]:
                waiting[child] -= 1
                if waiting[child] == 0:
                    heappush(ready, child)
        return order + [node for node, count in enumerate(waiting) if count]

    def cycle(self) -> list[int] | None:
        """The nodes of one cycle in order (the first is not repeated at the end), or None."""
        return next(iter(self.cycles()), None)

    def cycles(self) -> list[list[int]]:
        """One cycle of every knot (strongly connected component), each from its first node on, in plan order."""
        done = set(self.order())
        if len(done) == len(self):
            return []
        return sorted(self._cycle_in(knot) for knot in self._knots(done))

    def _cycle_in(self, knot: set[int]) -> list[int]:
        node = min(knot)
        seen: dict[int, int] = {}
        while node not in seen:  # every node of a knot has a parent in it
            seen[node] = len(seen)
            node = next(parent for parent in self.parents[node] if parent in knot)
        path = list(seen)[seen[node] :][::-1]
        first = path.index(min(path))
        return path[first:] + path[:first]

    def _knots(self, done: set[int]) -> Iterator[set[int]]:
        """Strongly connected components with a cycle, among the nodes that are not `done` (Tarjan's algorithm)."""
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        open_nodes: list[int] = []
        for root in range(len(self)):
            if root in done or root in number:
                continue
            stack = [(root, iter(self.parents[root]))]
            while stack:
                node, rest = stack[-1]
                if node not in number:
                    number[node] = low[node] = len(number)
                    open_nodes.append(node)
                for parent in rest:
                    if parent in done:
                        continue
                    if parent not in number:
                        stack.append((parent, iter(self.parents[parent])))
                        break
                    low[node] = min(low[node], low[parent])
                else:
                    stack.pop()
                    if stack:
                        below = stack[-1][0]
                        low[below] = min(low[below], low[node])
                    if low[node] == number[node]:
                        knot = set()
                        while node not in knot:
                            knot.add(open_nodes.pop())
                        for member in knot:
                            low[member] = len(self)  # closed: counts no more
                        if len(knot) > 1 or node in self.parents[node]:
                            yield knot

    def levels(self) -> list[list[int]]:
        """Nodes by longest distance from a root: S1 3.1's "batches" for showing, never for scheduling."""
        depth = [0] * len(self)
        levels: list[list[int]] = []
        for node in self.order():
            depth[node] = 1 + max((depth[parent] for parent in self.parents[node]), default=-1)
            while len(levels) <= depth[node]:
                levels.append([])
            levels[depth[node]].append(node)
        return [sorted(level) for level in levels]

    def tails(self, weights: Sequence[float] | None = None) -> list[float]:
        """For each node the weight of the heaviest path that begins with it, itself included (weight 1 each)."""
        tail = [1.0] * len(self) if weights is None else [float(weight) for weight in weights]
        for node in reversed(self.order()):
            heaviest = max((tail[child] for child in self.children[node]), default=0.0)
            tail[node] += heaviest
        return tail

    def critical_path(self, weights: Sequence[float] | None = None) -> list[int]:
        """The heaviest path from a root to a leaf; the first in plan order among equals. Empty for an empty graph, and
        for one with a cycle.
        """
        if not self.ids or self.cycle() is not None:
            return []
        tail = self.tails(weights)
        roots = [node for node, parents in enumerate(self.parents) if not parents]
        path: list[int] = []
        step: Sequence[int] = roots
        while step:
            node = max(step, key=lambda candidate: (tail[candidate], -candidate))
            path.append(node)
            step = self.children[node]
        return path

    def descendants(self, start: int) -> set[int]:
        """All nodes that can be reached from `start`, without it."""
        return self._reach(start, self.children)

    def ancestors(self, start: int) -> set[int]:
        """All nodes from which `start` can be reached, without it."""
        return self._reach(start, self.parents)

    def _reach(self, start: int, edges: Sequence[Sequence[int]]) -> set[int]:
        found: set[int] = set()
        stack = [start]
        while stack:
            for node in edges[stack.pop()]:
                if node not in found:
                    found.add(node)
                    stack.append(node)
        return found
