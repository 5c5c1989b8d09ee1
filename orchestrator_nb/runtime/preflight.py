"""What would keep a run from starting, found before it starts: missing binaries, functions, notebooks, agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.ports import Assignment, RunContext
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.planning.loaded import LoadedPlan, located


def preflight(state: State, run: RunContext, registry: Registry) -> None:
    """Ask each task's agent what is missing; raises `AgentError` naming every task and remedy at once.

    Tasks that are over are not asked. Work whose values are not known yet is judged as far as it can be.
    """
    assert state.plan is not None
    asked = (spec for task, spec in zip(state.by_index, state.plan.tasks, strict=True) if not task.status.settled)
    missing = [f"task '{spec.id}': {what}" for spec, what in obstacles(asked, run, registry)]
    if missing:
        shown = missing[:20] + ([f"... and {len(missing) - 20} more"] if len(missing) > 20 else [])
        raise AgentError("the plan cannot start:\n" + "\n".join(shown))


def warned(loaded: LoadedPlan, registry: Registry) -> LoadedPlan:
    """A plan that is only checked, with a warning for each task that could not start on this machine.

    Agents that are named by their path are not asked: who checks a plan has not agreed to run code of it.
    """
    plan = loaded.require()
    here = Path.cwd()
    run = RunContext(session="", directory=here, base=loaded.base, cwd=here, functions=loaded.functions)
    positions = {task.id: position for position, task in enumerate(plan.tasks)}
    asked = (task for task in plan.tasks if ":" not in task.kind)
    faults = [
        Fault("warning", f"could not start on this machine: {what}", task.id, ("tasks", positions[task.id]))
        for task, what in obstacles(asked, run, registry)
    ]
    return replace(loaded, faults=(*loaded.faults, *located(faults, loaded.locate)))


def obstacles(tasks: Iterable[Task], run: RunContext, registry: Registry) -> Iterator[tuple[Task, str]]:
    """The tasks that could not start now, each with what its agent says is missing."""
    asked: dict[tuple[object, ...], str | None] = {}
    for number, spec in enumerate(tasks, start=1):
        program = spec.command if isinstance(spec.command, str | None) else spec.command[:1]
        names = tuple(spec.parameters) if spec.function or spec.notebook else spec.id if spec.parameters else ()
        key = (spec.kind, spec.function, spec.notebook, program, spec.cwd, names)
        if key not in asked:
            assignment = Assignment(run=run, task=spec, number=number, work=spec, attempt=1)
            try:
                asked[key] = registry.get(spec.kind).preflight(assignment)
            except OrchestratorError as error:
                asked[key] = str(error)
        if what := asked[key]:
            yield spec, what
