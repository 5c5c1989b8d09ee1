"""The picture of a graph in a saved notebook, and the process that draws it."""

from __future__ import annotations

import subprocess
import sys

import pytest

DRAWN = """
import sys
from base64 import b64decode
from orchestrator_nb.jupyter.cells import PICTURE_SCALE
from orchestrator_nb.jupyter.pictures import graph_png
from orchestrator_nb.projections.layout import GraphView, Node

sys.executable = sys.argv[1]
view = GraphView((Node("a", "A task"), Node("b", "Another")), ((0, 1, "data"),))
pictures = [b64decode(graph_png(view))]
imported = "matplotlib.figure" in sys.modules
from orchestrator_nb.projections.figure import picture
pictures += [b64decode(graph_png(view)), picture(view, PICTURE_SCALE)]
print(imported, len(set(pictures)), pictures[0][1:4].decode())
"""


@pytest.mark.parametrize(("python", "imported"), [(sys.executable, False), ("/no/such/python", True)])
def test_a_process_of_its_own_draws_where_there_is_one_until_matplotlib_is_here(python: str, imported: bool) -> None:
    done = subprocess.run([sys.executable, "-c", DRAWN, python], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{imported} 1 PNG", done.stderr


DRAWN_ONCE = """
import sys
from orchestrator_nb.jupyter.pictures import graph_png
from orchestrator_nb.projections.layout import GraphView, Node

def view(status):
    return GraphView((Node("a", "A task", status=status), Node("b", "Another")), ((0, 1, "data"),))

drawn = graph_png(view("running"))
sys.executable = "/no/such/python"  # whoever draws now imports matplotlib
again = graph_png(view("running"))
print(again is drawn, "matplotlib.figure" in sys.modules)
for status in ("completed", "failed", "blocked", "skipped"):
    assert graph_png(view(status)) != drawn
print(graph_png(view("running")) is drawn)
"""


def test_the_same_picture_is_drawn_once_and_the_oldest_is_forgotten() -> None:
    done = subprocess.run([sys.executable, "-c", DRAWN_ONCE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"], done.stderr
