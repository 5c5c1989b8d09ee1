"""`session.json`: S0's state of the session."""

from __future__ import annotations

import json

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.session_json import session_json
from tests.histories import History, tell


def test_before_the_plan_it_is_phase_one() -> None:
    history = History().tell(e.SessionCreated("child", "0.1.0", 1, "mother", "T-02"))
    document = json.loads(session_json(history.state, 0))
    assert (document["phase"], document["current_task_idx"], document["gap_count"]) == (1, 0, 0)
    assert document["parent"] == {"session_id": "mother", "task": "T-02"}
    assert document["status"] == "created"


def test_with_a_plan_it_is_phase_two_and_counts() -> None:
    history = tell({"title": "A\nplan", "tasks": [{"id": name, "function": "m:f"} for name in "abcd"]})
    history.tell(e.TaskStarted("a", 1, 1), e.TaskCompleted("a", 1), after=2.5)
    assert json.loads(session_json(history.state, 1)) == {
        "phase": 2,
        "current_task_idx": 1,
        "gap_count": 0,
        "session_id": "20250112-143000-abcd",
        "title": "A plan",
        "status": "running",
        "seq": 5,
        "created_at": "2025-01-12T14:30:00Z",
        "updated_at": "2025-01-12T14:30:02Z",
        "tasks": 4,
        "settled": 1,
        "progress": 0.25,
        "counts": {"pending": 3, "completed": 1},
        "open_checkpoints": [],
        "warnings": 0,
        "result": None,
    }
