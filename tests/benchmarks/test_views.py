"""The benchmark of live views works, and what it finds is not far off."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.tools import need


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_views_cost_little_at_a_small_size() -> None:
    if os.environ.get("CI") != "true" and not all(map(importlib.util.find_spec, ("playwright", "jupyterlab"))):
        pytest.skip("needs playwright and jupyterlab")
    need(os.environ.get("CHROMIUM", "chromium"))
    options = ["--only", "change", "memory", "saved", "--size", "50", "--runs", "5", "--changes", "5"]
    command = [sys.executable, "-m", "tests.benchmarks.views", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=290)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    changes, memory, saved = (
        [line for line in lines if line["figure"] == figure]
        for figure in ("one change", "memory a run", "saved notebook")
    )
    assert all(line["painted"] == 5 and line["synced_to_paint_ms"] < 500 for line in changes)  # must: 50 ms, when quiet
    assert all(line["alive_at_last"]["Engine"] == 1 and line["alive_at_last"]["widgets"] == 0 for line in memory)
    assert saved[0]["kB"] < 300
