"""What the plan table tells its page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.envelope import Envelope
from orchestrator_nb.jupyter.part import Changes
from orchestrator_nb.jupyter.table import PlanTable, rows, tasks
from orchestrator_nb.jupyter.view import View, view_of
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.storage.settings import Settings
from tests.histories import BEGIN, HOSTILE, History, tell
from tests.limited_agent import LIMITED
from tests.runtime.waiting import plan, statuses, until


class Told(PlanTable):
    """A table whose page keeps what it is told."""

    def __init__(self, view: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.envelope = Envelope()  # a pane that another test left behind must not carry what this one tells
        super().__init__(view)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        """Keep it, as the page would get it."""
        self.told.append(json.loads(json.dumps(content)) | {"buffers": buffers})


def history(*events: e.AnyEvent) -> History:
    specs = [{"id": f"T-{n}", "command": ["x"], "dependencies": [f"T-{n - 1}"] if n else []} for n in range(4)]
    return tell({"tasks": specs}, *events)


def row(told: History, index: int) -> dict[str, Any]:
    return rows(told.state, [index])[0]


def test_what_stands_is_told_by_columns() -> None:
    specs = [
        {"id": "a", "command": ["x"], "title": HOSTILE[7], "phase": "p"},
        {"id": "b", "agent": "human", "prompt": "?", "dependencies": ["a"], "priority": "P3"},
        {"id": "c", "command": ["x"], "dependencies": ["a", "b"], "phase": "q"},
    ]
    told = tell({"tasks": specs, "phases": [{"id": "q", "title": "Write"}, {"id": "p"}]})
    assert told.state.plan is not None
    table = tasks(told.state.plan, told.state)
    assert table["id"] == ["a", "b", "c"]
    assert table["title"] == ["redy", "", ""]
    assert table["kind"] == ["shell", "human", "shell"]
    assert table["agent"] == [1, 2, 3]
    assert table["priority"][1] == 3
    assert (table["phases"], table["phase"]) == (["Write", "p"], [1, -1, 0])
    assert [list(parents) for parents in table["parents"]] == [[], [0], [0, 1]]


def test_a_row_says_what_there_is_to_say_and_no_more() -> None:
    told = history()
    assert rows(told.state, range(2)) == [{"status": "pending"}, {"status": "waiting"}]
    told.tell(e.TaskStarted("T-0", 1, 1), after=1)
    told.tell(e.TaskProgressed("T-0", 1, "cell\n4", 3, 8))
    begun = {"status": "running", "attempt": 1, "started": BEGIN + 1, "done": 3, "total": 8, "note": "cell 4"}
    assert row(told, 0) == begun
    told.tell(e.TaskFailed("T-0", 1, "no\nTraceback", duration=2.5), after=3)
    assert row(told, 0) | {"status": "failed", "duration": 2.5, "note": "no Traceback"} == row(told, 0)
    told.tell(e.TaskRetryScheduled("T-0", 30.0))
    assert (row(told, 0)["status"], row(told, 0)["again"]) == ("retrying", BEGIN + 4 + 30)
    told.tell(e.TaskStarted("T-0", 2, 2), after=30)
    assert row(told, 0) == {"status": "running", "attempt": 2, "started": BEGIN + 34, "duration": 2.5, "expected": 2.5}


def test_what_a_task_waits_for_is_told_in_words() -> None:
    told = history(e.TaskStarted("T-0", 1, 1), e.CheckpointReached("cp", "T-0", 1, "Publish <b>it</b>?", "ab"))
    assert row(told, 0)["note"] == "Publish <b>it</b>?"
    told.tell(
        e.CheckpointRejected("cp", "ab", "not yet"), e.TaskFailureSettled("T-0", "block"), e.TaskBlocked("T-1", "T-0")
    )
    assert row(told, 0)["note"] == "Rejected: not yet"
    assert row(told, 1) == {"status": "blocked", "note": "blocked by T-0"}


def test_a_row_says_what_its_agent_used_and_what_must_not_be_overlooked() -> None:
    told = history(e.TaskStarted("T-0", 1, 1), e.AgentStarted("T-0", 1, "claude", "edit", "uncontained"))
    assert (row(told, 0)["marks"], row(told, 0)["note"]) == ("⚠ uncontained", "claude, uncontained, level edit")
    assert "used" not in row(told, 0)  # it has not told anything
    told.tell(e.AgentDenied("T-0", 1, "Bash", "make", "no"), e.AgentSpent("T-0", 1, 1200, 34))
    assert row(told, 0)["marks"] == "⚠ uncontained, 1 refused"
    assert (row(told, 0)["used"], row(told, 0)["tokens"]) == ("1.2k in, 34 out, cost unknown", 1234)
    assert row(told, 0)["used_told"] == "1,200 tokens in, 34 out, cost unknown"
    assert "marks" not in row(told, 1)


def test_a_quota_is_told_with_its_end_to_all_that_wait_for_it() -> None:
    specs = [{"id": name, "agent": "claude", "prompt": "do"} for name in "ab"]
    told = tell({"tasks": specs, "limits": {"max_parallel": 1}}, e.TaskStarted("a", 1, 1))
    told.tell(e.QuotaReached("a", 1, "claude", BEGIN + 900, "limit reached", 2.0))
    assert row(told, 1) == {"status": "awaiting_quota", "again": BEGIN + 900, "note": "claude's quota"}
    assert row(told, 0) | row(told, 1) == row(told, 0)


def test_30_changed_rows_cost_less_than_a_millisecond_and_10_000_less_than_60() -> None:
    specs = [{"id": f"T-{n}", "title": "Some task", "command": ["x"]} for n in range(10_000)]
    told = tell({"tasks": specs})
    for n in range(0, 10_000, 2):
        told.tell(e.TaskStarted(f"T-{n}", 1, 1), e.TaskCompleted(f"T-{n}", 1, 1.0))
    assert least(lambda: rows(told.state, range(30))) < 0.001
    assert least(lambda: rows(told.state, range(10_000))) < 0.06


def least(work: Any) -> float:
    """Seconds of the processor, of the best of five."""
    took = []
    for _ in range(5):
        begin = time.process_time()
        work()
        took.append(time.process_time() - begin)
    return min(took)


class Watching(View):
    """A view that keeps what its parts would be told."""

    def changed(self, changes: Changes) -> None:
        """Keep it."""
        self.last = changes


def test_a_limit_that_one_task_meets_changes_the_rows_of_all_that_wait_for_it(tmp_path: Path) -> None:
    orchestrator = Orchestrator(Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05))
    limited = {"agent": LIMITED, "parameters": {"seconds": 3600}}
    run = orchestrator.run(plan({"id": "a", **limited}, {"id": "b", **limited}, limits={"max_parallel": 1}))
    until(lambda: statuses(run) == {"a": "awaiting_quota", "b": "awaiting_quota"})
    view = Watching(view_of(run).subject)
    view.take(
        [record for record in read_records(run.path / "events.jsonl") if isinstance(record.event, e.QuotaReached)]
    )
    assert (view.last.tasks, view.last.everything) == ({0, 1}, False)
    run.halt()
    run.wait(10)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    orchestrator = Orchestrator(Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05))
    simulated = {"agent": "simulated", "parameters": {"duration": 60.0}}
    running = orchestrator.run(plan({"id": "a", **simulated}, {"id": "b", **simulated, "dependencies": ["a"]}))
    until(lambda: statuses(running)["a"] == "running")
    yield running
    with suppress(OrchestratorError):  # it may have ended
        running.halt()
    running.wait(10)


def test_the_page_is_told_what_changed(run: Run) -> None:
    view = view_of(run)
    table = Told(view)
    whole = json.loads(table.encoded())
    assert (whole["tasks"]["id"], whole["selected"], whole["number"]) == (["a", "b"], "", 0)
    assert whole["rows"][0]["expected"] == 60.0
    table.refresh(Changes(run=True))
    assert table.told == []
    run.cancel("a")
    until(lambda: statuses(run)["a"] == "cancelled")
    table.refresh(Changes(tasks={0, 1, 99}))
    message = table.told.pop()
    assert (message["type"], message["number"], message["indices"]) == ("rows", 1, [0, 1])
    assert [row["status"] for row in message["rows"]] == ["cancelled", statuses(run)["b"]]
    view.select("b")
    table.refresh(Changes(run=True))
    assert table.told.pop()["selected"] == "b"
    table.refresh(Changes(everything=True))
    message = table.told.pop()
    assert message["type"] == "whole"
    assert json.loads(message["buffers"][0])["selected"] == "b"


def test_what_stays_is_static(run: Run) -> None:
    bundle = PlanTable.settled(view_of(run))
    assert "running" in bundle["text/plain"].lower()
    assert "<table" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
