"""A plan before any run: its graph, its tasks, what is wrong or doubtful, its critical path."""

from __future__ import annotations

from typing import Any

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.models import Plan
from orchestrator_nb.jupyter.cells import Output, print_text
from orchestrator_nb.jupyter.environment import Environment, environment
from orchestrator_nb.jupyter.graph import plan_graph
from orchestrator_nb.jupyter.pictures import graph_png
from orchestrator_nb.planning.sources import plan_from
from orchestrator_nb.projections.layout import GraphView, collapse_by_phase, layout


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
        Output().show({"image/png": graph_png(GraphView.of_plan(loaded.plan)), "text/plain": ""})
    Output().show(texts)


def plot_plan(plan: Plan, ax: Any = None, **look: Any) -> Any:
    """Draw the plan's graph into `ax`, else into a new figure; returns the axes or the figure."""
    from orchestrator_nb.projections import figure

    view = collapse_by_phase(GraphView.of_plan(plan))
    return figure.figure(layout(view), view, **look) if ax is None else figure.draw(ax, layout(view), view, **look)
