from __future__ import annotations

import json

import pytest

from tests.benchmarks import layout
from tests.tools import need


def test_layout_runs_at_a_tiny_size(capsys: pytest.CaptureFixture[str]) -> None:
    need("dot")
    layout.main(["--size", "100", "--reps", "1"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["table"] for line in lines] == ["time"] * 2 + ["crossings"] * 10
    assert all(line["times_faster"] > 0 for line in lines[:2])
    assert [line["nodes"] for line in lines if "worst_ratio" in line] == [10, 20]


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([[0, 0, 10, 10], [0, 10, 10, 0]], 1),
        ([[0, 0, 10, 10], [0, 0, 10, 0]], 0),  # a common end
        ([[0, 0, 10, 0], [5, 0, 5, 9]], 0),  # one ends on the other
        ([[0, 0, 10, 0, 20, 10], [0, 5, 20, 5], [5, -5, 5, 20]], 3),
        ([[0, 0, 10, 10, 0, 10, 10, 0]], 0),  # a line with itself
        ([[0, 0, 10, 0], [2, 0, 8, 0]], 0),  # one upon the other
    ],
)
def test_crossings_are_counted_exactly(lines: list[list[float]], count: int) -> None:
    assert layout.crossings(lines) == count


def test_control_points_of_dot_are_read_whole() -> None:
    plain = (
        "graph 1 1 1\nnode 0 1 2 .5 .5 0 solid box black lightgrey\nedge 0 1 4 1 2 3 \\\n4 5 6 7 8 solid black\nstop\n"
    )
    assert layout.dot_lines(plain) == [[1, 2, 3, 4, 5, 6, 7, 8]]
