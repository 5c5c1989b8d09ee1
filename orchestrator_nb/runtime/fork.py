"""A fork: a new session that takes over the finished work of another one, by fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.checks import check
from orchestrator_nb.core.faults import refuse
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.ports import RunContext
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError, PlanError
from orchestrator_nb.planning.handles import plain
from orchestrator_nb.runtime.assignments import Assigner

if TYPE_CHECKING:
    from orchestrator_nb.runtime.engine import Engine
    from orchestrator_nb.runtime.session import Session


def with_parameters(plan: Plan, task_id: str, parameters: Mapping[str, Any], agents: Collection[str]) -> Plan:
    """`plan` with `parameters` put over those of one task, name by name.

    Raises `PlanError` with all faults if they are no JSON values, or if the plan makes no sense with them.
    """
    if not isinstance(parameters, Mapping):
        raise PlanError(f"parameters must be a mapping from names to values, not {type(parameters).__name__}")
    tasks = list(plan.tasks)
    index = plan.graph.index[task_id]
    merged = {**tasks[index].parameters, **plain(parameters, "parameters")}
    tasks[index] = tasks[index].model_copy(update={"parameters": merged})
    changed = plan.model_copy(update={"tasks": tuple(tasks)})
    refuse(check(changed, agents=agents))
    return changed


def reuse(engine: Engine, parent: Session, task_id: str, run: RunContext) -> list[str]:
    """Take over what `parent` has completed, but `task_id` and what depends on it; returns the ids.

    A task is taken over if all that it reads from is, and its fingerprint, computed anew with the new parameters,
    files and code, is the recorded one. Its files are copied and checked by hash.
    """
    state, graph = engine.state, engine.state.graph
    start = graph.index[task_id]
    again = graph.descendants(start) | {start}
    assigner = Assigner(run, state, engine.read)
    taken: list[str] = []
    for index in graph.order():
        task = state.by_index[index]
        old = parent.state.tasks.get(task.id)
        if index in again or old is None or old.status is not TaskStatus.COMPLETED:
            continue
        if all(state.by_index[p].status is TaskStatus.COMPLETED for p in graph.parents[index]) and _same(
            assigner, task, old
        ):
            _copy_files(engine, parent, old)
            engine.record(_taken_over(old, parent.id))
            taken.append(task.id)
    return taken


def stale_by_fingerprint(engine: Engine) -> list[str]:
    """The completed tasks of a session that would do something else now, and what depends on them: their ids."""
    state, graph = engine.state, engine.state.graph
    assigner = Assigner(engine.context(), state, engine.read)
    stale: set[int] = set()
    for index in graph.order():
        task = state.by_index[index]
        if task.status is TaskStatus.COMPLETED and index not in stale and not _same(assigner, task, task):
            stale |= graph.descendants(index) | {index}
    return [state.by_index[i].id for i in sorted(stale) if state.by_index[i].status is TaskStatus.COMPLETED]


def _same(assigner: Assigner, task: TaskState, old: TaskState) -> bool:
    try:
        return assigner.fingerprint(assigner.assign(task, 1, old.fallback)) == old.fingerprint
    except OrchestratorError:
        return False  # something that it reads is not there any more


def _copy_files(engine: Engine, parent: Session, old: TaskState) -> None:
    for artifact in (*old.outputs, *([old.result] if old.result else [])):
        engine.directory.root.write_atomic(artifact.path, parent.read(artifact), sync=True)


def _taken_over(old: TaskState, parent: str) -> e.TaskCompleted:
    return e.TaskCompleted(
        old.id,
        0,
        old.duration or 0.0,
        value=old.value,
        result=old.result,
        format=old.format,
        outputs=old.outputs,
        exit_code=old.exit_code,
        commits=old.commits,
        work=old.work,
        reused_from=old.reused_from or parent,
        fingerprint=old.fingerprint,
        imported=old.imported,
    )
