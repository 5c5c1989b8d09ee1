"""What would keep a run from starting, found before it starts: missing binaries, functions, notebooks, agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.ports import Assignment, RunContext
from orchestrator_nb.core.reviews import review_id
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.planning.loaded import LoadedPlan, located
from orchestrator_nb.runtime.merger import NAME


def preflight(state: State, run: RunContext, registry: Registry) -> None:
    """Ask each task's agent what is missing; raises `AgentError` naming every task and remedy at once.

    Tasks that are over are not asked. Work whose values are not known yet is judged as far as it can be.
    """
    assert state.plan is not None
    asked = (spec for task, spec in zip(state.by_index, state.plan.tasks, strict=True) if not task.status.settled)
    missing = [f"task '{spec.id}': {what}" for spec, what in obstacles(asked, run, registry)]
    if what := obstacle_of_merge(state.plan.merge, run, registry):
        missing.append(f"merge: {what}")
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
    if ":" not in plan.merge.agent and (what := obstacle_of_merge(plan.merge, run, registry)):
        faults.append(Fault("warning", f"merge: could not be done on this machine: {what}", path=("merge",)))
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
        if spec.review is not None:
            yield from ((spec, what) for what in _of_reviewers(spec, run, registry))


def obstacle_of_merge(merge: Merge, run: RunContext, registry: Registry) -> str | None:
    """What whoever is to merge the results says is missing, or None."""
    if not (merge.agent or merge.notebook):
        return None
    work = Task(id=NAME, agent=merge.agent, prompt="merge", notebook=merge.notebook, parameters=merge.parameters)
    assignment = Assignment(run=run, task=work, number=0, work=work, attempt=1)
    try:
        return registry.get(work.kind).preflight(assignment) or _without_result(assignment)
    except OrchestratorError as error:
        return str(error)


def _of_reviewers(spec: Task, run: RunContext, registry: Registry) -> list[str]:
    """What the reviewers of a task lack."""
    assert spec.review is not None
    missing = []
    for reviewer in spec.review.reviewers:
        if reviewer.kind in ("human", "function"):
            continue
        about = {"agent": reviewer.kind, "prompt": "review", "parameters": reviewer.parameters}
        work = Task.model_validate({"id": review_id(spec.id, reviewer.label), **about})
        try:
            fault = registry.get(work.kind).preflight(Assignment(run=run, task=work, number=0, work=work, attempt=1))
        except OrchestratorError as error:
            fault = str(error)
        missing += [f"reviewer '{reviewer.label}': {fault}"] if fault else []
    return missing


def _without_result(assignment: Assignment) -> str | None:
    """What is wrong with a notebook that is to show the merged document, or None."""
    if not assignment.work.notebook or "${" in assignment.work.notebook:
        return None
    from orchestrator_nb.agents.notebook import find
    from orchestrator_nb.ipynb.document import read_notebook

    path = find(assignment)
    tags = [tag for cell in read_notebook(path)["cells"] for tag in cell["metadata"].get("tags", ())]
    return None if "result" in tags else f"{path} has no cell tagged `result`, which would show the document"
