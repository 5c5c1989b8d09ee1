from __future__ import annotations

import re
from typing import Literal
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

from orchestrator_nb.projections.layout import GraphView, Node, collapse_by_phase, layout
from orchestrator_nb.projections.svg import svg
from orchestrator_nb.projections.theme import DARK, LIGHT
from tests.projections.graphs import chain, fan, layered, view_of

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert('x')</script>", "</title></g></svg><image href='http://example.org/x'/>", "& &amp; &lt;", "]]>",
    '" onload="alert(1)', "a\x00b\x1b[31m", "\u202egnp.exe", "\ud800", "$x^2$", "日本語のとても長い題名",
    "👩‍👩‍👧‍👦 family", "W" * 80, "i" * 80, "folder/sub_folder/very-long-identifier.v2", "H" + "\u0338" * 99, "",
]  # fmt: skip


def drawn(view: GraphView, theme: Literal["auto", "light", "dark"] = "auto", **options: bool) -> ElementTree.Element:
    return ElementTree.fromstring(svg(layout(view), view, theme=theme, **options))


def boxes(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The groups of the nodes, in order."""
    return [group for group in root.iter(f"{SVG}g") if group.find(f"{SVG}title") is not None]


def numbers(text: str | None) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", text or "")]


@pytest.mark.parametrize("size", [5, 50, 500])
def test_every_node_is_drawn_once_with_its_tooltip_and_status(size: int) -> None:
    view = view_of(size, layered(size, max(2, size // 20)))
    groups = boxes(drawn(view))
    assert len(groups) == size
    for node, group in zip(view.nodes, groups, strict=True):
        title = group.findtext(f"{SVG}title") or ""
        assert title.startswith(f"{node.id} · {node.label}")
        assert group.get("class") == f"s-{node.status}"
        badges = [use.get("href") for use in group.iter(f"{SVG}use")]
        assert badges == ([f"#og-auto-{node.status}"] if node.status else [])


@pytest.mark.parametrize("size", [50, 3000])
def test_every_edge_is_drawn_once(size: int) -> None:
    view = view_of(size, layered(size, size // 10), words=False)
    root = drawn(view)
    paths = [path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    assert sum((path.get("d") or "").count("M") for path in paths) == len(view.edges)


def test_the_critical_path_and_edges_of_mere_order_stand_out() -> None:
    nodes = tuple(Node(name) for name in "abc")
    view = GraphView(nodes, ((0, 1, "data"), (1, 2, "sequential"), (0, 2, "data")), critical=(0, 2))
    root = drawn(view)
    kinds = {path.get("class"): path.get("d") for path in root.iter(f"{SVG}path")}
    assert {"line", "line order", "line path", "path-head"} <= set(kinds)
    assert len([rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "ring"]) == 2
    plain = drawn(view, critical=False)
    assert "line path" not in {path.get("class") for path in plain.iter(f"{SVG}path")}
    assert "Critical path" in "".join(root.itertext())
    assert "Critical path" not in "".join(plain.itertext())


@pytest.mark.parametrize("name", ["layered", "fan", "chain"])
def test_labels_stand_in_their_boxes_by_the_font_s_own_measure(name: str) -> None:
    edges = {"layered": layered(60, 8), "fan": fan(58), "chain": chain(60)}[name]
    font = FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf")
    view = view_of(60, edges)
    result = layout(view)
    for group in boxes(drawn(view)):
        rect = group.findall(f"{SVG}rect")[-1]
        for text in group.iter(f"{SVG}text"):
            small = text.get("class") == "caption"
            font.set_size(result.metrics.caption if small else result.metrics.font, 72)
            font.set_text(text.text or "")
            width = font.get_width_height()[0] / 64
            assert float(text.get("x", 0)) + width < float(rect.get("width", 0))
            assert 0 < float(text.get("y", 0)) < float(rect.get("height", 0))


def test_the_legend_stands_below_the_graph_and_counts_the_statuses() -> None:
    view = view_of(50, layered(50, 7))
    result = layout(view)
    root = ElementTree.fromstring(svg(result, view))
    words = [text for text in root.iter(f"{SVG}text") if re.fullmatch(r"[A-Z][a-z ]+ \d+", text.text or "")]
    assert sum(int((text.text or "").split()[-1]) for text in words) == 50
    graph = next(group for group in root.iter(f"{SVG}g") if group.get("transform"))
    bottom = numbers(graph.get("transform"))[1] + result.height
    assert all(float(text.get("y", 0)) - 11 > bottom for text in words)
    assert all(float(text.get("y", 0)) < float(root.get("height", 0)) for text in words)
    assert not [text for text in drawn(view, legend=False).iter(f"{SVG}text") if "Running" in (text.text or "")]


def test_labels_are_text_whatever_they_say() -> None:
    view = GraphView(
        tuple(Node(f"{label[:9]}{n}", label, "running", label, label, label, label) for n, label in enumerate(HOSTILE)),
        tuple((n // 3, n, "data") for n in range(1, len(HOSTILE))),
        title="<b>&\x07",
    )
    text = svg(layout(view), view)
    root = ElementTree.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg", "style", "defs", "symbol", "path", "rect", "text", "g", "title", "use",
    }  # fmt: skip
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on")]
    assert all((use.get("href") or "").startswith("#og-") for use in root.iter(f"{SVG}use"))
    assert not [value for element in root.iter() for name, value in element.attrib.items() if "http" in value]
    assert not re.search(r"url\(|@import", root.findtext(f"{SVG}style") or "")
    assert not set(text) & {"\x00", "\x07", "\x1b", "\u202e", "\ud800"}
    assert "<script>alert('x')</script>" in "".join(root.itertext())


@given(st.lists(st.text(), min_size=1, max_size=6), st.text(max_size=8))
@settings(max_examples=50, deadline=None)
def test_any_text_gives_well_formed_xml(texts: list[str], status: str) -> None:
    view = GraphView(tuple(Node(text, text[::-1], status, text, text, text, text) for text in texts), title=texts[0])
    root = drawn(view)
    assert len(boxes(root)) == len(texts)


def test_the_picture_says_what_it_is_to_those_who_do_not_see_it() -> None:
    view = GraphView((Node("a", status="completed"), Node("b", status="failed")), ((0, 1, "data"),), title='My "plan"')
    root = drawn(view)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'My "plan": 2 tasks, 1 completed, 1 failed'


def test_themes_light_dark_and_as_the_reader_prefers() -> None:
    view = view_of(5, chain(5))
    styles = {theme: drawn(view, theme).findtext(f"{SVG}style") or "" for theme in ("auto", "light", "dark")}  # type: ignore[arg-type]
    assert LIGHT.paper in styles["light"]
    assert DARK.paper not in styles["light"]
    assert DARK.paper in styles["dark"]
    assert LIGHT.ink not in styles["dark"]
    before, dark = styles["auto"].split("@media (prefers-color-scheme:dark)")
    assert LIGHT.ink in before
    assert DARK.ink in dark


def test_styles_of_two_pictures_in_one_page_do_not_meet() -> None:
    view = view_of(5, chain(5))
    for theme in ("light", "dark"):
        style = drawn(view, theme).findtext(f"{SVG}style") or ""  # type: ignore[arg-type]
        selectors = re.findall(r"([^{}]+)\{", style)
        assert selectors
        assert all(selector.startswith(f".og-{theme}") for selector in selectors)


def test_groups_show_their_counts_as_text_and_bar() -> None:
    view = collapse_by_phase(view_of(40, chain(40)), 4)
    root = drawn(view)
    for node, group in zip(view.nodes, boxes(root), strict=True):
        assert f"{sum(count for _, count in node.counts)} tasks" in "".join(group.itertext())
        bars = [path for path in group.findall(f"{SVG}path") if "-b-" in (path.get("class") or "")]
        assert len(bars) == len(node.counts)
        spans = [numbers(path.get("d")) for path in bars]
        assert all(left[2] == right[0] for left, right in zip(spans, spans[1:], strict=False))


def test_a_bar_lies_below_the_caption_also_beside_a_task_of_the_same_size() -> None:
    task, group = Node("task", "", "failed", agent="shell"), Node("group", "", "failed", counts=(("failed", 2),))
    for nodes in ((task, group), (group, task)):
        for shape in boxes(drawn(GraphView(nodes))):
            lines = [float(text.get("y") or 0) for text in shape.findall(f"{SVG}text")]
            for bar in shape.findall(f"{SVG}path"):
                assert numbers(bar.get("d"))[1] > lines[-1]


def test_phases_are_named_above_their_bands() -> None:
    nodes = tuple(Node(name, phase=phase) for name, phase in zip("abcd", "xxyy", strict=True))
    view = GraphView(nodes, ((0, 2, "data"), (1, 3, "data")), (("x", "Read <all>"), ("y", "Write")))
    root = drawn(view)
    assert len([rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "band"]) == 2
    assert {"Read <all>", "Write"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_a_graph_without_nodes_is_a_picture_too() -> None:
    root = drawn(GraphView((), phases=(("p", "Empty"),), title="Nothing"))
    assert boxes(root) == []
    assert root.get("aria-label") == "Nothing: 0 tasks"
