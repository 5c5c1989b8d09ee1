"""`master_plan.md`: S1's status table, and what is known of the session."""

from __future__ import annotations

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.execution_log import ExecutionLog
from orchestrator_nb.projections.master_plan import StatusTable, master_plan
from tests.histories import History, tell
from tests.markdown import skeleton

PLAN = {
    "title": "Code Review",
    "description": "Checks everything.",
    "tasks": [
        {"id": "T-01", "title": "Read code", "command": ["x"]},
        {"id": "T-02", "title": "Style | check", "command": ["x"], "dependencies": ["T-01"]},
        {"id": "T-03", "agent": "human", "prompt": "Good?", "priority": "P3"},
    ],
}


def document_of(history: History, table: StatusTable | None = None) -> str:
    assert history.state.plan is not None
    if table is None:
        table = StatusTable()
        table.accept(history.state.plan)
    return master_plan(history.state, table, ExecutionLog()).decode()


def test_the_whole_document() -> None:
    history = tell(PLAN, e.TaskStarted("T-01", 1, 1), e.TaskCompleted("T-01", 1, 1.2), target="src/app")
    history.tell(e.TaskStarted("T-03", 1, 1), e.CheckpointReached("T-03@1", "T-03", 1, "Good?", "h"))
    assert document_of(history) == (
        "# Code Review\n\nChecks everything.\n\n"
        "- Session: `20250112-143000-abcd`\n- Created: 2025-01-12 14:30:00 UTC\n- Run status: running\n"
        "- Plan: [revision 1](artifacts/plan.json), 3 tasks\n- Parameter `target`: `src/app`\n"
        "- Tasks: 🟡 Pending 1, ✅ Completed 1, ✋ Awaiting approval 1\n"
        "- Checkpoint Reached: Good? Answer with `orchestrate approve T-03@1`.\n"
        "\n## Status\n\n"
        "| Agent | Task | Title | Priority | Status | Dependencies | Duration | Attempts |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| Agent-01 | T-01 | Read code | P0 | ✅ Completed | – | 1.2s | 1 |\n"
        "| Agent-02 | T-02 | Style \\| check | P0 | 🟡 Pending | T-01 | – | 0 |\n"
        "| Agent-03 | T-03 | T-03 | P3 | ✋ Awaiting approval | – | – | 1 |\n"
        "\n## Execution Log\n"
    )


def test_a_row_changes_when_its_task_was_touched() -> None:
    history = tell(PLAN)
    table = StatusTable()
    assert history.state.plan is not None
    table.accept(history.state.plan)
    before = document_of(history, table)
    history.tell(e.TaskStarted("T-01", 1, 1))
    assert "🔵 Running | –" not in document_of(history, table)
    table.touch(0)
    after = document_of(history, table)
    assert "| Agent-01 | T-01 | Read code | P0 | 🔵 Running | – | – | 1 |" in after
    assert skeleton(after) == skeleton(before)


def test_many_dependencies_are_cut() -> None:
    tasks = [{"id": f"t{n}", "function": "m:f"} for n in range(30)]
    last = {"id": "last", "function": "m:f", "dependencies": [f"t{n}" for n in range(30)]}
    assert "| t0, t1, t2, t3, t4, t5, t6, t7 and 22 more |" in document_of(tell({"tasks": [*tasks, last]}))


def test_the_result_and_the_origin_are_linked() -> None:
    history = History().tell(e.SessionCreated("child", "0.1.0", 1, "mother", "T-02"))
    history.tell(e.ResultsMerged("structured", e.Artifact("final_output.md", 1, "0")))
    document = master_plan(history.state, StatusTable(), ExecutionLog()).decode()
    assert "- Session: `child`, forked from `mother` at `T-02`\n" in document
    assert "- Result: [final_output.md](final_output.md)\n" in document
    assert "## Status" not in document
