"""A session's timeline as a matplotlib figure: a Gantt chart with a bar for each attempt. No pyplot, as in `figure`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from orchestrator_nb.projections.layout_glyphs import glyphs
from orchestrator_nb.projections.layout_text import clean, text_width, wrap
from orchestrator_nb.projections.pictures import picture_class
from orchestrator_nb.projections.theme import DARK, LIGHT, STATUSES, Theme
from orchestrator_nb.projections.timeline import INTERRUPTED, Bar, Timeline
from orchestrator_nb.projections.words import count, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

ThemeName = Literal["light", "dark"]
#: Left, top, right, bottom, in pixels.
Box = tuple[float, float, float, float]

#: Pixels to an inch, as in browsers; width of a figure in pixels; how many of them it is drawn with.
DPI, WIDTH, SCALE = 96, 1000, 2
#: Height of a row at best, of all rows together where there are many, and of a row that still has a label.
ROW, ROWS, LABELLED = 20.0, 1200.0, 10.0
#: Thin bars of failed tasks that are marked.
_MOST_CROSSES = 200
#: Lanes that get a heading; more would be longer than what is in them.
_MOST_LANES = 30
_MARGIN, _HEADING, _LABELS = 20, 22, 280
_TITLE, _FONT, _SMALL = 15, 12, 11
#: Distance of the marks on the axis, at least.
_TICK_ROOM = 85
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
          3600, 7200, 14400, 21600, 43200)  # fmt: skip
_DAY = 86400
#: Tasks of the critical path that are named at each of its ends.
_NAMED = 5
#: What tells the bars apart without colours, of those that did not simply complete.
_HATCHES = {"failed": "xxxxx", INTERRUPTED: "/////", "cancelled": "\\\\\\\\\\", "awaiting_approval": ".....",
            "running": "-----"}  # fmt: skip


class _Mark(NamedTuple):
    """A second on the axis, and what it is called."""

    at: float
    label: str


def figure(timeline: Timeline, theme: ThemeName = "light") -> Figure:
    """A new figure as high as the timeline needs; notebooks show it without any magic."""
    dpi = DPI * SCALE
    paper = _theme(theme).paper
    height = _Painter(timeline, _theme(theme), WIDTH).height
    result = picture_class()(figsize=(WIDTH / DPI, height / DPI), dpi=dpi, facecolor=paper)
    draw(result.add_axes((0.0, 0.0, 1.0, 1.0)), timeline, theme)
    return result


def draw(axes: Axes, timeline: Timeline, theme: ThemeName = "light") -> Axes:
    """Draw the timeline into axes that somebody made, filling them."""
    owner = axes.get_figure(root=True)
    assert owner is not None
    extent = axes.get_window_extent()
    width, height = (size / owner.dpi * DPI for size in (extent.width, extent.height))
    _Painter(timeline, _theme(theme), max(width, 2.0 * _MARGIN), height).paint(axes)
    return axes


def _theme(name: ThemeName) -> Theme:
    return DARK if name == "dark" else LIGHT


class _Painter:
    """Places everything, in pixels from the top left; then draws what is of one kind at once."""

    def __init__(self, timeline: Timeline, theme: Theme, width: float, height: float | None = None) -> None:
        """For a picture of `width`, and of `height`, or as high as it likes."""
        self.timeline, self.theme, self.width = timeline, theme, width
        rows = timeline.rows
        self.headings = 1 < len(timeline.lanes) <= _MOST_LANES
        self.about = list(_about(timeline, width - 2 * _MARGIN))
        self.legend = _flow(_entries(timeline), width - 2 * _MARGIN)
        #: Height of a row.
        self.row = min(ROW, ROWS / max(1, len(rows)))
        if height is not None:
            if self.top + self._above + self._below > height / 2 and self._room(height) < LABELLED:
                self.headings, self.about, self.legend = False, [], []  # in small axes words give way to bars
            self.row = min(1.5 * ROW, self._room(height))
        self.bottom = self.top + self._above + max(self.row * len(rows), 10)
        self.height = self.bottom + self._below if height is None else height
        self.labelled = self.row >= LABELLED
        labels = [text_width(row.task, _FONT) for row in rows] if self.labelled else []
        self.left = _MARGIN + (min(max(labels, default=0), _LABELS, width / 3) + 10 if labels else 0)
        self.right = width - _MARGIN
        #: Middle of each task's row, and the bands of lanes: title, top, bottom.
        self.middle: dict[str, float] = {}
        self.bands: list[tuple[str, float, float]] = []
        self._place()
        self.texts: dict[str, list[Path]] = defaultdict(list)

    @property
    def top(self) -> float:
        """Where the bands begin."""
        return _MARGIN + 30 + 17 * len(self.about)

    @property
    def _above(self) -> float:
        """Height of all headings."""
        return _HEADING * len(self.timeline.lanes) if self.headings else 0

    @property
    def _below(self) -> float:
        return 30 + 20 * len(self.legend) + _MARGIN

    def _room(self, height: float) -> float:
        """The height that is left for each row."""
        return max(0.0, height - self.top - self._above - self._below) / max(1, len(self.timeline.rows))

    def _place(self) -> None:
        y = self.top
        for lane in self.timeline.lanes:
            begin = y
            y += _HEADING if self.headings else 0
            for row in lane.rows:
                self.middle[row.task] = y + self.row / 2
                y += self.row
            self.bands.append((lane.title, begin, y))

    def x(self, second: float) -> float:
        """Where a second is."""
        return self.left + (self.right - self.left) * second / (self.timeline.length or 1.0)

    def box(self, bar: Bar) -> Box:
        """Left, top, right, bottom of a bar: what is too short to be seen is as wide as can be seen."""
        left, right = self.x(bar.start), self.x(bar.end)
        half = self.row * (0.34 if self.labelled else 0.5)
        y = self.middle[bar.task]
        return left, y - half, max(right, left + 1.5), y + half

    # -- drawing -------------------------------------------------------------------------------------------------------

    def paint(self, axes: Axes) -> None:
        """Draw everything."""
        self.axes = axes
        axes.set_xlim(0, self.width)
        axes.set_ylim(self.height, 0)
        axes.set_axis_off()
        self.fill([(0, 0, self.width, self.height)], 0, facecolor=self.theme.paper)
        self.head()
        self.surroundings()
        self.bars()
        self.chain()
        self.legend_rows()
        for color, paths in self.texts.items():
            self.add_paths(paths, 7, facecolor=color)

    def head(self) -> None:
        """Title, and what there is to say."""
        title = wrap(clean(self.timeline.title), _TITLE * 1.12, self.width - 2 * _MARGIN, 1)[0]
        self.text(title, _MARGIN, _MARGIN + 12, _TITLE, self.theme.ink, "DejaVuSans-Bold")
        for number, line in enumerate(self.about):
            self.text(line, _MARGIN, _MARGIN + 34 + 17 * number, _SMALL, self.theme.muted)

    def surroundings(self) -> None:
        """Bands and their headings, the axis, the names of the tasks, and where time was cut out."""
        theme = self.theme
        self.fill([(0, top, self.width, bottom) for _, top, bottom in self.bands[::2]], 1, facecolor=theme.band)
        if self.headings:
            for title, top, _ in self.bands:
                line = wrap(clean(title), _SMALL, self.right - _MARGIN, 1)[0]
                self.text(line, _MARGIN, top + 15, _SMALL, theme.muted, "DejaVuSans-Bold")
        marks = list(_marks(self.timeline.length, (self.right - self.left) / _TICK_ROOM))
        places = [self.x(mark.at) for mark in marks]
        heading = _HEADING if self.headings else 0  # no line goes through its words
        grid = [[(x, top + heading), (x, bottom)] for x in places for _, top, bottom in self.bands]
        self.lines(grid, 1.5, edgecolor=theme.line, linewidth=0.5, alpha=0.45)
        ticks = [[(x, self.bottom), (x, self.bottom + 4)] for x in places]
        self.lines(ticks, 1.5, edgecolor=theme.line, linewidth=0.8)
        self.lines([[(self.left, self.bottom), (self.right, self.bottom)]], 1.5, edgecolor=theme.line, linewidth=0.8)
        for mark in marks:
            half = text_width(mark.label, _SMALL) / 2
            at = min(self.x(mark.at) - half, self.right - 2 * half)
            self.text(mark.label, max(at, 2), self.bottom + 18, _SMALL, theme.muted)
        if self.labelled:
            size = min(_FONT, self.row * 0.72)
            for row in self.timeline.rows:
                label = wrap(row.task, size, self.left - _MARGIN - 8, 1)[0]
                end = self.left - 8 - text_width(label, size)
                self.text(label, end, self.middle[row.task] + size * 0.36, size, theme.ink)
        cuts = [[(self.x(cut.at), self.top - 4), (self.x(cut.at), self.bottom)] for cut in self.timeline.breaks]
        self.lines(cuts, 4, edgecolor=theme.ink, linewidth=1.0, linestyle=(0, (2, 3)))

    def bars(self) -> None:
        """All bars, kind by kind; where a task was tried again, a line from one attempt to the next."""
        kinds: dict[str, list[Box]] = defaultdict(list)
        gaps = []
        for row in self.timeline.rows:
            for bar in row.bars:
                kinds[bar.status].append(self.box(bar))
            y = self.middle[row.task]
            for bar, after in pairwise(row.bars):
                gaps.append([(self.x(bar.end), y), (self.x(after.start), y)])
        if self.labelled:
            self.lines(gaps, 3, edgecolor=self.theme.color("retrying"), linewidth=1.2, linestyle=(0, (2, 1.5)))
        for status, boxes in kinds.items():
            self.fill(boxes, 3.5, **self.look(status, self.labelled))
        if not self.labelled:  # hatches are not seen on bars so thin
            ends = [self.box(row.bars[-1]) for row in self.timeline.rows if row.bars[-1].status == "failed"]
            self.crosses([(right, (top + bottom) / 2) for _, top, right, bottom in ends])

    def crosses(self, places: list[tuple[float, float]]) -> None:
        """Mark the ends of tasks that failed for good, unless the marks would hide the rest."""
        if len(places) <= _MOST_CROSSES:
            down = [[(x - 3, y - 3), (x + 3, y + 3)] for x, y in places]
            up = [[(x - 3, y + 3), (x + 3, y - 3)] for x, y in places]
            self.lines(down + up, 6, edgecolor=self.theme.color("failed"), linewidth=1.2)

    def look(self, status: str, hatched: bool) -> dict[str, Any]:
        """How a bar is filled."""
        color = self.theme.color("cancelled" if status == INTERRUPTED else status)
        if not hatched or status not in _HATCHES:
            return {"facecolor": color}
        fill = self.theme.fill("cancelled" if status == INTERRUPTED else status)
        return {"facecolor": fill, "edgecolor": color, "linewidth": 0.8, "hatch": _HATCHES[status]}

    def chain(self) -> None:
        """The critical path: a frame around each of its bars, and lines between them."""
        theme, chain = self.theme, self.timeline.critical
        frames = [_grown(self.box(bar), 1.2 if self.labelled else 0.0) for bar in chain]
        steps = [_step(before, after) for before, after in pairwise(frames)]
        self.lines(steps, 5, edgecolor=theme.critical, linewidth=1.2)
        if self.labelled:
            self.fill(frames, 5, edgecolor=theme.critical, linewidth=1.4)
        else:  # frames would hide bars so thin
            middles = [[(left, (top + bottom) / 2), (right, (top + bottom) / 2)] for left, top, right, bottom in frames]
            self.lines(middles, 5, edgecolor=theme.critical, linewidth=1.8)

    def legend_rows(self) -> None:
        """What the bars mean."""
        theme = self.theme
        for number, entries in enumerate(self.legend):
            y = self.bottom + 44 + 20 * number
            for x, key, label in entries:
                left = _MARGIN + x
                if key == "critical":
                    self.lines([[(left, y - 4), (left + 22, y - 4)]], 5, edgecolor=theme.critical, linewidth=1.8)
                elif key == "break":
                    style = {"linewidth": 1.0, "linestyle": (0, (2, 3))}
                    self.lines([[(left + 11, y - 11), (left + 11, y + 3)]], 5, edgecolor=theme.ink, **style)
                else:
                    self.fill([(left, y - 10, left + 22, y + 2)], 5, **self.look(key, self.labelled))
                self.text(label, left + 28, y, _SMALL, theme.muted)

    # -- primitives ----------------------------------------------------------------------------------------------------

    def text(self, text: str, x: float, y: float, size: float, color: str, font: str = "DejaVuSans") -> None:
        """A line of text with its base line at y."""
        self.texts[color].append(glyphs(font).path(text, x, y, size))

    def fill(self, boxes: Iterable[Box], order: float, **style: Any) -> None:
        """Rectangles: left, top, right, bottom."""
        from matplotlib.collections import PolyCollection

        corners = [[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in boxes]
        if corners:
            style = {"facecolor": "none", "edgecolor": "none", "linewidth": 0, **style}
            self.axes.add_collection(PolyCollection(corners, zorder=order, **style), autolim=False)

    def lines(self, lines: list[list[tuple[float, float]]], order: float, edgecolor: str, **style: Any) -> None:
        """Lines through points."""
        from matplotlib.collections import LineCollection

        if lines:
            collection = LineCollection(lines, colors=edgecolor, zorder=order, **style)
            self.axes.add_collection(collection, autolim=False)

    def add_paths(self, paths: list[Path], order: float, facecolor: str) -> None:
        """Outlines, filled."""
        from matplotlib.collections import PathCollection

        collection = PathCollection(paths, zorder=order, facecolor=facecolor, linewidth=0)
        self.axes.add_collection(collection, autolim=False)


def _grown(box: Box, by: float) -> Box:
    left, top, right, bottom = box
    return left - by, top - by, right + by, bottom + by


def _step(before: Box, after: Box) -> list[tuple[float, float]]:
    """A line from the end of one box to the beginning of another: along, then up or down."""
    middle = (before[1] + before[3]) / 2
    x = max(before[2], after[0])
    if before[1] == after[1]:  # the same row
        return [(before[2], middle), (x, middle)]
    return [(before[2], middle), (x, middle), (x, after[1] if after[1] > before[1] else after[3])]


def _about(timeline: Timeline, room: float) -> Iterator[str]:
    """The lines below the title."""
    rows = timeline.rows
    attempts = sum(1 for row in rows for bar in row.bars if bar.status != "awaiting_approval")
    parts = [count(len(rows), "task"), duration(timeline.length)]
    if attempts > len(rows):
        parts.insert(1, count(attempts, "attempt"))
    if timeline.taken_over:
        parts.append(f"{timeline.taken_over:,} taken over from another session")
    if timeline.not_started:
        parts.append(f"{timeline.not_started:,} not started")
    for cut in timeline.breaks[:3]:
        parts.append(f"resumed after a break of {duration(cut.seconds)}")
    yield from wrap(" · ".join(parts), _SMALL, room)
    if timeline.critical:
        names = list(dict.fromkeys(bar.task for bar in timeline.critical))
        took = duration(sum(bar.seconds for bar in timeline.critical))
        if len(names) > 2 * _NAMED:
            names[_NAMED:-_NAMED] = [f"… {len(names) - 2 * _NAMED:,} more …"]
        yield from wrap(f"Critical path {took}: {' → '.join(names)}", _SMALL, room)


def _entries(timeline: Timeline) -> list[tuple[str, str]]:
    """What the legend explains: key and words."""
    present = {bar.status for row in timeline.rows for bar in row.bars}
    names = {**{status: style.name for status, style in STATUSES.items()}, INTERRUPTED: "Interrupted"}
    entries = [(status, name) for status, name in names.items() if status in present]
    if timeline.critical:
        entries.append(("critical", "Critical path"))
    if timeline.breaks:
        entries.append(("break", "Resumed"))
    return entries


def _flow(entries: list[tuple[str, str]], room: float) -> list[list[tuple[float, str, str]]]:
    """The legend's lines: of each entry its distance from the left, key and words."""
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = 0.0
    for key, words in entries:
        needed = 28 + text_width(words, _SMALL) + 22
        if lines[-1] and x + needed > room:
            lines.append([])
            x = 0.0
        lines[-1].append((x, key, words))
        x += needed
    return [line for line in lines if line]


def _marks(length: float, most: float) -> Iterator[_Mark]:
    """Round times on the axis, at most so many."""
    step = next((step for step in _STEPS if length / step <= most), 0.0)
    if not step:
        step = _DAY * max(1, round(length / _DAY / max(most, 1) + 0.5))
    for number in range(int(length / step + 1e-9) + 1):
        yield _Mark(number * step, _time(number * step, step))


def _time(second: float, step: float) -> str:
    """``0``, ``20ms``, ``1.5s``, ``2m 30s``, ``1h``, ``3d``: as exact as the step between the marks."""
    if not second:
        return "0"
    if step < 1:
        return f"{second * 1000:.0f}ms" if second < 1 else f"{second:.3f}".rstrip("0").rstrip(".") + "s"
    whole = round(second)
    parts = ((whole // _DAY, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)
