"""The graph as text for other tools: Graphviz DOT, and Mermaid for Markdown pages.

Labels come from plans and agents: each is escaped for its language, so that no label ends its string, adds a node or
becomes markup.
"""

from __future__ import annotations

from orchestrator_nb.projections.layout_text import clean
from orchestrator_nb.projections.layout_view import GraphView, Node
from orchestrator_nb.projections.theme import LIGHT, PLAIN, STATUSES

#: What Mermaid takes for nothing but itself inside a quoted label; all else in ASCII is written as its number.
_PLAIN_IN_MERMAID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,_()/")


def dot(view: GraphView) -> str:
    """Graphviz DOT, with the status of each node as colours and `class`."""
    lines = [
        "digraph plan {",
        "  rankdir=LR;",
        f"  graph [label={_dot_text(view.title)}, labelloc=t, fontname=Helvetica];",
        '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11, margin="0.14,0.08"];',
        f'  edge [color="{LIGHT.line}", arrowsize=0.7];',
    ]
    names = _dot_names(view)
    critical = set(view.critical)
    for index, node in enumerate(view.nodes):
        style = STATUSES.get(node.status, PLAIN)
        attributes = [
            f"label={_dot_text(_label(node))}",
            f'fillcolor="{LIGHT.fill(node.status)}"',
            f'color="{LIGHT.color(node.status)}"',
            f"tooltip={_dot_text(' · '.join([part for part in (node.id, style.name, node.note) if part]))}",
            *([f'class="{node.status}"'] if node.status in STATUSES else []),
            *(['style="rounded,filled,dashed"'] if style.dashed else []),
            *(["penwidth=2"] if index in critical else []),
        ]
        lines.append(f"  {names[index]} [{', '.join(attributes)}];")
    path = set(zip(view.critical, view.critical[1:], strict=False))
    for source, target, kind in view.edges:
        marks = ["style=dashed"] if kind == "sequential" else []
        marks += ["penwidth=2", f'color="{LIGHT.critical}"'] if (source, target) in path else []
        drawn = f" [{', '.join(marks)}]" if marks else ""
        lines.append(f"  {names[source]} -> {names[target]}{drawn};")
    return "\n".join([*lines, "}", ""])


def mermaid(view: GraphView) -> str:
    """A Mermaid flowchart, with a class for each status."""
    lines = ["flowchart LR"]
    critical = set(view.critical)
    for index, node in enumerate(view.nodes):
        status = f":::{node.status}" if node.status in STATUSES else ""
        icon = f"{STATUSES[node.status].icon} " if status else ""
        lines.append(f'  n{index}["{icon}{_mermaid_text(_label(node))}"]{status}')
    for source, target, kind in view.edges:
        lines.append(f"  n{source} {'-.->' if kind == 'sequential' else '-->'} n{target}")
    present = {node.status for node in view.nodes}
    for status, style in STATUSES.items():
        if status in present:
            dash = ",stroke-dasharray:4 3" if style.dashed else ""
            colors = f"fill:{LIGHT.fill(status)},stroke:{style.light},color:{LIGHT.ink}{dash}"
            lines.append(f"  classDef {status} {colors}")
    if critical:
        lines.append("  classDef critical stroke-width:3px")
        lines.append(f"  class {','.join([f'n{index}' for index in sorted(critical)])} critical")
    return "\n".join([*lines, ""])


def _label(node: Node) -> str:
    label = clean(node.label or node.id)
    if node.counts:
        return f"{label} ({sum([count for _, count in node.counts])} tasks)"
    return label


def _dot_names(view: GraphView) -> list[str]:
    """The nodes' own ids, quoted; or numbers, where two ids of a foreign graph are written alike."""
    names = [_dot_text(node.id) for node in view.nodes]
    return names if len(set(names)) == len(names) else [f"n{index}" for index in range(len(names))]


def _dot_text(text: str) -> str:
    """A quoted string: graphviz reads backslashes and HTML's entities in labels."""
    text = clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{text}"'


def _mermaid_text(text: str) -> str:
    """The inside of a quoted label; a dash or dot within a word stays, so that ids can be read."""
    signs = []
    for index, sign in enumerate(text):
        inside = sign in "-." and index > 0 and text[index + 1 : index + 2].isalnum()
        plain = sign in _PLAIN_IN_MERMAID or not sign.isascii() or inside
        signs.append(sign if plain else f"#{ord(sign)};")
    return "".join(signs)
