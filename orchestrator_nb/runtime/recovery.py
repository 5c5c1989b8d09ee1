"""What a crash left behind: tasks that the log calls running although nobody runs them (G3)."""

from __future__ import annotations

from orchestrator_nb.core import events as e
from orchestrator_nb.core.reviews import review_id
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import WORKING
from orchestrator_nb.runtime.merger import name_for
from orchestrator_nb.runtime.nested_spending import spent_by_nested_runs
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.processes import sweep

#: A task during which the coordinator died this often is held to be the cause, and fails (row A13).
MAX_CRASHES = 3


def reconcile(state: State, directory: SessionDir) -> list[e.AnyEvent]:
    """Rule on every attempt that was left running: its processes are killed and proven dead, or named.

    Such an attempt is interrupted and runs again, without using up a retry; after `MAX_CRASHES` of them the task fails.
    """
    if state.merging is not None:
        sweep(state.session, name_for(state), state.merging.attempt)
    events: list[e.AnyEvent] = []
    for task in state.by_index:
        if task.status in WORKING:
            ruling = _rule(state, task.id)  # nothing of it runs on
            events += [*spent_by_nested_runs(directory, task.id, task.attempt), ruling]
    return events


def _rule(state: State, task_id: str) -> e.AnyEvent:
    task = state.tasks[task_id]
    survivors = sweep(state.session, task_id, task.attempt)
    if task_id in state.reviews:
        for reviewer in state.reviews[task_id].request.reviewers:
            survivors += sweep(state.session, review_id(task_id, reviewer), state.reviews[task_id].request.attempt)
    if task.interruptions + 1 >= MAX_CRASHES:
        return e.TaskFailed(
            task_id,
            task.attempt,
            f"the process that ran the plan died {MAX_CRASHES} times while this task was running; "
            f"'orchestrate retry {task_id}' tries it again",
            "crash_loop",
        )
    return e.AttemptInterrupted(
        task_id,
        task.attempt,
        "the process that ran the plan died",
        crashed=True,
        proven_dead=not survivors,
        survivors=tuple(survivors),
    )
