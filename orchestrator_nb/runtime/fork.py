"""A fork: a new session that takes over the finished work of another one, by fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ports import RunContext
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.runtime.assignments import Assigner

if TYPE_CHECKING:
    from orchestrator_nb.runtime.engine import Engine
    from orchestrator_nb.runtime.session import Session


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
        reused_from=old.reused_from or parent,
        fingerprint=old.fingerprint,
    )
