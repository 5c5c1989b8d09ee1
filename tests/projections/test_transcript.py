"""S1 3.2's transcript."""

from __future__ import annotations

from hypothesis import given, settings

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.transcript import Transcript
from tests.histories import History, histories, tell

PLAN = {
    "tasks": [
        {"id": "T-01", "title": "Task Name", "agent": "simulated", "prompt": "Read all", "parameters": {"depth": 2}},
        {"id": "T-02", "command": ["ruff", "check"], "dependencies": ["T-01"], "inputs": {"code": "a.py"}},
    ]
}


def transcript_of(history: History) -> str:
    transcript = Transcript()
    parts = [transcript.of(record, state) for record, state in history.replay()]
    return "\n".join(part for part in parts if part)


def test_it_has_s1s_form() -> None:
    history = tell(PLAN, e.TaskStarted("T-01", 1, 1))
    history.tell(e.TaskProgressed("T-01", 1, "Step 1"), e.TaskProgressed("T-01", 1, "Step 2"))
    history.tell(e.TaskCompleted("T-01", 1, 1.2, value={"files": 3}))
    history.tell(
        e.TaskStarted("T-02", 1, 2), e.TaskFailed("T-02", 1, "exit code 2", "exit_code", 0.5, commits=("a", "b"))
    )
    thick, thin = "═" * 59, "─" * 59
    assert transcript_of(history) == (
        "[14:30:00] Untitled plan: 2 tasks\n[14:30:00] Run 1 started\n"
        f"\n{thick}\n🚀 Batch #1 (No Dependencies)\n{thick}\n\n"
        "▶️ Agent-01 Executing Task Name\n"
        f"\n🤖 Agent-01 [T-01: Task Name]\n{thin}\n"
        "📥 Input: depth = 2\n⚙️ Executing:\n   1. Step 1\n   2. Step 2\n"
        '📤 Output: {"files":3}\n⏱️ Duration: 1.2s\n✅ Completed\n'
        f"\n{thick}\n🚀 Batch #2 (After T-01)\n{thick}\n\n"
        "▶️ Agent-02 Executing T-02\n"
        f"\n🤖 Agent-02 [T-02]\n{thin}\n"
        "📥 Input: code, what T-01 left\n⚙️ Executing:\n   1. ruff check\n"
        "📤 Output: none\n⏱️ Duration: 0.5s\n❌ Failed: Task Failed: exit code 2\n"
        "To Rollback, Run: git revert --no-edit b a"
    )


def test_a_batch_has_one_header() -> None:
    plan = {"tasks": [{"id": name, "command": ["x"]} for name in "abc"]}
    text = transcript_of(tell(plan, *[e.TaskStarted(name, 1, 1) for name in "abc"]))
    assert text.count("Batch #1") == 1
    assert text.count("▶️") == 3


@settings(max_examples=40, deadline=None)
@given(histories(40))
def test_every_history_can_be_told_even_late(history: History) -> None:
    transcript = Transcript()
    for record in history.records:
        assert "\x1b" not in transcript.of(record, history.state)
