"""What stands around the graph in a picture: margins, title, names of phases, legend. Shared by SVG and PNG."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from orchestrator_nb.projections.layout import BAR, NAME, NAME_ROOM, GraphView, Layout, Metrics, Node
from orchestrator_nb.projections.layout_text import clean, text_width, wrap
from orchestrator_nb.projections.theme import PLAIN, STATUSES

MARGIN = 24
#: Sizes of fonts.
TITLE = 16
SMALL = NAME
#: Height of a line of the legend, of the strip for names of phases.
LEGEND_LINE = 24
BAND_STRIP = 26
LEAST_WIDTH = 320


class Entry(NamedTuple):
    """One line of the legend: `sample` is a status, or ``critical`` or ``sequential`` for lines."""

    x: int
    y: int
    sample: str
    text: str


class Band(NamedTuple):
    """The background of a phase, and its name."""

    x: int
    y: int
    width: int
    height: int
    #: Where the name begins: its base line.
    text_x: int
    text_y: int
    text: str


class Frame(NamedTuple):
    """The whole picture's size, where the graph begins in it, and what is around it."""

    width: int
    height: int
    left: int
    top: int
    #: Base line of the title; empty without one.
    title_y: int
    title: str
    bands: list[Band]
    entries: list[Entry]
    #: How many tasks have which status, those in groups included.
    counts: Counter[str]


class Inside(NamedTuple):
    """Where the content of a box is, from its upper left corner."""

    badge_y: int
    text_x: int
    #: Base lines of the label's and the caption's lines; upper end of the bar.
    label: tuple[int, ...]
    caption: tuple[int, ...]
    bar_y: int


def inside(metrics: Metrics, node: Node, height: int, label: int, caption: int) -> Inside:
    """Where badge, `label` and `caption` lines and bar stand in a box of this height: in its middle."""
    content = label * metrics.line + caption * metrics.caption_line + (BAR if node.counts else 0)
    top = (height - content) // 2
    below = top + label * metrics.line
    return Inside(
        top + (metrics.line - metrics.badge) // 2,
        metrics.pad + (metrics.badge + metrics.space if node.status in STATUSES else 0),
        tuple([top + metrics.line * line + metrics.line * 3 // 4 for line in range(label)]),
        tuple([below + metrics.caption_line * line + metrics.caption_line * 3 // 4 for line in range(caption)]),
        top + content - BAR // 2,
    )


def frame(layout: Layout, view: GraphView, *, title: str, legend: bool, critical: bool) -> Frame:
    """Arrange title, bands, graph and legend so that nothing lies on anything else."""
    down = layout.direction == "TD"
    names = [clean(name) for name, _, _ in layout.bands]
    column = round(max([min(text_width(name, SMALL), NAME_ROOM) for name in names], default=0)) + 20
    before = (column if down else 0) if names else 0
    width = max(layout.width + before + 2 * MARGIN, LEAST_WIDTH)
    heading = wrap(clean(title), TITLE, width - 2 * MARGIN, 1)[0] if title else ""
    top = MARGIN + (TITLE + (24 if names else 16) if heading else 0) + (BAND_STRIP if names and not down else 0)
    left = before + (width - before - layout.width) // 2
    bands = [
        _column(name, start, end, top=top, width=width)
        if down
        else _strip(layout, name, start, end, left=left, top=top)
        for name, (_, start, end) in zip(names, layout.bands, strict=True)
    ]
    bottom = top + layout.height + MARGIN + (10 if names else 0)
    counts = _count_statuses(view)
    entries = _legend(view, counts, bottom, width, critical=critical) if legend else []
    height = max([entry.y for entry in entries], default=bottom - MARGIN) + MARGIN
    return Frame(width, height, left, top, MARGIN + TITLE, heading, bands, entries, counts)


def _count_statuses(view: GraphView) -> Counter[str]:
    counts = Counter([node.status for node in view.nodes if not node.counts])
    for node in view.nodes:
        for status, count in node.counts:
            counts[status] += count
    return counts


def _strip(layout: Layout, name: str, start: int, end: int, *, left: int, top: int) -> Band:
    x, width = left + start - 10, end - start + 20
    text = wrap(name, SMALL, width - 8, 1)[0]
    return Band(x, top - BAND_STRIP, width, layout.height + BAND_STRIP + 10, x + 8, top - 10, text)


def _column(name: str, start: int, end: int, *, top: int, width: int) -> Band:
    y, height = top + start - 10, end - start + 20
    return Band(MARGIN - 10, y, width - 2 * MARGIN + 20, height, MARGIN, y + 18, wrap(name, SMALL, NAME_ROOM, 1)[0])


def _legend(view: GraphView, counts: Counter[str], top: int, width: int, *, critical: bool) -> list[Entry]:
    items = [(status, f"{style.name} {counts[status]}") for status, style in STATUSES.items() if counts[status]]
    if items and (rest := counts.total() - sum([counts[status] for status in STATUSES])):
        items.append(("", f"{PLAIN.name} {rest}"))
    if critical and view.critical:
        items.append(("critical", "Critical path"))
    if len({kind for _, _, kind in view.edges}) > 1:
        items.append(("sequential", "Order only"))
    entries: list[Entry] = []
    x, y = MARGIN, top + 12
    for sample, text in items:
        room = round(text_width(text, SMALL)) + 44
        if x > MARGIN and x + room > width - MARGIN:
            x, y = MARGIN, y + LEGEND_LINE
        entries.append(Entry(x, y, sample, text))
        x += room
    return entries
