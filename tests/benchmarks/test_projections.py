from __future__ import annotations

import json

import pytest

from tests.benchmarks import projections


def test_projections_run_at_a_tiny_size(capsys: pytest.CaptureFixture[str]) -> None:
    projections.main(["--size", "200", "--reps", "1"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines] == ["apply", "all", "one"]
    assert all(line["ours_us"] > 0 and line["ratio"] > 0 for line in lines)
