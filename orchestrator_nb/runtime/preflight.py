"""What would keep a run from starting, found before it starts: missing binaries, functions, notebooks, agents."""

from __future__ import annotations

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.ports import Assignment, RunContext
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import AgentError, OrchestratorError


def preflight(state: State, run: RunContext, registry: Registry) -> None:
    """Ask each task's agent what is missing; raises `AgentError` naming every task and remedy at once.

    Tasks that are over are not asked. Work whose values are not known yet is judged as far as it can be.
    """
    assert state.plan is not None
    missing: list[str] = []
    asked: dict[tuple[object, ...], str | None] = {}
    for task, spec in zip(state.by_index, state.plan.tasks, strict=True):
        if task.status.settled:
            continue
        program = spec.command if isinstance(spec.command, str | None) else spec.command[:1]
        names = tuple(spec.parameters) if spec.function or spec.notebook else task.id if spec.parameters else ()
        key = (spec.kind, spec.function, spec.notebook, program, spec.cwd, names)
        if key not in asked:
            assignment = Assignment(run=run, task=spec, number=task.number, work=spec, attempt=1)
            try:
                asked[key] = registry.get(spec.kind).preflight(assignment)
            except OrchestratorError as error:
                asked[key] = str(error)
        if asked[key]:
            missing.append(f"task '{task.id}': {asked[key]}")
    if missing:
        shown = missing[:20] + ([f"... and {len(missing) - 20} more"] if len(missing) > 20 else [])
        raise AgentError("the plan cannot start:\n" + "\n".join(shown))
