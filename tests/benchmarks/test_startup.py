"""The benchmark of starting works, and starting is cheap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_startup_at_a_tiny_size() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("startup.py")), "--reps", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = {row["subject"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["orchestrate --help"]["beyond"] < 1.5  # the figure (0.3 s) is for a quiet machine
    assert rows["import orchestrator_nb"]["beyond"] < 0.5
