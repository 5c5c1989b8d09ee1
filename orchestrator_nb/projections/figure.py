"""The graph as a matplotlib figure, and as PNG: the same layout as the SVG, one collection for each kind of thing.

matplotlib is imported when a picture is asked for. No pyplot: nothing global is touched, no window is opened.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from io import BytesIO
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from orchestrator_nb.projections.layout import GraphView, Layout, collapse_by_phase, layout
from orchestrator_nb.projections.layout_frame import MARGIN, SMALL, TITLE, Frame, frame, inside
from orchestrator_nb.projections.layout_glyphs import glyphs
from orchestrator_nb.projections.layout_lines import CURVED, curved
from orchestrator_nb.projections.pictures import picture_class
from orchestrator_nb.projections.theme import DARK, LIGHT, PLAIN, STATUSES, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

#: Pixels to an inch, as in browsers.
DPI = 96
#: Pictures of more pixels than this are made smaller.
MOST_PIXELS = 16_000_000
#: Labels are left out where they would be smaller than this many pixels.
LEAST_FONT = 4.0
_PART = re.compile(r"[MLQCZ]|-?[\d.]+")


class Look(TypedDict, total=False):
    """How the picture looks: arguments of all functions here, as of `svg.svg`."""

    #: Colours; light when left out.
    theme: Literal["light", "dark"]
    #: Heading; the view's when left out, none when empty.
    title: str
    #: Whether the statuses are explained below the graph, whether the critical path stands out; yes when left out.
    legend: bool
    critical: bool


def figure(layout: Layout, view: GraphView, **look: Unpack[Look]) -> Figure:
    """A new figure of the graph's own size, with the whole picture."""
    return _figure(layout, view, 1.0, look)


def png(layout: Layout, view: GraphView, *, scale: float = 2.0, **look: Unpack[Look]) -> bytes:
    """The picture as PNG with `scale` pixels to each of the layout's, fewer where it would be huge."""
    return _palette_png(_figure(layout, view, scale, look), _theme(look).paper)


def picture(view: GraphView, scale: float) -> bytes:
    """The PNG of a graph that nobody can move in: a large one by its groups."""
    small = collapse_by_phase(view)
    return png(layout(small), small, scale=scale)


def draw(axes: Axes, layout: Layout, view: GraphView, **look: Unpack[Look]) -> Axes:
    """Draw the picture into axes that somebody made, as large as fits without changing its proportions."""
    around = _frame(layout, view, look)
    extent = axes.get_window_extent()
    pixels = min(extent.width / around.width, extent.height / around.height)
    owner = axes.get_figure(root=True)
    axes.set_aspect("equal")
    painter = _Painter(axes, layout, view, _theme(look), pixels)
    painter.paint(around, 72 / (owner.dpi if owner else DPI), critical=look.get("critical", True))
    return axes


def _figure(layout: Layout, view: GraphView, scale: float, look: Look) -> Figure:
    around = _frame(layout, view, look)
    pixels = min(scale, sqrt(MOST_PIXELS / (around.width * around.height)))
    dpi = DPI * scale
    size = around.width * pixels / dpi, around.height * pixels / dpi
    result = picture_class()(figsize=size, dpi=dpi, facecolor=_theme(look).paper)
    painter = _Painter(result.add_axes((0.0, 0.0, 1.0, 1.0)), layout, view, _theme(look), pixels)
    painter.paint(around, 72 / dpi, critical=look.get("critical", True))
    return result


def _frame(layout: Layout, view: GraphView, look: Look) -> Frame:
    title, legend, critical = look.get("title", view.title), look.get("legend", True), look.get("critical", True)
    return frame(layout, view, title=title, legend=legend, critical=critical)


def _theme(look: Look) -> Theme:
    return DARK if look.get("theme") == "dark" else LIGHT


def _palette_png(picture: Figure, paper: str) -> bytes:
    """PNG with a palette: a few flat colours and their blends need no more, at a third of the size."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(picture)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = image.getpalette() or []
    corner = image.getpixel((0, 0))
    if isinstance(corner, int):  # the colour of the paper, exactly
        palette[3 * corner : 3 * corner + 3] = bytes.fromhex(paper[1:])
        image.putpalette(palette)
    buffer = BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


class _Painter:
    """Collects paths by kind, then adds each kind to the axes at once."""

    def __init__(self, axes: Axes, layout: Layout, view: GraphView, theme: Theme, pixels: float) -> None:
        """Draw with so many `pixels` to one of the layout."""
        self.axes, self.layout, self.view, self.theme, self.pixels = axes, layout, view, theme, pixels
        self.readable = layout.metrics.font * pixels >= LEAST_FONT
        self.texts: dict[str, list[Path]] = defaultdict(list)
        self.fills: dict[str, list[Path]] = defaultdict(list)
        self.marks: list[Path] = []
        self.full: list[Path] = []

    def paint(self, around: Frame, points: float, *, critical: bool) -> None:
        """Draw everything, with so many `points` to a pixel of the picture."""
        #: Of a line that is one pixel of the layout wide.
        self.width = self.pixels * points
        self.axes.set_xlim(0, around.width)
        self.axes.set_ylim(around.height, 0)
        self.axes.set_axis_off()
        self.add([_box(0, 0, around.width, around.height, 0)], 0, facecolor=self.theme.paper)
        self.surroundings(around)
        self.lines(around.left, around.top, critical=critical)
        self.boxes(around.left, around.top, critical=critical)
        for color, paths in self.fills.items():
            self.add(paths, 4, facecolor=color)
        self.add(self.full, 5, facecolor=self.theme.paper)
        self.add(self.marks, 5, edgecolor=self.theme.paper, linewidth=1.6 * self.width, capstyle="round")
        for color, paths in self.texts.items():
            self.add(paths, 6, facecolor=color)

    def add(self, paths: Sequence[Any], order: float, **style: Any) -> None:
        """Add a collection of paths, or of lists of corners; without a colour it has no area, or no border."""
        from matplotlib.collections import LineCollection, PathCollection, PolyCollection

        if not len(paths):
            return
        style = {"facecolor": "none", "edgecolor": "none", "linewidth": 0, "zorder": order, "clip_on": False, **style}
        if hasattr(paths[0], "codes"):
            collection: Any = PathCollection(paths, **style)
        elif style["facecolor"] == "none":
            collection = LineCollection(paths, **style)
        else:
            collection = PolyCollection(paths, **style)
        self.axes.add_collection(collection, autolim=False)

    def surroundings(self, around: Frame) -> None:
        """Title, bands and legend."""
        theme = self.theme
        self.add([_box(b.x, b.y, b.width, b.height, 8) for b in around.bands], 1, facecolor=theme.band)
        for band in around.bands:
            self.text(band.text, band.text_x, band.text_y, SMALL, theme.muted)
        if around.title:
            path = glyphs("DejaVuSans-Bold").path(around.title, MARGIN, around.title_y, TITLE)
            self.texts[theme.ink].append(path)
        for x, y, sample, text in around.entries:
            self.text(text, x + 24, y, SMALL, theme.muted)
            line = _path(f"M{x} {y - 4}L{x + 18} {y - 4}")
            if sample == "critical":
                self.add([line], 2, edgecolor=theme.critical, linewidth=2.4 * self.width)
            elif sample == "sequential":
                self.add([line], 2, edgecolor=theme.line, linewidth=1.2 * self.width, linestyle=(0, (4, 3)))
            elif sample in STATUSES:
                self.badge(sample, x + 2, y - 11, 14)
            else:
                self.fills[theme.color("")].append(_box(x + 2, y - 11, 14, 14, 3))

    def text(self, text: str, x: float, y: float, size: float, color: str) -> None:
        """A line of text, if it is large enough to be read."""
        if self.readable:
            self.texts[color].append(glyphs().path(text, x, y, size))

    def badge(self, status: str, x: float, y: float, size: float) -> None:
        """A status's badge and mark, in a square of this size."""
        style = STATUSES[status]
        self.fills[self.theme.color(status)].append(_path(style.shape, x, y, size / 16))
        mark = _path(style.mark, x, y, size / 16)
        self.marks.append(mark)
        if style.mark.endswith("Z"):
            self.full.append(mark)

    def lines(self, left: int, top: int, *, critical: bool) -> None:
        """Lines by kind, then their heads; the critical path on top."""
        import numpy as np

        layout, view, theme = self.layout, self.view, self.theme
        down = layout.direction == "TD"
        path = set(zip(view.critical, view.critical[1:], strict=False)) if critical else set()
        mixed = len({kind for _, _, kind in view.edges}) > 1
        kinds: dict[str, list[Any]] = {"line": [], "order": [], "path": []}
        smooth = len(view.edges) <= CURVED
        for (source, target, kind), route in zip(view.edges, layout.routes, strict=True):
            name = "path" if (source, target) in path else "order" if mixed and kind == "sequential" else "line"
            if smooth:
                kinds[name].append(_path(curved(route, down=down), left, top))
            else:
                kinds[name].append(np.array(route).reshape(-1, 2) + np.array((left, top)))
        thin, thick = 1.2 * self.width, 2.4 * self.width
        self.add(kinds["line"], 2, edgecolor=theme.line, linewidth=thin)
        self.add(kinds["order"], 2, edgecolor=theme.line, linewidth=thin, linestyle=(0, (4, 3)))
        self.add(self.heads({target for _, target, _ in view.edges}, left, top), 2, facecolor=theme.line)
        self.add(kinds["path"], 2.5, edgecolor=theme.critical, linewidth=thick)
        self.add(self.heads(view.critical[1:] if path else (), left, top), 2.5, facecolor=theme.critical)

    def heads(self, targets: Iterable[int], left: int, top: int) -> Any:
        """An arrow at the box of each target."""
        import numpy as np

        boxes = np.array([self.layout.boxes[target] for target in targets]).reshape(-1, 4)
        if self.layout.direction == "TD":
            points = boxes[:, :2] + np.stack([boxes[:, 2] // 2, 0 * boxes[:, 2]], axis=1)
            corners = np.array([(0, 0), (-4, -7), (4, -7)])
        else:
            points = boxes[:, :2] + np.stack([0 * boxes[:, 3], boxes[:, 3] // 2], axis=1)
            corners = np.array([(0, 0), (-7, -4), (-7, 4)])
        return points[:, None, :] + np.array((left, top)) + corners

    def boxes(self, left: int, top: int, *, critical: bool) -> None:
        """Boxes with what is in them."""
        view, theme = self.view, self.theme
        paths: list[Any] = []
        styles: list[str] = []
        box = _box if self.readable else _corners
        for index, (node, (x, y, width, height)) in enumerate(zip(view.nodes, self.layout.boxes, strict=True)):
            if node.counts:
                paths.append(box(x + left + 4, y + top + 4, width, height, 6))
                styles.append(node.status)
            paths.append(box(x + left, y + top, width, height, 6))
            styles.append(node.status)
            if self.readable:
                self.content(index, x + left, y + top)
        fill = {status: self.theme.fill(status) for status in set(styles)}
        edge = {status: self.theme.color(status) for status in fill}
        dash = {status: (0, (3, 2)) if STATUSES.get(status, PLAIN).dashed else "solid" for status in fill}
        self.add(
            paths,
            3,
            facecolor=[fill[status] for status in styles],
            edgecolor=[edge[status] for status in styles],
            linewidth=self.width,
            linestyle=[dash[status] for status in styles] if self.readable else "solid",
        )
        rings = [self.layout.boxes[node] for node in (view.critical if critical else ())]
        ring_paths = [_box(x + left - 3, y + top - 3, w + 6, h + 6, 8) for x, y, w, h in rings]
        self.add(ring_paths, 3, edgecolor=theme.critical, linewidth=1.6 * self.width)

    def content(self, index: int, x: int, y: int) -> None:
        """Badge, label, caption and bar of one box with its corner at (x, y)."""
        node, metrics = self.view.nodes[index], self.layout.metrics
        label, caption = self.layout.labels[index], self.layout.captions[index]
        _, _, width, height = self.layout.boxes[index]
        at = inside(metrics, node, height, len(label), len(caption))
        if node.status in STATUSES:
            self.badge(node.status, x + metrics.pad, y + at.badge_y, metrics.badge)
        for line, base in zip(label, at.label, strict=True):
            self.text(line, x + at.text_x, y + base, metrics.font, self.theme.ink)
        for line, base in zip(caption, at.caption, strict=True):
            self.text(line, x + at.text_x, y + base, metrics.caption, self.theme.muted)
        total = sum([count for _, count in node.counts])
        done, room = 0, width - 2 * metrics.pad
        for status, count in node.counts:
            start, done = room * done / total, done + count
            part = _box(x + metrics.pad + start, y + at.bar_y, room * done / total - start, 6, 0)
            self.fills[self.theme.color(status)].append(part)


def _box(x: float, y: float, width: float, height: float, radius: float) -> Path:
    """A rectangle with round corners."""
    right, bottom, r = x + width, y + height, radius
    if not r:
        return _path(f"M{x} {y}L{right} {y}L{right} {bottom}L{x} {bottom}Z")
    return _path(
        f"M{x + r} {y}L{right - r} {y}Q{right} {y} {right} {y + r}L{right} {bottom - r}"
        f"Q{right} {bottom} {right - r} {bottom}L{x + r} {bottom}Q{x} {bottom} {x} {bottom - r}"
        f"L{x} {y + r}Q{x} {y} {x + r} {y}Z"
    )


def _corners(x: float, y: float, width: float, height: float, _: float) -> Any:
    """A rectangle so small that its corners' form is not seen."""
    import numpy as np

    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])


def _path(data: str, x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> Path:
    """Path data of SVG (absolute M, L, Q, C, Z; further points after M are lines), moved to (x, y) and scaled."""
    import numpy as np
    from matplotlib.path import Path

    kinds = {"M": Path.LINETO, "L": Path.LINETO, "Q": Path.CURVE3, "C": Path.CURVE4}
    numbers: list[float] = []
    codes: list[Any] = []
    start, kind = 0, Path.LINETO
    for part in _PART.findall(data):
        if part == "Z":
            numbers += numbers[start : start + 2]
            codes.append(Path.CLOSEPOLY)
        elif part in kinds:
            kind = kinds[part]
            if part == "M":
                start = len(numbers)
        else:
            numbers.append(float(part))
            if len(numbers) % 2 == 0:
                codes.append(Path.MOVETO if len(numbers) - 2 == start else kind)
    return Path(np.array(numbers).reshape(-1, 2) * scale + np.array((x, y)), codes)
