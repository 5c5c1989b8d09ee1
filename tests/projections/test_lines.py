"""A run in plain lines."""

from __future__ import annotations

from datetime import timedelta, timezone

from hypothesis import given, settings

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.lines import Lines
from tests.histories import History, histories, tell

PLAN = {
    "title": "Demo",
    "tasks": [{"id": "T-01", "title": "Style check", "command": ["x"]}, {"id": "T-02", "command": ["x"]}],
}


def lines_of(history: History, lines: Lines | None = None) -> list[str]:
    lines = lines or Lines()
    return [line for record in history.records for line in lines.of(record, history.state)]


def test_a_run_is_told_in_s0s_words() -> None:
    history = tell(PLAN, e.TaskStarted("T-01", 1, 1), e.TaskStarted("T-02", 1, 1))
    history.tell(e.TaskProgressed("T-01", 1, "cell", 1, 3), e.TaskCompleted("T-01", 1, 1.2), after=1)
    history.tell(
        e.TaskFailed("T-02", 1, "no\nroom", duration=0.5, commits=("a", "b")), e.TaskRetryScheduled("T-02", 5.0)
    )
    history.tell(e.TaskStarted("T-02", 2, 2), e.CheckpointReached("T-02@2", "T-02", 2, "Go?", "h"))
    history.tell(
        e.CheckpointApproved("T-02@2", "h", "ann"), e.TaskStarted("T-02", 3, 3), e.TaskCompleted("T-02", 3, 0.0)
    )
    history.tell(e.RunEnded(1, "completed"))
    assert lines_of(history) == [
        "[14:30:00] Demo: 2 tasks",
        "[14:30:00] Run 1 started",
        "[14:30:00] T-01 started: Executing Style check",
        "[14:30:00] T-02 started: Executing T-02",
        "[14:30:01] T-01 1/3 cell",
        "[14:30:01] T-01 completed in 1.2s",
        "[14:30:01] T-02 failed after 0.5s: Task Failed: no room",
        "[14:30:01] To Rollback, Run: git revert --no-edit b a",
        "[14:30:01] T-02 is tried again in 5s",
        "[14:30:01] T-02 started, attempt 2: Executing T-02",
        "[14:30:01] T-02 Checkpoint Reached: Go?",
        "[14:30:01] T-02 answer with: orchestrate approve T-02@2",
        "[14:30:01] T-02@2 approved by ann",
        "[14:30:01] T-02 started, attempt 3: Executing T-02",
        "[14:30:01] T-02 completed in <0.1s",
        "[14:30:01] All tasks completed. Phase Complete",
    ]


def test_times_are_shown_where_the_reader_is() -> None:
    assert lines_of(tell(PLAN), Lines(timezone(timedelta(hours=2))))[0] == "[16:30:00] Demo: 2 tasks"


@settings(max_examples=40, deadline=None)
@given(histories(40))
def test_every_history_can_be_told_in_safe_lines_even_late(history: History) -> None:
    for line in lines_of(history):  # the state is that at the end
        assert line.isprintable()
