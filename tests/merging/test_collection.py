"""What tasks left, collected in dependency order, and S1 4.1's checklist."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.reports import Report
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import StorageError
from orchestrator_nb.merging import Collection, checklist, collect
from tests.histories import History, tell

PLAN: dict[str, Any] = {
    "title": "Review",
    "tasks": [
        {"id": "last", "title": "Report", "function": "m:f", "dependencies": ["text", "report"], "join": "all_done"},
        {"id": "text", "command": ["x"]},
        {"id": "report", "command": ["x"], "result": "report", "outputs": ["plot.png", "sub/a.csv"]},
        {"id": "written", "command": ["x"], "result": {"source": "out.md"}},
        {"id": "broken", "command": ["x"]},
        {"id": "behind", "command": ["x"], "dependencies": ["broken"]},
        {"id": "quiet", "function": "m:f"},
    ],
}


@pytest.fixture
def history() -> History:
    history = tell(PLAN)
    text = history.store("results/agent-02-result.md", b"all good\n")
    report = history.store("results/agent-03-result.json", msgspec.json.encode({"summary": "fine", "findings": []}))
    plot = history.store("outputs/report/plot.png", b"png")
    table = history.store("outputs/report/sub/a.csv", b"1,2\n")
    events: dict[str, e.TaskCompleted] = {
        "text": e.TaskCompleted("text", 1, result=text, format="text"),
        "report": e.TaskCompleted("report", 1, result=report, format="report", outputs=(plot, table)),
        "written": e.TaskCompleted("written", 1, value="short", format="text"),
        "quiet": e.TaskCompleted("quiet", 1),
        "last": e.TaskCompleted("last", 1, value={"n": 3}, format="json"),
    }
    for task, event in events.items():
        history.tell(e.TaskStarted(task, 1, 1), event)
    history.tell(e.TaskStarted("broken", 1, 1), e.TaskFailed("broken", 1, "exit code 2"))
    return history.tell(e.TaskFailureSettled("broken", "block"), e.TaskBlocked("behind", "broken"))


def collected(history: History) -> Collection:
    return collect(history.state, history.read)


def test_everything_is_collected_in_dependency_order(history: History) -> None:
    collection = collected(history)
    assert collection.title == "Review"
    assert [item.task for item in collection.contributions] == [
        "text", "report", "written", "broken", "quiet", "last", "behind",
    ]  # fmt: skip
    items = {item.task: item for item in collection.contributions}
    assert (items["text"].agent, items["text"].result, items["text"].printed) == ("Agent-02", "all good\n", True)
    assert items["text"].file == "results/agent-02-result.md"
    assert items["report"].result == Report("fine")
    assert items["report"].outputs == {"plot.png": "outputs/report/plot.png", "sub/a.csv": "outputs/report/sub/a.csv"}
    assert (items["written"].result, items["written"].printed) == ("short", False)
    assert items["last"].result == {"n": 3}
    assert items["quiet"].is_empty
    assert not items["quiet"].file
    assert collection.missing == ("broken", "behind")
    assert items["broken"].missing == "it failed: exit code 2"
    assert items["behind"].missing == "it could not start because 'broken' failed"
    assert items["behind"].status is TaskStatus.BLOCKED


def test_the_plan_may_choose_what_is_merged() -> None:
    history = tell({**PLAN, "merge": {"tasks": ["last", "text"], "title": "Chosen"}})
    collection = collected(history)
    assert collection.title == "Chosen"
    assert [item.task for item in collection.contributions] == ["text", "last"]
    assert [item.missing for item in collection.contributions] == ["it is pending", "it is waiting"]


def test_skipped_and_cancelled_tasks_say_why() -> None:
    plan = {"tasks": [{"id": name, "command": ["x"], "on_failure": "skip"} for name in "abcd"]}
    history = tell(plan, e.TaskStarted("a", 1, 1), e.TaskFailed("a", 1, "broken"), e.TaskFailureSettled("a", "skip"))
    history.tell(e.TaskSkipped("b", "not needed"), e.TaskCancelled("c", "ann", "too slow"), e.TaskCancelled("d"))
    assert [item.missing for item in collected(history).contributions] == [
        "it was skipped: broken", "it was skipped: not needed", "it was cancelled: too slow", "it was cancelled",
    ]  # fmt: skip


def test_a_result_that_cannot_be_read_is_missing(history: History) -> None:
    def refuse(artifact: e.Artifact) -> bytes:
        raise StorageError(f"{artifact.path} is gone")

    collection = collect(history.state, refuse)
    assert {"text", "report"} <= set(collection.missing)
    assert collection.contributions[0].missing == "its result cannot be read: results/agent-02-result.md is gone"
    damaged = collect(history.state, lambda artifact: b"{")
    assert "report" in damaged.missing
    assert "is no JSON" in damaged.contributions[1].missing


def test_the_checklist_is_s1s(history: History) -> None:
    assert checklist(collected(history)) == (
        "| Agent | Expected File | Status |\n| --- | --- | --- |\n"
        "| Agent-02 | [agent-02-result.md](results/agent-02-result.md) | ✅ |\n"
        "| Agent-03 | [agent-03-result.md](results/agent-03-result.md) | ✅ |\n"
        "| Agent-04 | [agent-04-result.md](results/agent-04-result.md) | ✅ |\n"
        "| Agent-05 | agent-05-result.md | ❌ it failed: exit code 2 |\n"
        "| Agent-01 | [agent-01-result.md](results/agent-01-result.md) | ✅ |\n"
        "| Agent-06 | agent-06-result.md | ❌ it could not start because 'broken' failed |\n"
        "\n1 more task completed and left no result.\n"
    )
