"""The graph as one self-contained SVG: no script, no font, no address outside of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

from orchestrator_nb.projections.collection import collection_paused
from orchestrator_nb.projections.layout import GraphView, Layout, Metrics, Node
from orchestrator_nb.projections.layout_frame import MARGIN, SMALL, TITLE, Frame, Inside, frame, inside
from orchestrator_nb.projections.layout_lines import CURVED, cornered, curved, joined
from orchestrator_nb.projections.layout_text import clean
from orchestrator_nb.projections.theme import DARK, LIGHT, PLAIN, STATUSES, Theme

FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif"
_SEPARATOR = "\x1f"


@collection_paused()
def svg(
    layout: Layout,
    view: GraphView,
    *,
    theme: Literal["auto", "light", "dark"] = "auto",
    title: str | None = None,
    legend: bool = True,
    critical: bool = True,
) -> str:
    """Draw `view` as laid out.

    Args:
        layout: Where everything is: of this very view.
        view: What is drawn; its texts are escaped here.
        theme: Colours; ``auto`` follows the reader's preference.
        title: Heading; the view's when None, none when empty.
        legend: Whether the statuses are explained below the graph.
        critical: Whether the critical path stands out.
    """
    title = view.title if title is None else title
    around = frame(layout, view, title=title, legend=legend, critical=critical)
    prefix = f"og-{theme}"
    used = {*around.counts, *[node.status for node in view.nodes]}
    statuses = ["", *[status for status in STATUSES if status in used]]
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{prefix}" role="img" '
            f'aria-label="{escape(_summary(around.counts, title))}" '
            f'width="{around.width}" height="{around.height}" viewBox="0 0 {around.width} {around.height}">',
            f"<style>{_styles(theme, prefix, statuses, layout.metrics)}</style>",
            f"<defs>{''.join([_symbol(prefix, status) for status in statuses if status])}</defs>",
            '<rect class="paper" width="100%" height="100%"/>',
            *_heading(around),
            f'<g transform="translate({around.left} {around.top})">',
            *_lines(layout, view, critical=critical),
            *_boxes(layout, view, prefix, critical=critical),
            "</g>",
            *_legend(around, prefix),
            "</svg>\n",
        ]
    )


def _summary(counts: Counter[str], title: str) -> str:
    parts = [f"{counts[status]} {style.name.lower()}" for status, style in STATUSES.items() if counts[status]]
    return clean(f"{title or 'Graph'}: {', '.join([f'{counts.total()} tasks', *parts])}")


# -- style -------------------------------------------------------------------------------------------------------------


def _styles(theme: str, prefix: str, statuses: Sequence[str], metrics: Metrics) -> str:
    fixed = (
        f".{prefix}{{font-family:{FONT};font-size:{metrics.font}px}}"
        f".{prefix} .caption{{font-size:{metrics.caption}px}}.{prefix} .small{{font-size:{SMALL}px}}"
        f".{prefix} .title{{font-size:{TITLE}px;font-weight:600}}"
        f".{prefix} .line{{fill:none;stroke-width:1.2;stroke-linejoin:round}}.{prefix} .order{{stroke-dasharray:5 4}}"
        f".{prefix} .path{{stroke-width:2.4}}.{prefix} g>.ring{{fill:none;stroke-width:1.6}}"
        f".{prefix}-mark{{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}}"
        + "".join([f".{prefix} .s-{s}>rect{{stroke-dasharray:4 3}}" for s in statuses if STATUSES.get(s, PLAIN).dashed])
    )
    if theme == "auto":
        dark = _colors(DARK, prefix, statuses)
        return f"{fixed}{_colors(LIGHT, prefix, statuses)}@media (prefers-color-scheme:dark){{{dark}}}"
    return fixed + _colors(DARK if theme == "dark" else LIGHT, prefix, statuses)


def _colors(theme: Theme, prefix: str, statuses: Iterable[str]) -> str:
    rules = {
        ".paper": f"fill:{theme.paper}",
        ".band": f"fill:{theme.band}",
        "text": f"fill:{theme.ink}",
        ".caption": f"fill:{theme.muted}",
        ".small": f"fill:{theme.muted}",
        ".line": f"stroke:{theme.line}",
        ".head": f"fill:{theme.line}",
        ".path": f"stroke:{theme.critical}",
        ".path-head": f"fill:{theme.critical}",
    }
    for status in statuses:
        rules[f".s-{status}>rect"] = f"fill:{theme.fill(status)};stroke:{theme.color(status)}"
    rules["g>.ring"] = f"fill:none;stroke:{theme.critical};stroke-dasharray:none"
    # Styles of what <use> repeats must not name what is around it.
    badges = [f".{prefix}-b-{status}{{fill:{theme.color(status)}}}" for status in statuses]
    badges.append(f".{prefix}-mark{{stroke:{theme.paper}}}.{prefix}-full{{fill:{theme.paper}}}")
    return "".join([*[f".{prefix} {selector}{{{rule}}}" for selector, rule in rules.items()], *badges])


def _symbol(prefix: str, status: str) -> str:
    style = STATUSES[status]
    mark = f"{prefix}-mark {prefix}-full" if style.mark.endswith("Z") else f"{prefix}-mark"
    return (
        f'<symbol id="{prefix}-{status}" viewBox="0 0 16 16">'
        f'<path class="{prefix}-b-{status}" d="{style.shape}"/><path class="{mark}" d="{style.mark}"/></symbol>'
    )


# -- what stands around the graph --------------------------------------------------------------------------------------


def _heading(around: Frame) -> list[str]:
    parts = [
        f'<rect class="band" x="{band.x}" y="{band.y}" width="{band.width}" height="{band.height}" rx="8"/>'
        f'<text class="small" x="{band.text_x}" y="{band.text_y}">{escape(band.text, quote=False)}</text>'
        for band in around.bands
    ]
    if around.title:
        title = escape(around.title, quote=False)
        parts.append(f'<text class="title" x="{MARGIN}" y="{around.title_y}">{title}</text>')
    return parts


def _legend(around: Frame, prefix: str) -> list[str]:
    parts = []
    for x, y, sample, text in around.entries:
        if sample in ("critical", "sequential"):
            kind = "line path" if sample == "critical" else "line order"
            parts.append(f'<path class="{kind}" d="M{x} {y - 4}h18"/>')
        elif sample:
            parts.append(f'<use href="#{prefix}-{sample}" x="{x + 2}" y="{y - 11}" width="14" height="14"/>')
        else:
            parts.append(f'<g class="s-"><rect x="{x + 2}" y="{y - 11}" width="14" height="14" rx="3"/></g>')
        parts.append(f'<text class="small" x="{x + 24}" y="{y}">{escape(text, quote=False)}</text>')
    return parts


# -- lines -------------------------------------------------------------------------------------------------------------


def _lines(layout: Layout, view: GraphView, *, critical: bool) -> list[str]:
    """One path for all lines of a kind, one for their heads; the critical path on top."""
    path = set(zip(view.critical, view.critical[1:], strict=False)) if critical else set()
    kinds: dict[str, list[list[int]]] = {"line": [], "line order": [], "line path": []}
    mixed = len({kind for _, _, kind in view.edges}) > 1
    if path or mixed:
        for (source, target, kind), route in zip(view.edges, layout.routes, strict=True):
            ordered = "line order" if mixed and kind == "sequential" else "line"
            kinds["line path" if (source, target) in path else ordered].append(route)
    else:
        kinds["line"] = layout.routes
    ends = {target for _, target, _ in view.edges}
    smooth = len(view.edges) <= CURVED
    down = layout.direction == "TD"
    parts = []
    for kind, routes in kinds.items():
        if kind == "line path":
            parts.append(f'<path class="head" d="{_heads(layout, sorted(ends))}"/>')
        if routes:
            drawn = "".join([curved(route, down=down) for route in routes]) if smooth else cornered(routes)
            parts.append(f'<path class="{kind}" d="{drawn}"/>')
    if kinds["line path"]:
        parts.append(f'<path class="path-head" d="{_heads(layout, view.critical[1:])}"/>')
    return parts


def _heads(layout: Layout, targets: Iterable[int]) -> str:
    """An arrow at the box of each target: all lines arrive at the middle of one side."""
    boxes = [layout.boxes[target] for target in targets]
    if not boxes:
        return ""
    if layout.direction == "TD":
        points, form = [(x + width // 2, y) for x, y, width, _ in boxes], "l-4-7h8z"
    else:
        points, form = [(x, y + height // 2) for x, y, _, height in boxes], "l-7-4v8z"
    return f"M{f'{form}M'.join(joined(points))}{form}"


# -- boxes -------------------------------------------------------------------------------------------------------------


def _boxes(layout: Layout, view: GraphView, prefix: str, *, critical: bool) -> list[str]:
    metrics = layout.metrics
    path = set(view.critical) if critical else set()
    tips = _escaped(_tips(view.nodes))
    firsts = _escaped([label[0] for label in layout.labels])
    places = joined([box[:2] for box in layout.boxes]) if layout.boxes else []
    forms: dict[tuple[object, ...], tuple[str, str, Inside]] = {}
    parts = []
    for index, (node, place, (_, _, width, height), label, caption) in enumerate(
        zip(view.nodes, places, layout.boxes, layout.labels, layout.captions, strict=True)
    ):
        key = node.status, width, height, len(label), len(caption), not node.counts
        form = forms.get(key)
        if form is None:
            at = inside(metrics, node, height, len(label), len(caption))
            form = forms[key] = *_form(prefix, node.status, width, height, metrics, at), at
        start, body, at = form
        around = more = ""
        if len(label) > 1 or caption:
            more = _more_lines(label, caption, at)
        if node.counts:
            more += _bar(prefix, node, width - 2 * metrics.pad, metrics.pad, at.bar_y)
            around = f'<rect x="4" y="4" width="{width}" height="{height}" rx="6"/>'
        if index in path:
            around += f'<rect class="ring" x="-3" y="-3" width="{width + 6}" height="{height + 6}" rx="8"/>'
        parts.append(f'{start}{place})"><title>{tips[index]}</title>{around}{body}{firsts[index]}</text>{more}</g>')
    return parts


def _form(prefix: str, status: str, width: int, height: int, metrics: Metrics, at: Inside) -> tuple[str, str]:
    """What boxes of one status and size share: what stands before their place, and before their label."""
    known = status in STATUSES
    size = f'width="{metrics.badge}" height="{metrics.badge}"'
    badge = f'<use href="#{prefix}-{status}" x="{metrics.pad}" y="{at.badge_y}" {size}/>' if known else ""
    return (
        f'<g class="s-{status if known else ""}" transform="translate(',
        f'<rect width="{width}" height="{height}" rx="6"/>{badge}<text x="{at.text_x}" y="{at.label[0]}">',
    )


def _more_lines(label: Sequence[str], caption: Sequence[str], at: Inside) -> str:
    """The label's lines after the first, and the caption's."""
    lines = [("", line, y) for line, y in zip(label[1:], at.label[1:], strict=True)]
    lines += [(' class="caption"', line, y) for line, y in zip(caption, at.caption, strict=True)]
    return "".join(
        [f'<text{kind} x="{at.text_x}" y="{y}">{escape(line, quote=False)}</text>' for kind, line, y in lines]
    )


def _bar(prefix: str, node: Node, width: int, x: int, y: int) -> str:
    """A group's tasks by status, as shares of a bar."""
    total = sum([count for _, count in node.counts])
    parts, done = [], 0
    for status, count in node.counts:
        start = width * done // total
        done += count
        kind = status if status in STATUSES else ""
        end = width * done // total
        parts.append(f'<path class="{prefix}-b-{kind}" d="M{x + start} {y}H{x + end}V{y + 6}H{x + start}Z"/>')
    return "".join(parts)


def _tips(nodes: Sequence[Node]) -> list[str]:
    """What each node's tooltip says."""
    facts: dict[tuple[str, str, str, str], str] = {}
    tips = []
    for node in nodes:
        key = node.status, node.agent, node.priority, node.phase
        more = facts.get(key)
        if more is None:
            status = STATUSES[node.status].name if node.status in STATUSES else node.status
            agent = "" if node.agent == "none" else node.agent
            phase = f"phase {node.phase}" if node.phase else ""
            more = facts[key] = "".join([f" · {fact}" for fact in (status, agent, node.priority, phase) if fact])
        label = f" · {node.label}" if node.label and node.label != node.id else ""
        tip = f"{node.id}{label}{more} · {node.note}" if node.note else f"{node.id}{label}{more}"
        tips.append(tip if tip.isprintable() else clean(tip))
    return tips


def _escaped(texts: Sequence[str]) -> Sequence[str]:
    """Escaped all at once: `clean` has taken out the separator."""
    together = _SEPARATOR.join(texts)
    escaped = escape(together, quote=False)
    return texts if escaped is together else escaped.split(_SEPARATOR)
