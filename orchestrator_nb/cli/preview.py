"""``run --dry-run``: what would be run, without making anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator_nb.cli.output import Part, say, say_json, show_table

if TYPE_CHECKING:
    from orchestrator_nb.core.models import Plan


def preview(source: str, given: dict[str, Any], *, as_json: bool) -> int:
    """Print the plan with its levels, agents, priorities, critical path and parameters. Raises as a run would."""
    from orchestrator_nb.agents.registry import Registry
    from orchestrator_nb.planning.sources import plan_from
    from orchestrator_nb.runtime.plans import resolve_params

    loaded = plan_from(source, agents=Registry())
    plan = loaded.require()
    params = resolve_params(plan, given, base=loaded.base, cwd=Path.cwd())
    facts = _facts(plan, params, [str(fault) for fault in loaded.warnings])
    if as_json:
        say_json({"plan": loaded.source, **facts})
    else:
        _say(plan, facts)
    return 0


def _facts(plan: Plan, params: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    from orchestrator_nb.core.analysis import plan_priorities

    graph = plan.graph
    priorities = plan_priorities(plan)
    tasks = [
        {
            "task": task.id,
            "title": task.label,
            "agent": index + 1,
            "kind": task.kind,
            "priority": str(priorities[index]),
            "phase": task.phase,
            "level": level,
            "dependencies": list(task.upstream),
        }
        for level, nodes in enumerate(graph.levels(), 1)
        for index in nodes
        for task in [plan.tasks[index]]
    ]
    return {
        "title": plan.title,
        "params": params,
        "tasks": tasks,
        "levels": len(graph.levels()),
        "critical_path": [graph.ids[index] for index in graph.critical_path()],
        "warnings": warnings,
    }


def say_plan(
    plan: Plan, warnings: Sequence[str], numbers: Mapping[str, int], given: int, about: Mapping[str, object]
) -> None:
    """Print a proposed plan: its tasks by levels, its critical path, its warnings.

    `numbers` are those of agents that tasks have already, `given` is how many were given to any task; `about` says of
    some tasks what they may take.
    """
    facts = _facts(plan, {}, list(warnings))
    new = [task.id for task in plan.tasks if task.id not in numbers]
    later = {name: given + position for position, name in enumerate(new, 1)}
    for task in facts["tasks"]:
        task["agent"] = numbers.get(task["task"]) or later[task["task"]]
    _say(plan, facts, "", about)


def _say(
    plan: Plan, facts: dict[str, Any], also: str = "; nothing is run", about: Mapping[str, object] | None = None
) -> None:
    from orchestrator_nb.core.ids import agent_label
    from orchestrator_nb.projections.words import count, some

    say((plan.title, "bold"), f": {count(len(plan), 'task')} in {count(facts['levels'], 'level')}{also}")
    for name, value in facts["params"].items():
        say(f"  {name} = {value}")
    say()
    critical = set(facts["critical_path"])
    rows: list[list[Part]] = []
    for task in facts["tasks"]:
        rows.append(
            [
                str(task["level"]),
                ("◆", "bold") if task["task"] in critical else "",
                task["priority"],
                agent_label(task["agent"]),
                (task["task"], "bold"),
                task["kind"],
                some(task["dependencies"], 4),
                task["title"],
                *([str(about.get(task["task"], ""))] if about else []),
            ]
        )
    names = ["LEVEL", "", "PRIO", "AGENT", "TASK", "KIND", "AFTER", "TITLE"]
    show_table([*names, "TOOK"] if about else names, rows)
    say("\nCritical path (◆): ", " → ".join(facts["critical_path"][:50]))
    for warning in facts["warnings"]:
        say(("warning: ", "yellow"), warning.removeprefix("warning: "), err=True)
