from __future__ import annotations

import json

import pytest

from tests.benchmarks import durability


def test_durability_runs_at_a_tiny_size(capsys: pytest.CaptureFixture[str]) -> None:
    durability.main(["--size", "50", "--reps", "1"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 9
    assert all(line["table"] == "durability" and line["ours_us"] > 0 for line in lines)
