"""S1's execution log: its entries, its groups, its limit."""

from __future__ import annotations

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.execution_log import LIMIT, ExecutionLog
from tests.histories import BEGIN, History, tell

PLAN = {"tasks": [{"id": f"T-0{n}", "command": ["x"], "dependencies": ["T-01"] if n > 1 else []} for n in range(1, 6)]}


def log_of(history: History) -> str:
    log = ExecutionLog()
    log.name_agents({task.id: task.number for task in history.state.by_index})
    for record in history.records:
        log.add(record)
    return log.markdown()


def test_it_reads_like_s1s_example() -> None:
    history = tell(PLAN)
    history.tell(e.TaskStarted("T-01", 1, 1), after=15)
    history.tell(e.TaskCompleted("T-01", 1, 7.0, value="text"), after=7)
    for number in range(2, 6):
        history.tell(e.TaskStarted(f"T-0{number}", 1, 2))
        history.tell(e.TaskCompleted(f"T-0{number}", 1, 1.0))
    history.tell(e.ResultsMerged("structured", e.Artifact("final_output.md", 1, "0"), ("T-02",)), after=23)
    history.tell(e.RunEnded(1, "completed"))
    log = log_of(history)
    assert log.startswith(
        "\n### [2025-01-12 14:30:00] Initialized\n\n- Created 5 tasks\n- Assigned 5 agents\n"
        "\n### [2025-01-12 14:30:00] Run Started\n\n- Run 1, process 4242\n"
        "\n### [2025-01-12 14:30:15] Batch #1 Started\n\n- Agent-01 executing T-01\n"
        "\n### [2025-01-12 14:30:22] Agent-01 Completed\n\n- Duration: 7s\n- Output saved\n"
    )
    assert log.endswith(
        "\n### [2025-01-12 14:30:45] Results Merged\n\n- Result: `final_output.md`\n- Strategy: structured\n"
        "- Missing: 1 result\n"
        "\n### [2025-01-12 14:30:45] All Tasks Completed\n\n- Total duration: 45s\n- Phase Complete\n"
    )


def test_tasks_launched_together_share_a_heading() -> None:
    history = tell(PLAN, e.TaskStarted("T-01", 1, 1), e.TaskCompleted("T-01", 1))
    history.tell(e.TaskStarted("T-02", 1, 2), e.TaskStarted("T-03", 1, 2), e.TaskStarted("T-04", 1, 3))
    log = log_of(history)
    assert "Batch #2 Started\n\n- Agent-02 executing T-02\n- Agent-03 executing T-03\n\n### [" in log
    assert log.count("Batch #2 Started") == 1
    assert log.count("Batch #3 Started") == 1


def test_failures_speak_s0s_words() -> None:
    history = tell(PLAN, e.TaskStarted("T-01", 1, 1))
    history.tell(e.TaskFailed("T-01", 1, "exit code 3", "exit_code", 2.0, 3, commits=("aaa", "bbb")))
    history.tell(e.TaskRetryScheduled("T-01", 5.0), e.TaskStarted("T-01", 2, 2))
    history.tell(e.TaskFailed("T-01", 2, "Task Timeout: Agent exceeded 600s", "timeout", 600.0))
    history.tell(e.TaskFailureSettled("T-01", "block"), e.TaskBlocked("T-02", "T-01"), e.TaskBlocked("T-03", "T-01"))
    log = log_of(history)
    assert "- Task Failed: exit code 3\n- To Rollback, Run: `git revert --no-edit bbb aaa`\n- Duration: 2s\n" in log
    assert "Agent-01 Retrying\n\n- Next attempt in 5s\n" in log
    assert "- Agent-01 executing T-01, attempt 2\n" in log
    assert "\n- Task Timeout: Agent exceeded 600s\n" in log
    assert "Blocked by T-01\n\n- Agent-02 cannot start T-02\n- Agent-03 cannot start T-03\n" in log


def test_checkpoints_tell_how_to_answer() -> None:
    history = tell(PLAN, e.TaskStarted("T-01", 1, 1))
    history.tell(
        e.CheckpointReached("T-01@1", "T-01", 1, "Publish?", "h"), e.CheckpointRejected("T-01@1", "h", "no", "ann")
    )
    log = log_of(history)
    assert "- Checkpoint Reached: Publish?\n- Answer with `orchestrate approve T-01@1`\n" in log
    assert "Checkpoint Rejected\n\n- T-01@1\n- By ann\n- Reason: no\n" in log


def test_only_the_newest_events_are_kept_and_the_rest_is_counted() -> None:
    log = ExecutionLog()
    log.add(e.Record(1, BEGIN, e.RunStarted(1, 1, "h")))
    for at in range(LIMIT + 10):
        log.add(e.Record(at + 2, BEGIN + at, e.TaskStarted("a", 1, at)))
    log.add(e.Record(LIMIT + 12, BEGIN + 60, e.RunEnded(1, "failed")))
    text = log.markdown()
    assert "_12 earlier events can be read in `events.jsonl`._" in text
    assert text.count("\n### [") == LIMIT
    assert text.endswith("Run Failed\n\n- Total duration: 1m 00s\n")
    assert "executing a" in text


def test_agents_keep_the_names_they_had() -> None:
    log = ExecutionLog()
    log.name_agents({"a": 1})
    log.add(e.Record(1, BEGIN, e.TaskStarted("a", 1, 1)))
    log.name_agents({"b": 2})
    log.add(e.Record(2, BEGIN, e.TaskStarted("b", 1, 2)))
    assert "Agent-01 executing a" in log.markdown()
    assert "Agent-02 executing b" in log.markdown()
