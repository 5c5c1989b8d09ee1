"""How durations, times and counts are written."""

from __future__ import annotations

import pytest

from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.projections.words import (
    STATUS_LABELS,
    approve_command,
    count,
    duration,
    iso,
    origin,
    rollback_command,
    some,
    timestamp,
)
from tests.histories import BEGIN


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "<0.1s"), (0.04, "<0.1s"), (0.06, "0.1s"), (1.2, "1.2s"), (7.0, "7s"), (9.94, "9.9s"), (9.96, "10s"),
        (45.4, "45s"), (59.6, "1m 00s"), (60, "1m 00s"), (125, "2m 05s"), (3599.7, "1h 00m"),
        (3720, "1h 02m"), (100_000, "27h 46m"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_times_are_utc() -> None:
    assert timestamp(BEGIN + 0.999) == "2025-01-12 14:30:00"
    assert iso(BEGIN) == "2025-01-12T14:30:00Z"


def test_counts_and_lists() -> None:
    assert [count(0, "task"), count(1, "task"), count(12_345, "task")] == ["0 tasks", "1 task", "12,345 tasks"]
    assert some(["a", "b"]) == "a, b"
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"
    assert some(["a", "b"], 2, 1_002) == "a, b and 1,000 more"
    assert some([]) == ""


def test_every_status_has_an_icon_and_s1s_are_s1s() -> None:
    assert set(STATUS_LABELS) == set(TaskStatus)
    labels = {STATUS_LABELS[status] for status in TaskStatus}
    assert {"🟡 Pending", "🔵 Running", "✅ Completed", "❌ Failed", "🔄 Retrying", "⏸️ Waiting"} <= labels


def test_the_command_that_answers_a_question_says_which_answers_there_are() -> None:
    assert approve_command("T-01@1", {}) == "orchestrate approve T-01@1"
    assert approve_command("T-01@1", {"type": "object", "default": {}}) == "orchestrate approve T-01@1"
    assert (
        approve_command("T-01@1", {"enum": ["agent", "hand"]}) == "orchestrate approve T-01@1 --answer agent (or hand)"
    )
    for schema in ({"type": "number"}, {"enum": []}, {"enum": ["a b", 1]}, {"enum": "ab"}):
        assert approve_command("T-01@1", schema) == "orchestrate approve T-01@1 --answer TEXT"


def test_commits_are_taken_back_newest_first() -> None:
    assert rollback_command(("a", "b")) == "git revert --no-edit b a"
    assert rollback_command(("a", "b"), merges=True) == "git revert --no-edit -m 1 b a"


def test_where_a_result_came_from() -> None:
    task = TaskState("a", 0, 1)
    assert origin(task) == ""
    task.reused_from = "20250101-120000-abcde"
    assert origin(task) == "taken over from 20250101-120000-abcde"
    task.imported = "me@here from /r.md"
    assert origin(task) == "imported by me@here from /r.md"
