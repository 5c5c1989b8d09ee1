"""Plans and networkx graphs."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.core.ids import fault_of_id
from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import PlanError
from tests.plans import graphs


def test_to_networkx_has_a_node_a_task_and_an_edge_a_dependency() -> None:
    plan = Plan.model_validate(
        {
            "title": "Review",
            "tasks": [
                {"id": "a", "command": ["x"], "title": "Read", "phase": "p", "priority": "P1"},
                {"id": "b", "agent": "human", "dependencies": ["a", {"task": "lock", "kind": "resource"}]},
                {"id": "c", "dependencies": [{"task": "a", "kind": "sequential"}, {"task": "b", "kind": "none"}]},
            ],
        }
    )
    graph = plan.to_networkx()
    assert graph.graph == {"title": "Review"}
    assert dict(graph.nodes["a"]) == {"title": "Read", "agent": "shell", "phase": "p", "priority": "P1"}
    assert list(graph.edges(data="kind")) == [("a", "b", "data"), ("a", "c", "sequential")]
    assert dict(graph.nodes["c"]) == {}


def test_to_networkx_refuses_unknown_dependencies() -> None:
    with pytest.raises(PlanError, match="unknown dependency 'z'"):
        Plan.model_validate({"tasks": [{"id": "a", "dependencies": ["z"]}]}).to_networkx()


@given(graphs())
def test_any_directed_graph_comes_back(parents: list[list[int]]) -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph((p, node) for node, row in enumerate(parents) for p in row)
    graph.add_nodes_from(range(len(parents)))
    plan = Plan.from_networkx(graph)
    again = plan.to_networkx()
    assert {(int(a), int(b)) for a, b in again.edges} == set(graph.edges)
    assert set(again.nodes) == {str(node) for node in graph.nodes}
    assert all(task.kind == "none" for task in plan.tasks)


NODES = st.text(max_size=5) | st.integers() | st.tuples(st.integers(0, 3), st.text(max_size=2)) | st.just("CON")


@given(st.lists(NODES, max_size=12, unique=True))
def test_nodes_of_any_kind_get_good_ids_and_keep_their_names(nodes: list[Any]) -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    tasks = Plan.from_networkx(graph).tasks
    assert all(fault_of_id(task.id) is None for task in tasks)
    assert len({task.id.casefold() for task in tasks}) == len(graph.nodes)
    assert all(str(node) in (task.id, task.title) or not str(node) for node, task in zip(graph, tasks, strict=True))


def test_attributes_are_kept_and_cycles_too() -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph([(1, 2), (2, 1)], name="G")
    graph.nodes[1].update(label="One", phase="p", role="r", weight=3)
    plan = Plan.from_networkx(graph)
    assert (plan.title, [phase.id for phase in plan.phases]) == ("G", ["p"])
    assert (plan["1"].title, plan["1"].phase, plan["1"].role, plan["2"].upstream) == ("One", "p", "r", ("1",))
    assert plan.graph.cycle() == [0, 1]


def test_a_graph_without_directions_is_refused() -> None:
    with pytest.raises(PlanError, match="make it a DiGraph"):
        Plan.from_networkx(nx.Graph([(1, 2)]))  # type: ignore[arg-type]


def test_many_nodes_without_a_usable_name_are_numbered_quickly() -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(chr(0x4E00 + number) for number in range(5_000))
    assert Plan.from_networkx(graph).tasks[-1].id == "node-5000"
