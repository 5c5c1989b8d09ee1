"""Graphs and tables for other programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import PlanError
from orchestrator_nb.planning.interchange import load_graph, node_link, tasks_csv

PLAN = Plan.model_validate(
    {
        "title": "Review",
        "tasks": [
            {"id": "a", "command": ["x"], "title": "=cmd()", "outputs": ["o.csv", "p.csv"]},
            {"id": "b", "agent": "human", "prompt": "?", "dependencies": ["a", {"task": "db", "kind": "resource"}]},
        ],
    }
)


def test_node_link_data_is_what_networkx_reads_and_writes() -> None:
    data = json.loads(json.dumps(node_link(PLAN, {"a": {"status": "completed"}})))
    graph = nx.node_link_graph(data, edges="edges")
    assert list(graph.edges(data=True)) == [("a", "b", {"kind": "data"})]
    assert graph.nodes["a"]["status"] == "completed"
    assert nx.utils.graphs_equal(nx.node_link_graph(node_link(PLAN), edges="edges"), PLAN.to_networkx())


def test_rows_of_tasks() -> None:
    rows = list(csv.DictReader(io.StringIO(tasks_csv(PLAN, {"b": {"status": "failed", "seconds": -1.5}}))))
    assert [row["id"] for row in rows] == ["a", "b"]
    assert rows[0]["title"] == "'=cmd()"  # no formula
    assert (rows[0]["outputs"], rows[0]["agent"], rows[0]["status"]) == ("o.csv p.csv", "shell", "")
    assert (rows[1]["dependencies"], rows[1]["status"], rows[1]["seconds"]) == ("a db", "failed", "-1.5")


@pytest.mark.parametrize("edges", ["edges", "links"])
def test_graphs_in_files(tmp_path: Path, edges: str) -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph([(("x", 1), "b"), ("b", 3)], name="G")
    (tmp_path / "g.json").write_text(json.dumps(nx.node_link_data(graph, edges=edges)))
    plan = load_graph(tmp_path / "g.json")
    assert plan.title == "G"
    assert {task.id: task.upstream for task in plan.tasks} == {"x-1": (), "b": ("x-1",), "3": ("b",)}
    assert plan["x-1"].title == "('x', 1)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "is no node-link data"),
        ('{"nodes": [{}], "edges": []}', "is no node-link data"),
        ('{"nodes": 3, "edges": []}', "is no node-link data"),
        ('{"nodes": [{"id": 1}], "edges": [{"source": 1, "target": 2}]}', "names the node 2"),
        ('{"directed": false, "nodes": [], "edges": []}', "no directions"),
        ('{"nodes": [{"id": {"a": 1}}], "edges": []}', "is no node-link data"),
        ("{", "is not JSON"),
    ],
)
def test_files_that_hold_no_graph(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "g.json").write_text(text)
    with pytest.raises(PlanError, match=words):
        load_graph(tmp_path / "g.json")
