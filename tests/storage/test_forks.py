from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os
from orchestrator_nb.storage.forks import abandon_in_children

class Holder:
    def abandon(self):
        os.write(1, b"abandoned ")

kept, lost = Holder(), Holder()
abandon_in_children(kept)
abandon_in_children(lost)
del lost
if os.fork() == 0:
    os.write(1, b"child ")
    os._exit(0)
os.wait()
os.write(1, b"parent")
"""


def test_holders_are_told_in_the_child_alone() -> None:
    """And one that nobody uses any more is not kept alive for it."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, timeout=30, check=True)
    assert run.stdout == b"abandoned child parent"
