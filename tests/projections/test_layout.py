from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise, product

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.layout import GraphView, Layout, Node, collapse_by_phase, layout
from orchestrator_nb.projections.layout_ranks import shorten
from orchestrator_nb.projections.layout_text import clean, text_width, wrap
from tests.benchmarks.layout import crossings
from tests.projections.graphs import chain, fan, faults, layered, view_of

Edges = list[tuple[int, int]]


def code_review(statuses: dict[str, str] | None = None) -> GraphView:
    """S1 1.4's example."""
    plan = Plan.model_validate(
        {
            "title": "Code review",
            "tasks": [
                {"id": "T-01", "title": "Read code", "agent": "simulated"},
                {"id": "T-02", "title": "Style check", "agent": "simulated", "dependencies": ["T-01"]},
                {"id": "T-03", "title": "Security", "agent": "simulated", "dependencies": ["T-01"]},
                {"id": "T-04", "title": "Performance", "agent": "simulated", "dependencies": ["T-01"]},
                {
                    "id": "T-05",
                    "title": "Report",
                    "agent": "simulated",
                    "dependencies": ["T-02", "T-03", {"task": "T-04", "kind": "sequential"}],
                },
            ],
        }
    )
    return GraphView.of_plan(plan, statuses)


def far_chain(count: int, more: int) -> Edges:
    """A chain with many edges that pass over most of it."""
    dice = random.Random(5)
    pairs = {tuple(sorted(dice.sample(range(count), 2))) for _ in range(more)}
    return sorted({*chain(count), *[(low, high) for low, high in pairs]})


SHAPES: dict[str, tuple[int, Edges]] = {
    "nothing": (0, []),
    "one": (1, []),
    "pair": (2, [(0, 1)]),
    "fan of 60": (62, fan(60)),
    "fan of 2,000": (2002, fan(2000)),
    "chain of 60": (60, chain(60)),
    "3,000 alone": (3000, []),
    "200 pairs": (400, [(node, node + 1) for node in range(0, 400, 2)]),
    "layered 50": (50, layered(50, 7, 0.2)),
    "layered 500": (500, layered(500, 22, 0.2)),
    "layered 2,000": (2000, layered(2000, 40, 0.1)),
    "wide layers": (1400, layered(1400, 350, 0.0)),
    "chain with far edges": (200, far_chain(200, 100)),
    "chain, all to the last": (150, sorted({*chain(150), *[(node, 149) for node in range(149)]})),
    "complete bipartite": (60, list(product(range(30), range(30, 60)))),
    "map, map, reduce": (
        82,
        [(0, n) for n in range(1, 41)] + [(n, n + 40) for n in range(1, 41)] + [(n, 81) for n in range(41, 81)],
    ),
}


@pytest.mark.parametrize("direction", ["LR", "TD"])
@pytest.mark.parametrize("name", SHAPES)
def test_nothing_overlaps_and_every_line_leads_from_box_to_box(name: str, direction: str) -> None:
    view = view_of(*SHAPES[name])
    result = layout(view, direction)  # type: ignore[arg-type]
    assert result.direction == direction
    assert faults(view, result) == []


@st.composite
def views(draw: st.DrawFn) -> GraphView:
    count = draw(st.integers(1, 40))
    pairs = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=80))
    labels = draw(st.lists(st.text(max_size=60), min_size=count, max_size=count))
    phases = draw(st.lists(st.sampled_from(["", "one", "two"]), min_size=count, max_size=count))
    places = draw(st.permutations(range(count)))
    nodes = tuple(
        Node(f"n{index}", label, ["", "running", "failed"][index % 3], phase)
        for index, (label, phase) in enumerate(zip(labels, phases, strict=True))
    )
    edges = tuple((places[low], places[high], "data") for low, high in sorted(pairs) if low < high)
    return GraphView(nodes, edges, (("one", "Phase one"), ("two", "Phase two")))


@given(view=views(), direction=st.sampled_from(["auto", "LR", "TD"]))
@settings(max_examples=80, deadline=None)
def test_any_graph_with_any_labels_is_laid_out_without_fault(view: GraphView, direction: str) -> None:
    result = layout(view, direction)  # type: ignore[arg-type]
    assert faults(view, result) == []
    assert layout(view, direction) == result  # type: ignore[arg-type]


def test_the_same_graph_gives_the_same_picture_in_every_process() -> None:
    script = (
        "from tests.projections.graphs import *; from orchestrator_nb.projections.layout import *; "
        "import hashlib, msgspec; v = view_of(60, layered(60, 6, 0.2)); "
        "print(hashlib.sha256(msgspec.json.encode([layout(v), collapse_by_phase(v, 20)])).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_edges_run_in_the_direction_of_the_layout() -> None:
    view = view_of(50, layered(50, 7, 0.2))
    for direction, axis in (("LR", 0), ("TD", 1)):
        boxes = layout(view, direction).boxes  # type: ignore[arg-type]
        assert all(boxes[a][axis] + boxes[a][axis + 2] < boxes[b][axis] for a, b, _ in view.edges)


@pytest.mark.parametrize(
    ("name", "widest", "tallest"),
    [("fan of 60", 3, 3), ("fan of 2,000", 3, 3), ("chain of 60", 4, 3), ("3,000 alone", 3, 3), ("200 pairs", 3, 3)],
)
def test_proportions_suit_a_page(name: str, widest: float, tallest: float) -> None:
    result = layout(view_of(*SHAPES[name]))
    assert result.width < widest * result.height
    assert result.height < tallest * result.width


def test_the_code_review_is_drawn_as_in_the_specification() -> None:
    result = layout(code_review())
    assert result.direction == "LR"
    assert result.layers == [[0], [1, 2, 3], [4]]
    assert crossings(result.routes) == 0
    middle = [y + height // 2 for _, y, _, height in result.boxes]
    assert middle[0] == middle[2] == middle[4]
    assert result.captions[1] == ("T-02 · simulated",)


# -- few crossings, short and straight lines ---------------------------------------------------------------------------


def test_trees_have_no_crossings() -> None:
    dice = random.Random(3)
    tree = [(dice.randrange(node), node) for node in range(1, 200)]
    assert crossings(layout(view_of(200, tree)).routes) == 0
    assert crossings(layout(view_of(200, [(199 - b, 199 - a) for a, b in tree])).routes) == 0


def test_a_ladder_is_untangled_whatever_the_order_of_its_nodes() -> None:
    ladder = [(n, n + 2) for n in range(58)] + [(n, n + 3) for n in range(0, 56, 2)]
    places = random.Random(1).sample(range(60), 60)
    assert crossings(layout(view_of(60, [(places[a], places[b]) for a, b in ladder])).routes) == 0


def test_crossings_are_far_fewer_than_in_the_order_of_the_plan() -> None:
    edges = layered(300, 17, 0.0)
    plain = [[node // 17 * 100, node % 17 * 10, other // 17 * 100, other % 17 * 10] for node, other in edges]
    assert crossings(layout(view_of(300, edges)).routes) < 0.4 * crossings(plain)


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=9))
@settings(max_examples=60, deadline=None)
def test_ranks_are_as_short_as_they_can_be(pairs: set[tuple[int, int]]) -> None:
    graph = nx.DiGraph([(low, high) for low, high in sorted(pairs) if low < high])
    if not len(graph) or not nx.is_weakly_connected(graph):
        return
    names = {node: index for index, node in enumerate(graph)}
    edges = [(names[source], names[target]) for source, target in graph.edges]
    longest = dict.fromkeys(graph, 0)
    for node in nx.topological_sort(graph):
        longest[node] = 1 + max((longest[parent] for parent in graph.predecessors(node)), default=-1)
    rank = shorten([longest[node] for node in graph], edges)
    assert all(rank[source] < rank[target] for source, target in edges)
    assert sum(rank[b] - rank[a] for a, b in edges) == min(
        sum(tried[b] - tried[a] for a, b in edges)
        for tried in product(range(max(rank) + 1), repeat=len(graph))
        if all(tried[a] < tried[b] for a, b in edges)
    )


def test_a_long_edge_runs_straight_past_the_boxes() -> None:
    result = layout(view_of(6, [*chain(6), (0, 5)]), "LR")
    corners = list(pairwise(zip(result.routes[5][::2], result.routes[5][1::2], strict=True)))
    assert sum(y != to_y for (_, y), (_, to_y) in corners) <= 2


def test_far_edges_of_one_node_share_their_way() -> None:
    view = view_of(400, [*chain(400), *[(node, 399) for node in range(398)]])
    assert sum(map(len, layout(view, "LR").routes)) < 30_000


def test_a_cycle_is_named() -> None:
    view = GraphView((Node("a"), Node("b"), Node("c")), ((0, 1, "data"), (1, 2, "data"), (2, 1, "data")))
    with pytest.raises(OrchestratorError, match=r"b -> c -> b|c -> b -> c"):
        layout(view)


# -- phases ------------------------------------------------------------------------------------------------------------


def phased(*phases: str, edges: Edges) -> Layout:
    nodes = tuple(Node(f"t{index}", phase=phase) for index, phase in enumerate(phases))
    titles = (("a", "First"), ("b", "Second"), ("c", "Third"))
    return layout(GraphView(nodes, tuple((a, b, "data") for a, b in edges), titles), "LR")


def test_phases_that_follow_each_other_stand_in_bands() -> None:
    result = phased("a", "a", "b", "b", "a", edges=[(0, 2), (1, 3)])
    assert [name for name, _, _ in result.bands] == ["First", "Second"]
    assert result.bands[0][2] < result.bands[1][1]
    for node, band in ((0, 0), (4, 0), (2, 1)):  # 4 has no edges and stands with its phase
        assert result.bands[band][1] <= result.boxes[node][0]
        assert result.boxes[node][0] + result.boxes[node][2] <= result.bands[band][2]


def test_phases_that_interleave_have_no_bands() -> None:
    assert phased("a", "b", "a", edges=[(0, 1), (1, 2)]).bands == []


# -- views -------------------------------------------------------------------------------------------------------------


def test_a_view_of_a_plan_holds_what_the_plan_says() -> None:
    view = code_review({"T-01": "completed", "T-02": "running"})
    assert [node.status for node in view.nodes] == ["completed", "running", "", "", ""]
    assert view.nodes[0] == Node("T-01", "Read code", "completed", priority="P0", agent="simulated")
    assert set(view.edges) == {
        (0, 1, "data"), (0, 2, "data"), (0, 3, "data"), (1, 4, "data"), (2, 4, "data"), (3, 4, "sequential"),
    }  # fmt: skip
    assert view.critical == (0, 1, 4)
    assert view.title == "Code review"


@pytest.mark.parametrize("key", ["edges", "links"])
def test_networkx_graphs_come_in_as_node_link_json(key: str) -> None:
    graph = nx.DiGraph(name="Mine")
    graph.add_node("a", label="Alpha", status="failed", phase="one")
    graph.add_edge("a", 1, kind="sequential")
    graph.add_edge(1, ("x", 2))
    view = GraphView.from_node_link(nx.node_link_data(graph, edges=key))
    assert [(node.id, node.label, node.status) for node in view.nodes] == [
        ("a", "Alpha", "failed"), ("1", "", ""), ("('x', 2)", "", ""),
    ]  # fmt: skip
    assert view.edges == ((0, 1, "sequential"), (1, 2, "data"))
    assert (view.title, view.critical) == ("Mine", (0, 1, 2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "node-link form"),
        ({"nodes": {}}, "node-link form"),
        ({"nodes": [], "directed": False}, "undirected.*DiGraph"),
        ({"nodes": [{"name": "a"}]}, 'node 0 .* no "id"'),
        ({"nodes": ["a"]}, 'node 0 .* no "id"'),
        ({"nodes": [{"id": 1}, {"id": 1}]}, "two nodes with the id 1"),
        ({"nodes": [{"id": 1}], "links": 5}, "must be a list"),
        ({"nodes": [{"id": 1}], "links": [{"source": 1}]}, 'edge 0 .* "target"'),
        ({"nodes": [{"id": 1}], "links": [{"source": 1, "target": 2}]}, "edge 0 .* names 2, which is no node"),
        ({"nodes": [{"id": 1}], "links": [{"source": 1, "target": 1}]}, "cycle.*1 -> 1"),
        (
            {"nodes": [{"id": n} for n in "ab"], "edges": [{"source": a, "target": b} for a, b in ("ab", "ba")]},
            "cycle.*(a -> b -> a|b -> a -> b)",
        ),
    ],
)  # fmt: skip
def test_other_json_is_refused_with_a_remedy(data: object, message: str) -> None:
    with pytest.raises(OrchestratorError, match=message):
        GraphView.from_node_link(data)  # type: ignore[arg-type]


# -- groups ------------------------------------------------------------------------------------------------------------


def grouped(ids: list[str], edges: Edges, phases: list[str] | None = None, threshold: int = 3) -> GraphView:
    names = phases or [""] * len(ids)
    nodes = tuple(
        Node(task, status=["completed", "failed"][index % 2], phase=phase)
        for index, (task, phase) in enumerate(zip(ids, names, strict=True))
    )
    view = GraphView(nodes, tuple((a, b, "data") for a, b in edges), (("p", "Prepare"), ("q", "Query")))
    return collapse_by_phase(view, threshold)


def test_small_graphs_stay_whole() -> None:
    view = view_of(3, chain(3))
    assert collapse_by_phase(view, 3) is view


def test_large_graphs_are_grouped_by_phase_with_counts() -> None:
    view = grouped(["a", "b", "c", "d"], chain(4), ["p", "p", "q", "q"])
    assert [(node.label or node.id, node.counts) for node in view.nodes] == [
        ("Prepare", (("completed", 1), ("failed", 1))),
        ("Query", (("completed", 1), ("failed", 1))),
    ]
    assert view.edges == ((0, 1, "data"),)
    assert view.nodes[0].status == "failed"
    assert view.nodes[0].note == "failed: b"
    assert faults(view, layout(view)) == []


def test_without_phases_the_folders_are_the_groups_as_deep_as_allowed() -> None:
    ids = ["x/a/1", "x/a/2", "x/b/1", "y/c/1", "y/d/1"]
    assert [node.id for node in grouped(ids, [(0, 3)], threshold=3).nodes] == ["x", "y"]
    assert [node.id for node in grouped(ids, [(0, 3)], threshold=4).nodes] == ["x/a", "x/b", "y/c", "y/d"]


def test_without_folders_the_levels_are_the_groups() -> None:
    view = grouped([f"t{n}" for n in range(6)], [(0, 2), (1, 3), (2, 4), (3, 5)])
    assert [node.id for node in view.nodes] == ["Level 0", "Level 1", "Level 2"]
    deep = grouped([f"t{n}" for n in range(300)], chain(300), threshold=100)
    assert deep.nodes[1].id == "Levels 5–9"
    assert len(deep.nodes) == 60


def test_phases_that_depend_on_each_other_both_ways_are_split() -> None:
    few = grouped(["a", "b", "c", "d"], chain(4), ["p", "q", "p", "q"], threshold=3)  # too few for the four stretches
    assert [node.id for node in few.nodes] == ["Levels 0–1", "Levels 2–3"]
    wide = grouped([f"t{n}" for n in range(40)], [(n, n + 10) for n in range(30)], (["p"] * 10 + ["q"] * 10) * 2, 5)
    assert [node.id for node in wide.nodes] == ["Prepare (1)", "Query (1)", "Prepare (2)", "Query (2)"]
    assert faults(wide, layout(wide)) == []


def test_a_group_counts_every_task_once() -> None:
    view = view_of(600, layered(600, 20))
    small = collapse_by_phase(view)
    assert sum(count for node in small.nodes for _, count in node.counts) == 600
    assert collapse_by_phase(view_of(600, [])).nodes[0].counts


# -- text --------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80), st.floats(40, 200), st.integers(1, 3))
def test_wrapped_text_fits_and_loses_nothing_but_its_end(text: str, room: float, most: int) -> None:
    text = clean(text)
    lines = wrap(text, 12, room, most)
    assert 1 <= len(lines) <= most
    assert all(text_width(line, 12) <= room or len(line) <= 2 for line in lines)
    kept = "".join(lines).replace(" ", "").removesuffix("…")
    assert text.replace(" ", "").startswith(kept)


def test_lines_break_at_words_then_at_signs_and_keep_joined_signs_whole() -> None:
    assert wrap("Check the style of modules", 10, 90, 2) == ("Check the style", "of modules")
    assert wrap("folder/sub_folder/task-name", 10, 100, 2) == ("folder/sub_folder/", "task-name")
    assert wrap("e\u0301" * 30, 10, 61, 1)[0].endswith("e\u0301…")


def test_controls_and_marks_that_turn_text_around_are_taken_out() -> None:
    assert clean("a\x00b\x1b[31m\u202ec\n\td\ud800") == "ab[31mc d"
    assert clean("H" + "\u0338" * 50) == "H\u0338\u0338"
    assert len(clean("x" * 10_000)) == 1000


def test_small_parts_beside_a_large_one_are_drawn_with_their_own_lines() -> None:
    large = [(source + 7, target + 7) for source, target in layered(2400, 40, 0.1)]
    small = [(0, 2), (2, 4), (0, 4), (1, 3)]  # and 5 and 6 stand alone
    view = view_of(2407, [*small, *large], words=False)
    assert faults(view, layout(view)) == []
