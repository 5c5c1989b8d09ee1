"""Graphs for the tests of pictures, and what must hold of every layout."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable

from orchestrator_nb.projections.layout import GraphView, Layout, Node
from orchestrator_nb.projections.layout_frame import inside
from orchestrator_nb.projections.layout_text import text_width
from orchestrator_nb.projections.theme import STATUSES

_WORDS = ["Read", "Check", "Verify", "Merge", "Report", "Collect", "Analyse", "security", "files", "of", "the", "code"]


def view_of(count: int, edges: Iterable[tuple[int, int]], seed: int = 0, *, words: bool = True) -> GraphView:
    """A view with labels of one to five words and all statuses."""
    rng = random.Random(seed)
    statuses = [*STATUSES, ""]
    nodes = tuple(
        Node(
            f"T-{index:02d}",
            " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 5))) if words else "",
            rng.choice(statuses),
            agent="shell",
        )
        for index in range(count)
    )
    return GraphView(nodes, tuple((source, target, "data") for source, target in edges))


def layered(count: int, width: int, skip: float = 0.1, seed: int = 0) -> list[tuple[int, int]]:
    """About 1.5 edges a node: to one or two of the layer before, now and then to one further back."""
    rng = random.Random(seed)
    edges = set()
    for node in range(width, count):
        layer = node // width
        for _ in range(rng.choice((1, 2))):
            back = 1 if layer < 2 or rng.random() >= skip else rng.randint(2, min(4, layer))
            start = (layer - back) * width
            edges.add((rng.randrange(start, start + width), node))
    return sorted(edges)


def fan(width: int) -> list[tuple[int, int]]:
    """One, `width` in the middle, one."""
    return [(0, node) for node in range(1, width + 1)] + [(node, width + 1) for node in range(1, width + 1)]


def chain(count: int) -> list[tuple[int, int]]:
    return [(node, node + 1) for node in range(count - 1)]


def faults(view: GraphView, layout: Layout) -> list[str]:
    """Everything that is wrong with a layout; empty for a good one."""
    return [
        *_faults_of_boxes(view, layout),
        *_faults_of_texts(view, layout),
        *_faults_of_routes(view, layout),
    ]


def _faults_of_boxes(view: GraphView, layout: Layout) -> Iterable[str]:
    if not len(view.nodes) == len(layout.boxes) == len(layout.labels) == len(layout.captions):
        yield "not one box a node"
    if sorted(node for layer in layout.layers for node in layer) != list(range(len(view.nodes))):
        yield "the layers do not hold each node once"
    cells = _cells(layout)
    for node, (x, y, width, height) in enumerate(layout.boxes):
        if x < 0 or y < 0 or x + width > layout.width or y + height > layout.height or width <= 0 or height <= 0:
            yield f"the box of {node} leaves the picture"
        for other in _near(cells, x, y, x + width, y + height):
            left, top, broad, high = layout.boxes[other]
            if other > node and x < left + broad and left < x + width and y < top + high and top < y + height:
                yield f"the boxes of {node} and {other} overlap"


def _faults_of_texts(view: GraphView, layout: Layout) -> Iterable[str]:
    metrics = layout.metrics
    for node, (_, _, width, height) in enumerate(layout.boxes):
        label, caption = layout.labels[node], layout.captions[node]
        at = inside(metrics, view.nodes[node], height, len(label), len(caption))
        for line, size in [*((line, metrics.font) for line in label), *((line, metrics.caption) for line in caption)]:
            if at.text_x + text_width(line, size) > width:
                yield f"the text of {node} leaves its box: {line}"
        lines = [*at.label, *at.caption]
        if lines[0] - metrics.font < 0 or lines[-1] > height or lines != sorted(set(lines)):
            yield f"the lines of {node} do not stand in its box one below the other"


def _faults_of_routes(view: GraphView, layout: Layout) -> Iterable[str]:
    if len(layout.routes) != len(view.edges):
        yield "not one route an edge"
    cells = _cells(layout)
    for (source, target, _), route in zip(view.edges, layout.routes, strict=True):
        corners = list(zip(route[::2], route[1::2], strict=True))
        if corners[0] != _port(layout, source, leaving=True) or corners[-1] != _port(layout, target, leaving=False):
            yield f"the route {source} -> {target} does not lead from box to box"
        for (x, y), (to_x, to_y) in zip(corners, corners[1:], strict=False):
            if not (0 <= x <= layout.width and 0 <= y <= layout.height):
                yield f"the route {source} -> {target} leaves the picture"
            for node in _near(cells, min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)):
                if _passes((x, y), (to_x, to_y), layout.boxes[node]):
                    yield f"the route {source} -> {target} passes through the box of {node}"


def _port(layout: Layout, node: int, *, leaving: bool) -> tuple[int, int]:
    x, y, width, height = layout.boxes[node]
    if layout.direction == "TD":
        return x + width // 2, y + height if leaving else y
    return x + width if leaving else x, y + height // 2


def _passes(start: tuple[int, int], end: tuple[int, int], box: tuple[int, int, int, int]) -> bool:
    """Whether the segment has a point inside of the box (not on its border): clipping by Liang and Barsky."""
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        delta = end[axis] - start[axis]
        low, high = box[axis] - start[axis], box[axis] + box[axis + 2] - start[axis]
        if delta == 0:
            if low >= 0 or high <= 0:
                return False
        else:
            first, last = sorted((low / delta, high / delta))
            enter, leave = max(enter, first), min(leave, last)
    return leave - enter > 1e-9


_CELL = 200


def _cells(layout: Layout) -> dict[tuple[int, int], list[int]]:
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for node, (x, y, width, height) in enumerate(layout.boxes):
        for column in range(x // _CELL, (x + width) // _CELL + 1):
            for row in range(y // _CELL, (y + height) // _CELL + 1):
                cells[column, row].append(node)
    return cells


def _near(cells: dict[tuple[int, int], list[int]], left: int, top: int, right: int, bottom: int) -> set[int]:
    found: set[int] = set()
    for column in range(left // _CELL, right // _CELL + 1):
        for row in range(top // _CELL, bottom // _CELL + 1):
            found.update(cells.get((column, row), ()))
    return found
