"""The benchmark of notebooks works; what it measures is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_benchmark_of_notebooks_runs() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.notebooks", "same", "single", "--size", "2", "--reps", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["subject"] for line in lines] == ["same: real", "same: trivial", "single: real"]
    assert all(line["ours"] > 0 for line in lines)
