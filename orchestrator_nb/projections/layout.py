"""Layered layout of a graph: one result, shared by SVG, PNG and the widget.

Boxes in layers, edges from left to right (or top to bottom), few crossings, long edges led past the boxes. The steps
are in the modules beside this one: `layout_text` (sizes of labels), `layout_parts` (what is connected), `layout_ranks`,
`layout_order`, `layout_place`, `layout_draw` (boxes and lines). This one puts the parts side by side.

All of it is a function of the graph alone: the same view gives the same picture, anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Literal

import msgspec

from orchestrator_nb.projections.collection import collection_paused
from orchestrator_nb.projections.layout_draw import ASPECT, Canvas, Grid, Part, Spacing
from orchestrator_nb.projections.layout_groups import THRESHOLD, collapse_by_phase
from orchestrator_nb.projections.layout_parts import parts_of
from orchestrator_nb.projections.layout_text import clean, clean_all, text_width, text_widths, wrap
from orchestrator_nb.projections.layout_view import Edge, GraphView, Node
from orchestrator_nb.projections.theme import STATUSES

__all__ = ["THRESHOLD", "Edge", "GraphView", "Layout", "Metrics", "Node", "collapse_by_phase", "layout"]

#: Graphs of more nodes than this are drawn smaller and without captions.
COMFORTABLE_NODES = 80
#: Up to this width a graph is drawn from left to right, unless top to bottom is so much better (as a logarithm of
#: proportions).
PAGE = 2000
BIAS = 0.7


class Metrics(msgspec.Struct, frozen=True):
    """Sizes of what is in and between the boxes, in pixels."""

    #: Size of a label's font, height of its lines; the same of the caption below it.
    font: int
    line: int
    caption: int
    caption_line: int
    #: Room between border and content, the badge's size, room between badge and label.
    pad: int
    badge: int
    space: int
    #: Least distance of boxes in a layer, and of layers.
    between: int
    apart: int
    #: Widest line of a label.
    room: int


COMFORTABLE = Metrics(13, 17, 11, 14, 9, 16, 7, 18, 46, 190)
COMPACT = Metrics(11, 14, 10, 13, 6, 12, 5, 10, 36, 150)
#: Size and widest extent of a phase's name.
NAME = 11
NAME_ROOM = 130
#: Height of the bar in a group's box, with the room above it.
BAR = 12


class Layout(msgspec.Struct, frozen=True):
    """Where everything is, in whole pixels from the upper left corner. Lists are by position in the view."""

    width: int
    height: int
    direction: Literal["LR", "TD"]
    metrics: Metrics
    #: Left, top, width, height of each node's box.
    boxes: list[tuple[int, int, int, int]]
    #: The lines of each node's label and caption.
    labels: list[tuple[str, ...]]
    captions: list[tuple[str, ...]]
    #: For each edge the corners of its line: x, y, x, y, ... from the source's box to the target's.
    routes: list[list[int]]
    #: Nodes by layer, in the order in which they are drawn: the order of reading.
    layers: list[list[int]]
    #: Phases that follow each other along the layers: title, start and end on that axis. Empty where they interleave.
    bands: list[tuple[str, int, int]]


@collection_paused()
def layout(view: GraphView, direction: Literal["auto", "LR", "TD"] = "auto") -> Layout:
    """Lay `view` out from left to right (``LR``), top to bottom (``TD``), or as fits its shape.

    Nothing is grouped: call `collapse_by_phase` before, for graphs that people shall read. Raises `OrchestratorError`
    for a graph with a cycle.
    """
    metrics = COMFORTABLE if len(view.nodes) <= COMFORTABLE_NODES else COMPACT
    spacing = Spacing(metrics.between, metrics.apart)
    labels, captions, widths, heights = _contents(view.nodes, metrics)
    if direction != "TD" and view.phases:
        widths = _room_for_names(view, widths)
    parts = parts_of(view)
    if direction == "auto":
        direction = _direction(parts, widths, heights, spacing)
    down = direction == "TD"
    for part in parts:
        part.place(*((heights, widths) if down else (widths, heights)), spacing)
    sizes = [(part.breadth, part.length) if down else (part.length, part.breadth) for part in parts]
    places, width, height = _pack(sizes, metrics.apart)
    canvas = Canvas(len(view.nodes), down=down)
    for part, (x, y) in zip(parts, places, strict=True):
        part.write(canvas, *((y, x) if down else (x, y)))
    canvas.connect(view.edges)
    for part in parts:
        part.bend(canvas)
    bands = _bands(view, canvas)
    return Layout(
        width, height, direction, metrics, canvas.boxes, labels, captions, canvas.routes, canvas.layers, bands
    )


def _contents(
    nodes: Sequence[Node], metrics: Metrics
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], list[int], list[int]]:
    """For each node the lines of its label, the lines of its caption, and the even width and height of its box."""
    labels: list[tuple[str, ...]] = []
    captions: list[tuple[str, ...]] = []
    widths: list[int] = []
    heights: list[int] = []
    around, badge, single = 2 * metrics.pad + 1, metrics.badge + metrics.space, metrics.line + 2 * metrics.pad
    detailed = metrics is COMFORTABLE
    texts = clean_all([node.label or node.id for node in nodes])
    for node, text, room in zip(nodes, texts, text_widths(texts, metrics.font), strict=True):
        label: tuple[str, ...] = (text,)
        caption: tuple[str, ...] = ()
        width, height = room, single
        if width > metrics.room:
            label = wrap(text, metrics.font, metrics.room)
            width = max([text_width(line, metrics.font) for line in label])
            height += (len(label) - 1) * metrics.line
        if (detailed or node.counts) and (caption := _caption(node, metrics)):
            width = max(width, *[text_width(line, metrics.caption) for line in caption])
            height += len(caption) * metrics.caption_line + (BAR if node.counts else 0)
        labels.append(label)
        captions.append(caption)
        widths.append(int(width + around + (badge if node.status in STATUSES else 0) + 1) & ~1)
        heights.append(height + 1 & ~1)
    return labels, captions, widths, heights


def _caption(node: Node, metrics: Metrics) -> tuple[str, ...]:
    if node.counts:
        total = sum([count for _, count in node.counts])
        known = [(status, count) for status, count in node.counts if status in STATUSES]
        known.sort(key=lambda item: (item[0] != "completed", item[0] != "failed", -item[1]))
        parts = [f"{count} {STATUSES[status].name.lower()}" for status, count in known]
        text = f"{total} tasks{': ' if parts else ''}" + ", ".join([part.replace(" ", "\u00a0") for part in parts])
        return wrap(text, metrics.caption, metrics.room, 3)
    parts = [node.id if node.label and node.label != node.id else "", node.agent if node.agent != "none" else ""]
    text = clean(" · ".join([part for part in parts if part]))
    return wrap(text, metrics.caption, metrics.room, 1) if text else ()


def _room_for_names(view: GraphView, widths: Sequence[int]) -> list[int]:
    """Boxes at least as wide as the name of their phase, which may stand above them."""
    names = {phase: int(min(text_width(clean(title), NAME), NAME_ROOM)) & ~1 for phase, title in view.phases}
    return [max(width, names.get(node.phase, 0)) for node, width in zip(view.nodes, widths, strict=True)]


def _direction(
    parts: Sequence[Part | Grid], widths: Sequence[int], heights: Sequence[int], spacing: Spacing
) -> Literal["LR", "TD"]:
    """From left to right, unless the largest part gets much nearer to good proportions from top to bottom."""
    largest = parts[0] if parts else None
    if not isinstance(largest, Part) or largest.is_thin():
        return "LR"
    length, breadth = largest.extent(widths, heights, spacing)
    misfit = abs(log(length / breadth / ASPECT)) - (BIAS if length <= PAGE else 0.0)
    length, breadth = largest.extent(heights, widths, spacing)
    return "TD" if abs(log(breadth / length / ASPECT)) < misfit else "LR"


def _pack(sizes: Sequence[tuple[int, int]], gap: int) -> tuple[list[tuple[int, int]], int, int]:
    """Where parts of these sizes stand, on shelves in their order; and width and height of it all."""
    area = sum([(width + gap) * (height + gap) for width, height in sizes])
    limit = max([round(sqrt(area * ASPECT)), *[width for width, _ in sizes]], default=0)
    places: list[tuple[int, int]] = []
    x = y = right = bottom = 0
    for width, height in sizes:
        if x and x + width > limit:
            x, y = 0, bottom + gap
        places.append((x, y))
        right, bottom = max(right, x + width), max(bottom, y + height)
        x += width + gap
    return places, right, bottom


def _bands(view: GraphView, canvas: Canvas) -> list[tuple[str, int, int]]:
    """The phases' stretches along the layers, if none overlaps another."""
    if not view.phases:
        return []
    axis = 1 if canvas.down else 0
    spans: dict[str, tuple[int, int]] = {}
    for node, box in zip(view.nodes, canvas.boxes, strict=True):
        low, high = spans.get(node.phase, (box[axis], 0))
        spans[node.phase] = min(low, box[axis]), max(high, box[axis] + box[axis + 2])
    ordered = sorted([(low, high, phase) for phase, (low, high) in spans.items()])
    if any(former[1] >= latter[0] for former, latter in pairwise(ordered)):
        return []
    titles = dict(view.phases)
    return [(titles.get(phase, phase), low, high) for low, high, phase in ordered]
