"""One connected graph as boxes and lines: along its layers (u) and across them (v).

Wide layers become blocks of rows, whose lines run between the rows; very long thin graphs are folded like lines of
text. No line passes through a box: between layers there are none, and in a layer each line has a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from math import sqrt
from typing import NamedTuple

from orchestrator_nb.projections.layout_order import reduce_crossings
from orchestrator_nb.projections.layout_place import place
from orchestrator_nb.projections.layout_ranks import Layers
from orchestrator_nb.projections.layout_view import Edge

#: Length along the layers to breadth across them that a drawing should have.
ASPECT = 1.6
#: A layer is wide with more nodes than this, and than `WIDE_SHARE` times the root of the number of all nodes; the
#: widest have more than `WIDEST`.
WIDE = 24
WIDE_SHARE = 3.0
WIDEST = 300
#: A graph is folded that is longer than this and so many times too long for its breadth, where at most so many lines
#: pass from one layer to the next, and lines differ in length by no more than about this share.
FOLDED = 1600
TOO_LONG = 4.0
THIN = 4
LEEWAY = 0.4
#: Half of the breadth of: a line that passes a layer, a lane beside the rows of a block. Distance of other lanes.
LINE = 5
LANE = 9
LANES = 8
#: Outside of the layers there are at most so many lanes.
MOST_LANES = 12

Box = tuple[int, int, int, int]


class Canvas:
    """The picture that parts are written into; `down` where the layers run from top to bottom."""

    def __init__(self, nodes: int, *, down: bool) -> None:
        self.boxes: list[Box] = [(0, 0, 0, 0)] * nodes
        self.routes: list[list[int]] = []
        self.layers: list[list[int]] = []
        self.down = down

    def connect(self, edges: Sequence[Edge]) -> None:
        """Draw a straight line for each edge, from box to box."""
        boxes = self.boxes
        if self.down:
            middle = [x + width // 2 for x, _, width, _ in boxes]
            end = [y + height for _, y, _, height in boxes]
            self.routes = [[middle[a], end[a], middle[b], boxes[b][1]] for a, b, _ in edges]
        else:
            middle = [y + height // 2 for _, y, _, height in boxes]
            end = [x + width for x, _, width, _ in boxes]
            self.routes = [[end[a], middle[a], boxes[b][0], middle[b]] for a, b, _ in edges]


class Spacing(NamedTuple):
    """Least distances: of boxes in a layer, of layers."""

    between: int
    apart: int


def columns_of(count: int, length: int, breadth: int) -> int:
    """In how many columns `count` boxes of this size make a block of good proportions."""
    return max(1, min(count, round(sqrt(count * breadth * ASPECT / length))))


class Grid:
    """Boxes without lines, in rows along u."""

    def __init__(self, nodes: Sequence[int]) -> None:
        self.nodes = nodes
        self.length = self.breadth = 0

    def place(self, lengths: Sequence[int], breadths: Sequence[int], spacing: Spacing) -> None:
        """Give each node a place, all of them boxes of one size."""
        self.box = max([lengths[node] for node in self.nodes]), max([breadths[node] for node in self.nodes])
        self.step = self.box[0] + spacing.between, self.box[1] + spacing.between
        self.columns = columns_of(len(self.nodes), *self.step)
        self.length = self.columns * self.step[0] - spacing.between
        self.breadth = -(-len(self.nodes) // self.columns) * self.step[1] - spacing.between

    def write(self, canvas: Canvas, u: int, v: int) -> None:
        """Put boxes and rows into the picture, with the upper left corner at (u, v)."""
        length, breadth = self.box
        for index, node in enumerate(self.nodes):
            row, column = divmod(index, self.columns)
            left, top = u + column * self.step[0], v + row * self.step[1]
            canvas.boxes[node] = (top, left, breadth, length) if canvas.down else (left, top, length, breadth)
        for start in range(0, len(self.nodes), self.columns):
            canvas.layers.append(list(self.nodes[start : start + self.columns]))

    def bend(self, canvas: Canvas) -> None:
        """There are no lines."""


class Part:
    """A connected graph, in numbers of its own; dummies follow the nodes."""

    def __init__(
        self, nodes: Sequence[int], graph: Layers, rank: Sequence[int], edges: Callable[[], dict[int, tuple[int, int]]]
    ) -> None:
        """Find the order.

        Args:
            nodes: For each node its position in the view.
            graph: The graph in layers; its order is changed.
            rank: For each node its layer, from 0.
            edges: Gives (source, target) of each edge by its position in the view.
        """
        self.nodes, self.graph, self.rank, self.edges = nodes, graph, rank, edges
        reduce_crossings(graph)
        self.members = list(graph.layers)
        if len(graph.before) > graph.first_dummy:
            self.members = [[item for item in layer if item < graph.first_dummy] for layer in graph.layers]
        self.length = self.breadth = 0

    def is_thin(self) -> bool:
        """Whether it is long and may be folded nearly anywhere."""
        graph = self.graph
        if graph.outside:
            return False
        few = [sum([len(graph.after[item]) for item in layer]) <= THIN for layer in graph.layers[:-1]]
        return len(few) > 6 and sum(few) > 0.7 * len(few)

    def extent(self, lengths: Sequence[int], breadths: Sequence[int], spacing: Spacing) -> tuple[int, int]:
        """Length and breadth that it would have with boxes of these sizes, about."""
        lengths, breadths = self._own(lengths), self._own(breadths)
        length = breadth = 0
        for layer, items in zip(self.members, self.graph.layers, strict=True):
            length += max(map(lengths.__getitem__, layer), default=0) + spacing.apart
            across = sum(map(breadths.__getitem__, layer)) + spacing.between * len(layer)
            breadth = max(breadth, across + 2 * LINE * (len(items) - len(layer)))
        return length - spacing.apart, breadth

    def _own(self, sizes: Sequence[int]) -> Sequence[int]:
        """Sizes of the view's nodes by the numbers that they have here."""
        return sizes if len(self.nodes) == len(sizes) else [sizes[node] for node in self.nodes]

    def place(self, lengths: Sequence[int], breadths: Sequence[int], spacing: Spacing) -> None:
        """Give each node and each line its place, from (0, 0) on."""
        self.spacing = spacing
        self.breadths, lengths = self._own(breadths), self._own(lengths)
        self.half = [(breadth + spacing.between) // 2 for breadth in self.breadths]
        self.half += [LINE] * (len(self.graph.before) - len(self.half))
        self.size = [max(map(lengths.__getitem__, layer), default=0) for layer in self.members]
        self._make_blocks()
        self.at = place(self.graph, self.half)
        self._stretch()
        spans = [
            (self.at[layer[0]] - self.half[layer[0]], self.at[layer[-1]] + self.half[layer[-1]])
            for layer in self.graph.layers
        ]
        top = min([low for low, _ in spans])
        #: Layers after which the drawing is folded, and where the lines above the fold end.
        self.folds: dict[int, int] = {}
        self.length, self.breadth = self.end[-1], max([high for _, high in spans]) - top
        if self.graph.outside:
            lanes = min(len(self.graph.outside), MOST_LANES)
            self.breadth += LANES * (lanes + 1)
            top -= LANES * (lanes + 1)
        elif cuts := self._cuts():
            self._fold(cuts, spans)
            top = 0
        self.top = top

    def _make_blocks(self) -> None:
        """Turn wide layers into rows of several nodes each: to all that follows a row is one item."""
        #: Of nodes in blocks: the item that is their row, and their column.
        self.row: dict[int, tuple[int, int]] = {}
        self.columns = [1] * len(self.size)
        wide = max(WIDE, WIDE_SHARE * sqrt(self.graph.nodes))
        for number, nodes in enumerate(self.members):
            if len(nodes) <= wide:
                continue
            breadth = max([self.breadths[node] for node in nodes]) + 2 * LANE
            columns = columns_of(len(nodes), self.size[number] + self.spacing.apart // 2, breadth)
            rows = self._rows(number, columns)
            if len(rows) <= len(nodes) // 2:
                self.columns[number] = columns
                self._put_rows(number, rows, breadth)

    def _rows(self, number: int, columns: int) -> list[list[int]]:
        """The layer's items in rows: of nodes with the same neighbours, so that no one asks whose line a lane holds.

        In the widest layers, where no one could follow single lines anyway, any nodes share a row.
        """
        graph, first_dummy = self.graph, self.graph.first_dummy
        anyhow = len(self.members[number]) > WIDEST

        def kind(item: int) -> object:
            if item >= first_dummy:
                return item
            return None if anyhow else (sorted(graph.before[item]), sorted(graph.after[item]))

        runs = [list(run) for _, run in groupby(graph.layers[number], kind)]
        return [run[start : start + columns] for run in runs for start in range(0, len(run), columns)]

    def _put_rows(self, number: int, rows: Sequence[list[int]], breadth: int) -> None:
        graph = self.graph
        layer: list[int] = []
        for row in rows:
            if row[0] >= graph.first_dummy:
                layer += row
                continue
            item = len(self.half)
            layer.append(item)
            self.half.append(breadth // 2)
            self.row.update({node: (item, column) for column, node in enumerate(row)})
            graph.before.append([end for node in row for end in graph.before[node]])
            graph.after.append([end for node in row for end in graph.after[node]])
        graph.layers[number] = layer
        for near, ends in ((number - 1, graph.after), (number + 1, graph.before)):
            for item in graph.layers[near] if 0 <= near < len(graph.layers) else ():
                ends[item] = [self.row[end][0] if end in self.row else end for end in ends[item]]

    def _stretch(self) -> None:
        """Place the layers: the steeper the lines between two of them, the farther apart."""
        apart = self.spacing.apart
        self.start: list[int] = []
        self.end: list[int] = []
        u = 0
        for layer, size, columns in zip(self.graph.layers, self.size, self.columns, strict=True):
            self.start.append(u)
            u += columns * size + (columns - 1) * (apart // 2)
            self.end.append(u)
            u += max(apart, self._rise(layer, 12 * apart) // 4)

    def _rise(self, layer: Sequence[int], most: int) -> int:
        """How far the steepest line behind a layer goes across; no more than `most` is looked for."""
        at, after, rise = self.at, self.graph.after, 0
        for item in layer:
            for end in after[item]:
                rise = max(rise, abs(at[end] - at[item]))
            if rise >= most:
                return most
        return rise

    def _cuts(self) -> list[int]:
        """The layers after which a drawing that is much too long is folded."""
        if self.length < max(FOLDED, TOO_LONG * ASPECT * self.breadth):
            return []
        lines = round(sqrt(self.length / (ASPECT * (self.breadth + self.spacing.apart + 2 * LANES))))
        links = [sum([len(self.graph.after[item]) for item in layer]) for layer in self.graph.layers[:-1]]
        thin = [number for number, count in enumerate(links) if count <= THIN]
        cuts: list[int] = []
        begin, share = 0, self.length / max(lines, 1)
        for _ in range(lines - 1):
            goal = begin + share
            later = [number for number in thin if self.end[number] > begin]
            cut = min(later, key=lambda number: abs(self.end[number] - goal), default=None)
            if cut is None or abs(self.end[cut] - goal) > share * LEEWAY:
                return []
            cuts.append(cut)
            begin = self.start[cut + 1]
        return cuts

    def _fold(self, cuts: Sequence[int], spans: Sequence[tuple[int, int]]) -> None:
        """Put the stretches between `cuts` below each other, and lanes between them."""
        graph = self.graph
        margin = LANES * (THIN + 1)
        first = top = length = 0
        for cut in (*cuts, len(graph.layers) - 1):
            stretch = range(first, cut + 1)
            down = top - min([spans[number][0] for number in stretch])
            back = self.start[first] - margin
            for number in stretch:
                self.start[number] -= back
                self.end[number] -= back
                for item in graph.layers[number]:
                    self.at[item] += down
            bottom = down + max([spans[number][1] for number in stretch])
            length = max(length, self.end[cut])
            if cut in cuts:
                self.folds[cut] = bottom
                top = bottom + LANES * (THIN + 1) + self.spacing.apart // 2
            first = cut + 1
        self.length, self.breadth = length + margin, bottom

    def write(self, canvas: Canvas, u: int, v: int) -> None:
        """Put boxes and layers into the picture, with the upper left corner at (u, v)."""
        down = v - self.top
        self.start = [at + u for at in self.start]
        self.end = [at + u for at in self.end]
        self.at = at = [place + down for place in self.at]
        self.folds = {cut: bottom + v for cut, bottom in self.folds.items()}
        self.outside = {edge: LANES * (index % MOST_LANES + 1) + v for index, edge in enumerate(self.graph.outside)}
        boxes, nodes, breadths, rows = canvas.boxes, self.nodes, self.breadths, self.row
        for layer, left, length in zip(self.members, self.start, self.size, strict=True):
            step = length + self.spacing.apart // 2
            for node in layer:
                row, column = rows.get(node, (node, 0))
                breadth = breadths[node]
                top, here = at[row] - breadth // 2, left + column * step
                boxes[nodes[node]] = (top, here, breadth, length) if canvas.down else (here, top, length, breadth)
        canvas.layers += [[nodes[node] for node in layer] for layer in self.members]

    def bend(self, canvas: Canvas) -> None:
        """Redraw the lines that do more than cross from one layer to the next."""
        graph = self.graph
        straight = not (self.row or self.folds or graph.outside)
        if straight and not graph.chains:
            return
        self.lanes = {cut: self._lanes(cut, bottom) for cut, bottom in self.folds.items()}
        for edge, (source, target) in (graph.long_edges if straight else self.edges()).items():
            route = self._pass(edge, source, target) if straight else self._route(edge, source, target)
            if canvas.down:
                route[::2], route[1::2] = route[1::2], route[::2]
            canvas.routes[edge] = route

    def _pass(self, edge: int, source: int, target: int) -> list[int]:
        """The corners of a line that passes layers, in a drawing without blocks and folds."""
        at, start, end = self.at, self.start, self.end
        layer, here = self.rank[source], at[source]
        route = [end[layer], here]
        for item in (*self.graph.chains[edge], target):
            there = at[item]
            if there != here:
                if route[-2] != end[layer]:
                    route += (end[layer], here)
                route += (start[layer + 1], there)
                here = there
            layer += 1
        if route[-2] != start[layer]:
            route += (start[layer], here)
        return route

    def _route(self, edge: int, source: int, target: int) -> list[int]:
        """The corners of a line, in any drawing."""
        points = self._leave(source)
        layer, last = self.rank[source], self.rank[target]
        arrival = self._arrive(target)
        if edge in self.outside:
            outside, gap = self.outside[edge], self.spacing.apart // 3
            out, back = self.end[layer] + gap, self.start[last] - gap
            points += [out, points[-1], out, outside, back, outside, back, arrival[1]]
        else:
            for dummy in self.graph.chains.get(edge, ()):
                points += self._cross(layer, points[-1], self.at[dummy])
                layer += 1
            points += self._cross(layer, points[-1], arrival[1])
        return _tidy(points + arrival)

    def _leave(self, node: int) -> list[int]:
        """From a node's box to the end of its layer: in a block, along the lane below its row."""
        layer = self.rank[node]
        if node not in self.row:
            return [self.end[layer], self.at[node]]
        row, column = self.row[node]
        step = self.size[layer] + self.spacing.apart // 2
        right, middle = self.start[layer] + column * step + self.size[layer], self.at[row]
        if right == self.end[layer]:
            return [right, middle]
        lane = middle + self.half[row] - LANE // 2
        return [right, middle, right + self.spacing.apart // 4, lane, self.end[layer], lane]

    def _arrive(self, node: int) -> list[int]:
        """From the start of a node's layer to its box: in a block, along the lane above its row."""
        layer = self.rank[node]
        if node not in self.row:
            return [self.start[layer], self.at[node]]
        row, column = self.row[node]
        left, middle = self.start[layer] + column * (self.size[layer] + self.spacing.apart // 2), self.at[row]
        if not column:
            return [left, middle]
        lane = middle - self.half[row] + LANE // 2
        return [self.start[layer], lane, left - self.spacing.apart // 4, lane, left, middle]

    def _cross(self, layer: int, here: int, there: int) -> list[int]:
        """From the end of `layer` to the start of the next."""
        out, back = self.end[layer], self.start[layer + 1]
        if layer in self.lanes:
            right, across, left = self.lanes[layer][here, there]
            return [out, here, right, here, right, across, left, across, left, there, back, there]
        return [] if here == there else [out, here, back, there]

    def _lanes(self, cut: int, bottom: int) -> dict[tuple[int, int], tuple[int, int, int]]:
        """For the lines that pass a fold, by their ends: lanes right, below and left that do not cross."""
        after, at = self.graph.after, self.at
        links = sorted({(at[item], at[end]) for item in self.graph.layers[cut] for end in after[item]})
        lanes = {}
        for index, link in enumerate(links):
            outer = LANES * (len(links) - index)
            lanes[link] = self.end[cut] + outer, bottom + outer, self.start[cut + 1] - LANES * (index + 1)
        return lanes


def _tidy(points: list[int]) -> list[int]:
    """The corners without those that are said twice or lie on a straight line along the layers."""
    tidy = points[:2]
    for index in range(2, len(points), 2):
        u, v = points[index], points[index + 1]
        if v == tidy[-1] and (u == tidy[-2] or (len(tidy) > 2 and tidy[-3] == v)):
            tidy[-2] = u
        else:
            tidy += (u, v)
    return tidy
