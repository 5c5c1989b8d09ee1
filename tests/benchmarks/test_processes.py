from __future__ import annotations

import json

import pytest

from tests.benchmarks import processes


def test_processes_runs_at_a_tiny_size(capfd: pytest.CaptureFixture[str]) -> None:
    processes.main(["--size", "8", "--reps", "1", "--ballast", "10"])
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["what"] for line in lines] == ["launch", "launch, large parent", "output", "reaper"]
    assert all(line["table"] == "processes" for line in lines)
    assert all(line["ours_us"] > 0 and line["floor_us"] > 0 for line in lines[:3])
    assert lines[3]["reaper_mib"] < 12
