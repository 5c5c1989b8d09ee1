from __future__ import annotations

import json

import pytest

from tests.benchmarks import agents


def test_agents_run_at_a_tiny_size(capsys: pytest.CaptureFixture[str]) -> None:
    agents.main(["--reps", "1"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines] == ["lines", "lines-claude", "lines-codex", "lines-gemini"]
    assert all(line["ours_us"] > 0 and line["ratio"] > 0 for line in lines)
    assert lines[0]["lines"] == sum(line["lines"] for line in lines[1:])
