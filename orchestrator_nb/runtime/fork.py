"""A fork: a new session that takes over the finished work of another one, by fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.checks import check
from orchestrator_nb.core.faults import refuse
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.ports import RunContext
from orchestrator_nb.core.stages import Stage, last_round, stage_of
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, OrchestratorError, PlanError
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


def carry_goal(engine: Engine, parent: Session, plan: Plan, task_id: str) -> tuple[Plan, int]:
    """Let the fork of a session that began with a prompt go on to the same goal.

    Returns its plan, without the last verdict, and the round of the loop that is in force. Forked at its first planning
    it begins anew. Raises `CommandRefused` for any other step of the loop.
    """
    from orchestrator_nb.planning.goal import load_goal
    from orchestrator_nb.planning.loop import first_plan

    state, blobs = parent.state, parent.directory.blobs
    assert state.goal is not None
    goal = blobs.get(state.goal.goal)
    engine.record(msgspec.structs.replace(state.goal, goal=engine.blobs.put(goal)))
    if (stage := stage_of(task_id)) is not None:
        if stage != (1, "plan"):
            raise CommandRefused(
                f"'{task_id}' is a step of the loop: fork at {Stage(1, 'plan').id} to plan anew, or at a planned task"
            )
        return first_plan(load_goal(goal)), 0
    if state.proposed is not None:
        kept = engine.blobs.put(blobs.get(state.proposed.breakdown))
        engine.record(msgspec.structs.replace(state.proposed, breakdown=kept))
    if state.gaps is not None:
        engine.record(state.gaps)
    last = last_round(plan)
    verdicts = {Stage(last, "verify").id, Stage(last, "verify-again").id}
    return plan.model_copy(update={"tasks": tuple(t for t in plan.tasks if t.id not in verdicts)}), state.round


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
        if all(state.by_index[p].status is TaskStatus.COMPLETED for p in graph.parents[index]) and (
            stage_of(task.id) is not None or does_the_same(assigner, task, old)
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
        if task.status is TaskStatus.COMPLETED and index not in stale and not does_the_same(assigner, task, task):
            stale |= graph.descendants(index) | {index}
    return [state.by_index[i].id for i in sorted(stale) if state.by_index[i].status is TaskStatus.COMPLETED]


def does_the_same(assigner: Assigner, task: TaskState, old: TaskState) -> bool:
    """Whether `task` would do now what `old` has done, by its fingerprint."""
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
