"""`session.json`: S0's state of the session, and the figures that a glance wants."""

from __future__ import annotations

from typing import Any

from orchestrator_nb.core.stages import MAX_GAPS, last_round, stage_of
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import SETTLED
from orchestrator_nb.projections.task_files import json_file
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.words import iso

#: S0's phases.
PLANNING, EXECUTION = 1, 2


def session_json(state: State, current_task: int) -> bytes:
    """The file; `current_task` is the position of the first task not settled, at the end the number of tasks."""
    total = len(state.by_index)
    settled = sum(state.counts[status] for status in SETTLED)
    phase = EXECUTION if state.plan is not None else PLANNING
    if state.goal is not None and state.plan is not None:  # S0 counts the tasks that were planned
        current_task -= sum(stage_of(task.id) is not None for task in state.by_index[:current_task])
        phase = EXECUTION if state.round == last_round(state.plan) else PLANNING
    document: dict[str, Any] = {
        "phase": phase,
        "current_task_idx": current_task,
        "gap_count": min(state.gaps.count, MAX_GAPS) if state.gaps is not None else 0,
        "session_id": state.session,
        "title": one_line(state.plan.title) if state.plan is not None else "",
        "status": state.status,
        "seq": state.seq,
        "created_at": iso(state.created_at),
        "updated_at": iso(state.at),
        "tasks": total,
        "settled": settled,
        "progress": round(settled / total, 4) if total else 0.0,
        "counts": {status.value: number for status, number in state.counts.items() if number},
        "open_checkpoints": [checkpoint.id for checkpoint in state.open_checkpoints],
        "warnings": len(state.warnings),
        "result": state.merged.document.path if state.merged is not None else None,
    }
    if state.parent:
        document["parent"] = {"session_id": one_line(state.parent), "task": one_line(state.fork_task)}
    return json_file(document)
