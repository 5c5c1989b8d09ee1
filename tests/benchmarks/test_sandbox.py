"""The benchmark of containment works, and a contained start is cheap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from orchestrator_nb.system.sandbox.policy import Level
from tests.system.sandbox.place import need


def test_sandbox_at_a_tiny_size() -> None:
    need(Level.BUBBLEWRAP)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sandbox.py")), "--reps", "3", "--size", "200"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)},
    )
    *levels, guard = map(json.loads, done.stdout.splitlines())
    assert levels[0]["level"] == "bubblewrap"
    assert levels[0]["more"] < 1  # the figure (0.05 s) is for a quiet machine
    assert guard["files"] == 200
