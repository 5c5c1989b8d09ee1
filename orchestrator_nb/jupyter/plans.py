"""A plan before any run: its graph, its tasks, what is wrong or doubtful, its critical path."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.models import Plan
from orchestrator_nb.jupyter.cells import PICTURE_SCALE, Output, print_text
from orchestrator_nb.jupyter.environment import Environment, environment
from orchestrator_nb.jupyter.graph import plan_graph
from orchestrator_nb.planning.sources import plan_from
from orchestrator_nb.projections.layout import GraphView, collapse_by_phase, layout

_PICTURE_CHILD = Path(__file__).with_name("_picture_child.py")
#: Seconds after which a process that draws is given up.
_PATIENCE = 60.0


def show_plan(source: Any) -> None:
    """Show a plan or a builder, with its faults; a graph that people can move in where somebody looks at it."""
    from orchestrator_nb.projections.settled import plan_bundle

    loaded = plan_from(source, agents=Registry())
    if loaded.plan is None:
        print_text("\n".join(map(str, loaded.faults)))
        return
    texts = plan_bundle(loaded.plan, loaded.faults)
    where = environment()
    if where in (Environment.TERMINAL, Environment.SCRIPT):
        print_text(texts["text/plain"])
        return
    drawable = bool(len(loaded.plan)) and not loaded.errors
    if drawable and where is Environment.NOTEBOOK:
        reference = {"version_major": 2, "version_minor": 0, "model_id": plan_graph(loaded.plan).model_id}
        Output().show({"application/vnd.jupyter.widget-view+json": reference, "text/plain": texts["text/plain"]})
    elif drawable:
        Output().show({"image/png": plan_png(loaded.plan), "text/plain": ""})
    Output().show(texts)


def plot_plan(plan: Plan, ax: Any = None, **look: Any) -> Any:
    """Draw the plan's graph into `ax`, else into a new figure; returns the axes or the figure."""
    from orchestrator_nb.projections import figure

    view = collapse_by_phase(GraphView.of_plan(plan))
    return figure.figure(layout(view), view, **look) if ax is None else figure.draw(ax, layout(view), view, **look)


def plan_png(plan: Plan) -> str:
    """The picture for a saved notebook, in base64."""
    return graph_png(GraphView.of_plan(plan))


def graph_png(view: GraphView) -> str:
    """The picture of a graph for a saved notebook, in base64; a large graph by its groups.

    Importing matplotlib takes half a second, in which no other thread of a kernel gets far: as long as nobody else
    has imported it, a process of its own draws.
    """
    from base64 import b64encode

    from orchestrator_nb.projections.figure import picture

    elsewhere = None if "matplotlib.figure" in sys.modules else _drawn_elsewhere(view)
    return b64encode(elsewhere or picture(view, PICTURE_SCALE)).decode("ascii")


def _drawn_elsewhere(view: GraphView) -> bytes | None:
    """The PNG, or None if there is no process to be had for it."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_PICTURE_CHILD), str(PICTURE_SCALE)],
            input=pickle.dumps(view),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            process_group=0,  # interrupting the kernel is not meant for it
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.stdout.startswith(b"\x89PNG") else None
