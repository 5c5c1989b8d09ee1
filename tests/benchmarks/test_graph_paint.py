"""The benchmark of the live graph works, and what it finds is not far off."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.tools import need


@pytest.mark.slow
def test_graph_paint_at_a_small_size() -> None:
    if os.environ.get("CI") != "true" and not all(map(importlib.util.find_spec, ("playwright", "jupyterlab"))):
        pytest.skip("needs playwright and jupyterlab")
    need(os.environ.get("CHROMIUM", "chromium"))
    command = [sys.executable, "-m", "tests.benchmarks.graph_paint", "--reps", "1", "--sizes", "50"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=110)
    row = json.loads(done.stdout)
    assert row["paint_ms"] < 1500  # the figures (150 and 50 ms) are for a quiet machine
    assert row["change_ms"] < 500
