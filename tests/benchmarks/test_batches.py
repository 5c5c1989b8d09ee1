"""The benchmark of batches works; what it measures is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_benchmark_of_batches_runs() -> None:
    lines = []
    for subjects, size in ((("batch", "commands", "first"), "2"), (("many",), "8")):
        command = [sys.executable, "-m", "tests.benchmarks.batches", *subjects, "--size", size]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
        lines += [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["subject"] for line in lines] == ["batch"] * 2 + ["commands"] * 2 + ["first"] + ["many"] * 3
    assert all(line["ours"] > 0 for line in lines if "ours" in line)
    assert lines[-2]["files"] == 0
