from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.projections.diagrams import dot, mermaid
from orchestrator_nb.projections.layout import GraphView, Node, collapse_by_phase
from orchestrator_nb.projections.theme import LIGHT, STATUSES
from tests.projections.graphs import chain, view_of

HOSTILE = [
    '"]; evil [label="',
    "back\\slash \\N \\",
    "a\nb",
    "<b>&amp;</b>",
    "`code`",
    "1. list",
    "end",
    "#quot;",
    "日本語",
    "-->",
]
#: A quoted string of DOT: inside only what is no quote, or escaped.
QUOTED = r'"(?:[^"\\]|\\.)*"'
DOT_NODE = re.compile(rf"  {QUOTED} \[label={QUOTED}(?:, \w+={QUOTED}|, penwidth=2)*\];")
DOT_EDGE = re.compile(rf"  {QUOTED} -> {QUOTED}(?: \[[^\]\"]*(?:color=\"#\w+\")?\])?;")


def hostile() -> GraphView:
    nodes = tuple(Node(f"{label}{number}", label, "running", note=label) for number, label in enumerate(HOSTILE))
    return GraphView(nodes, tuple((0, node, "data") for node in range(1, len(nodes))), title=HOSTILE[0])


def dot_text(quoted: str) -> str:
    """What graphviz shows for a quoted string."""
    return re.sub(r"\\(.)", r"\1", quoted[1:-1]).replace("&amp;", "&")


def test_dot_names_every_node_and_edge_with_its_status() -> None:
    view = GraphView(
        (Node("a", "Alpha", "completed"), Node("b/c", "", "waiting"), Node("d")),
        ((0, 1, "data"), (1, 2, "sequential")),
        title="Plan",
        critical=(0, 1),
    )
    lines = dot(view).splitlines()
    assert lines[0] == "digraph plan {"
    assert lines[-1] == "}"
    assert '  "a" [label="Alpha", ' in "\n".join(lines)
    assert f'fillcolor="{LIGHT.fill("completed")}"' in lines[5]
    assert 'class="completed"' in lines[5]
    assert "dashed" in lines[6]
    assert "class=" not in lines[7]
    assert lines[8].startswith('  "a" -> "b/c" [penwidth=2')
    assert lines[9] == '  "b/c" -> "d" [style=dashed];'


def test_dot_keeps_any_label_inside_its_quotes() -> None:
    view = hostile()
    nodes, edges = (dot(view).splitlines()[5:15], dot(view).splitlines()[15:-1])
    assert all(DOT_NODE.fullmatch(line) for line in nodes)
    assert all(DOT_EDGE.fullmatch(line) for line in edges)
    labels = [re.search(rf"label=({QUOTED})", line) for line in nodes]
    assert [dot_text(label[1]) for label in labels if label] == [label.replace("\n", " ") for label in HOSTILE]


def test_dot_numbers_nodes_whose_ids_are_written_alike() -> None:
    view = GraphView((Node("1"), Node("1")), ((0, 1, "data"),))
    assert "  n0 -> n1;" in dot(view).splitlines()


def test_mermaid_has_a_class_for_each_status() -> None:
    view = GraphView(
        (Node("a", "Read all", "completed"), Node("b", "", "waiting"), Node("c")),
        ((0, 1, "data"), (1, 2, "sequential")),
        critical=(0, 1),
    )
    assert mermaid(view).splitlines() == [
        "flowchart LR",
        '  n0["✅ Read all"]:::completed',
        '  n1["⏸️ b"]:::waiting',
        '  n2["c"]',
        "  n0 --> n1",
        "  n1 -.-> n2",
        f"  classDef waiting fill:{LIGHT.fill('waiting')},stroke:{STATUSES['waiting'].light},color:{LIGHT.ink}"
        ",stroke-dasharray:4 3",
        f"  classDef completed fill:{LIGHT.fill('completed')},stroke:{STATUSES['completed'].light},color:{LIGHT.ink}",
        "  classDef critical stroke-width:3px",
        "  class n0,n1 critical",
    ]


def mermaid_text(label: str) -> str:
    """What Mermaid shows for a label."""
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)


def test_mermaid_keeps_any_label_inside_its_quotes() -> None:
    lines = mermaid(hostile()).splitlines()[1:11]
    labels = [re.fullmatch(r'  n\d+\["🔵 ([^"`<>&\[\]{}|\\]*)"\]:::running', line) for line in lines]
    assert [mermaid_text(label[1]) for label in labels if label] == [label.replace("\n", " ") for label in HOSTILE]


@given(st.text(max_size=30))
def test_no_label_adds_a_line(text: str) -> None:
    view = GraphView((Node("x", text or "x", note=text), Node("y")), ((0, 1, "data"),), title=text)
    assert len(dot(view).split("\n")) == 10
    assert len(mermaid(view).split("\n")) == 5
    assert DOT_NODE.fullmatch(dot(view).split("\n")[5])


def test_groups_say_how_many_tasks_they_hold() -> None:
    view = collapse_by_phase(view_of(40, chain(40)), 4)
    assert dot(view).count("(10 tasks)") == 4
    assert mermaid(view).count("(10 tasks)") == 4
