"""A plan before any run, as a static bundle: its tasks by level, its critical path, what is doubtful about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from orchestrator_nb.core.analysis import plan_priorities
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.models import Plan
from orchestrator_nb.projections.rendering import text_html
from orchestrator_nb.projections.settled_tables import LEFT, MAX_LINES, MAX_ROWS, aligned, fitting, more_html
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.words import count, some

#: Bytes of the table in HTML.
_TABLE = 60_000
#: Dependencies of a task that are named, tasks of the critical path, and warnings.
_NAMED = 4
_PATH = 30
_WARNINGS = 20
CRITICAL = "◆"


class _Row(NamedTuple):
    level: str
    critical: str
    id: str
    title: str
    kind: str
    priority: str
    after: str


def plan_bundle(plan: Plan, warnings: Iterable[object] = ()) -> dict[str, str]:
    """A plan as ``text/html`` and ``text/plain``; `warnings` are faults or sentences. Nothing of it needs to be right:
    dependencies on unknown tasks, and tasks in a circle, are shown as far as that goes.
    """
    graph = _graph(plan)
    path = graph.critical_path()
    levels = graph.levels()
    rows = _rows(plan, graph, levels, frozenset(path))
    facts = f"{count(len(plan), 'task')} in {count(len(levels), 'level')}"
    told = [one_line(str(warning), 500) for warning in warnings]
    critical = " → ".join(graph.ids[index] for index in path[:_PATH]) if len(path) > 1 else ""
    critical += f" … and {len(path) - _PATH:,} more" if len(path) > _PATH else ""
    return {
        "text/html": _html(plan, facts, critical, told, rows),
        "text/plain": _text(plan, facts, critical, told, rows),
    }


def _graph(plan: Plan) -> Graph:
    """The plan's graph without the dependencies that lead nowhere, and without those of tasks in a circle."""
    known = {task.id for task in plan.tasks}
    graph = Graph([task.id for task in plan.tasks], [[p for p in task.upstream if p in known] for task in plan.tasks])
    placed = set(graph.order())
    if len(placed) == len(graph):
        return graph
    upstream = [
        [graph.ids[parent] for parent in parents] if node in placed else []
        for node, parents in enumerate(graph.parents)
    ]
    return Graph(graph.ids, upstream)


def _rows(plan: Plan, graph: Graph, levels: Sequence[Sequence[int]], critical: frozenset[int]) -> list[_Row]:
    """The first rows by level; priorities are computed only for a plan that is in order."""
    sound = all(parent in graph.index for task in plan.tasks for parent in task.upstream)
    priorities = [str(priority) for priority in plan_priorities(plan)] if sound else None
    first = [(level, node) for level, nodes in enumerate(levels, 1) for node in nodes][:MAX_ROWS]
    return [
        _Row(
            level=str(level),
            critical=CRITICAL if node in critical and len(critical) > 1 else "",
            id=task.id,
            title="" if task.label == task.id else one_line(task.label, 60),
            kind=task.kind,
            priority=priorities[node] if priorities else str(task.priority or "–"),
            after=some(list(task.upstream), _NAMED),
        )
        for level, node in first
        for task in [plan.tasks[node]]
    ]


def _html(plan: Plan, facts: str, critical: str, warnings: Sequence[str], rows: Sequence[_Row]) -> str:
    parts = [f"<h3>{text_html(plan.title, 100)}</h3>\n"]
    if plan.description:
        parts.append(f"<p>{text_html(plan.description, 1000)}</p>\n")
    parts.append(f"<p>{facts}</p>\n")
    if warnings:
        listed = "".join(f"<li>⚠️ {text_html(warning, 500)}</li>\n" for warning in warnings[:_WARNINGS])
        parts.append(f"<ul>\n{listed}</ul>\n{more_html(len(warnings) - _WARNINGS, 'more warning')}")
    lines = fitting(map(_row_html, rows), _TABLE)
    parts.append(f"{_HEAD}{''.join(lines)}</tbody></table>\n{more_html(len(plan) - len(lines), 'more task')}")
    if critical:
        parts.append(f"<p>Critical path ({CRITICAL}): {text_html(critical, 2000)}</p>\n")
    return f"<div>\n{''.join(parts)}</div>"


_HEAD = (
    f"<table><thead><tr><th>Level</th><th></th><th {LEFT}>Task</th><th {LEFT}>Agent</th><th>Priority</th>"
    f"<th {LEFT}>After</th></tr></thead><tbody>\n"
)


def _row_html(row: _Row) -> str:
    title = f" · {text_html(row.title)}" if row.title else ""
    return (
        f"<tr><td>{row.level}</td><td>{row.critical}</td><td {LEFT}><b>{text_html(row.id)}</b>{title}</td>"
        f"<td {LEFT}>{text_html(row.kind)}</td><td>{row.priority}</td><td {LEFT}>{text_html(row.after)}</td></tr>\n"
    )


def _text(plan: Plan, facts: str, critical: str, warnings: Sequence[str], rows: Sequence[_Row]) -> str:
    parts = [f"{one_line(plan.title)}: {facts}"]
    parts += [f"⚠️ {warning}" for warning in warnings[:_WARNINGS]]
    shown = [tuple(row) for row in rows[:MAX_LINES]]
    if shown:
        header = ("LEVEL", "", "TASK", "TITLE", "AGENT", "PRIO", "AFTER")
        parts.append(f"\n{aligned(header, shown, 120)}")
    if len(plan) > len(shown):
        parts.append(f"… and {count(len(plan) - len(shown), 'more task')}")
    if critical:
        parts.append(f"\nCritical path ({CRITICAL}): {one_line(critical, 2000)}")
    return "\n".join(parts)
