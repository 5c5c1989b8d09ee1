"""The graph's algorithms, each against networkx."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.core.graph import Graph
from tests.plans import dags, graphs


def both(parents: list[list[int]]) -> tuple[Graph, nx.DiGraph[Any]]:
    graph = Graph([str(node) for node in range(len(parents))], [[str(p) for p in row] for row in parents])
    other: nx.DiGraph[Any] = nx.DiGraph()
    other.add_nodes_from(range(len(parents)))
    other.add_edges_from((parent, node) for node, row in enumerate(parents) for parent in row)
    return graph, other


@given(graphs())
@settings(max_examples=300)
def test_cycles_are_one_for_each_knot(parents: list[list[int]]) -> None:
    graph, other = both(parents)
    knots = [c for c in nx.strongly_connected_components(other) if len(c) > 1 or any(other.has_edge(n, n) for n in c)]
    cycles = graph.cycles()
    assert len(cycles) == len(knots)
    for cycle in cycles:
        assert any(set(cycle) <= knot for knot in knots)
        assert all(other.has_edge(a, b) for a, b in zip(cycle, cycle[1:] + cycle[:1], strict=True))
        assert cycle[0] == min(cycle)
    assert graph.cycle() == (cycles[0] if cycles else None)


@given(graphs())
def test_order_leaves_out_cycles_and_what_is_behind_them(parents: list[list[int]]) -> None:
    graph, other = both(parents)
    stuck = {n for cycle in graph.cycles() for n in cycle}
    behind = stuck | {d for node in stuck for d in nx.descendants(other, node)}
    order = graph.order()
    assert set(order) == set(range(len(parents))) - behind
    place = {node: index for index, node in enumerate(order)}
    assert all(place[parent] < place[node] for node in order for parent in parents[node])
    assert sorted(graph.sorted_order()) == list(range(len(parents)))


@given(dags())
def test_sorted_order_leaves_a_sorted_plan_as_it_is(parents: list[list[int]]) -> None:
    assert both(parents)[0].sorted_order() == list(range(len(parents)))


@given(dags(), st.randoms(use_true_random=False))
def test_sorted_order_is_the_first_that_respects_the_edges(parents: list[list[int]], random: Any) -> None:
    names = list(range(len(parents)))
    random.shuffle(names)
    shuffled: list[list[int]] = [[] for _ in parents]
    for node, row in enumerate(parents):
        shuffled[names[node]] = [names[parent] for parent in row]
    graph, other = both(shuffled)
    assert graph.sorted_order() == list(nx.lexicographical_topological_sort(other))


@given(dags(), st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_levels_tails_and_critical_path(parents: list[list[int]], weights: list[int]) -> None:
    graph, other = both(parents)
    weights = weights[: len(parents)]
    assert graph.levels() == [sorted(level) for level in nx.topological_generations(other)]
    tails = graph.tails(weights)
    for node in range(len(parents)):
        assert tails[node] == weights[node] + max((tails[child] for child in other.successors(node)), default=0)
    path = graph.critical_path(weights)
    assert sum(weights[node] for node in path) == max(tails)
    assert not parents[path[0]]
    assert all(b in graph.children[a] for a, b in pairwise(path))
    assert len(graph.critical_path()) == nx.dag_longest_path_length(other) + 1


@given(graphs())
def test_descendants_and_ancestors(parents: list[list[int]]) -> None:
    graph, other = both(parents)
    for node in range(len(parents)):
        assert graph.descendants(node) - {node} == nx.descendants(other, node)
        assert graph.ancestors(node) - {node} == nx.ancestors(other, node)


def test_an_empty_graph() -> None:
    graph = Graph([], [])
    assert (len(graph), graph.order(), graph.cycles(), graph.levels(), graph.critical_path()) == (0, [], [], [], [])


def test_an_unknown_parent_is_refused_and_a_double_one_counts_once() -> None:
    with pytest.raises(KeyError):
        Graph(["a"], [["b"]])
    graph = Graph(["a", "b"], [[], ["a", "a"]])
    assert (graph.parents, list(graph.children[0])) == ([(), (0,)], [1])


def test_a_cycle_of_100000_nodes_needs_no_deep_stack() -> None:
    size = 100_000
    graph = Graph([str(node) for node in range(size)], [[str((node - 1) % size)] for node in range(size)])
    assert graph.cycle() == list(range(size))
