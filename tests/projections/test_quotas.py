"""A usage limit in words, wherever people look while it is waited for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.projections.execution_log import ExecutionLog
from orchestrator_nb.projections.explain import explain
from orchestrator_nb.projections.files import Files
from orchestrator_nb.projections.lines import Lines
from orchestrator_nb.projections.quotas import left, moment, of_task, quota, until, waiting
from orchestrator_nb.projections.settled import table_text
from orchestrator_nb.projections.timeline import timeline
from tests.histories import BEGIN, History, tell

#: 15:00 UTC: half an hour after the beginning.
RESETS = BEGIN + 1800


def story() -> History:
    tasks = [{"id": i, "agent": "claude", "prompt": "do"} for i in ("a", "b")]
    tasks += [{"id": "x", "agent": "codex", "prompt": "do"}]
    history = tell({"title": "P", "tasks": tasks, "limits": {"max_parallel": 2}})
    history.tell(e.TaskStarted("a", 1, 1), e.TaskStarted("x", 1, 1))
    return history.tell(e.QuotaReached("a", 1, "claude", RESETS, "claude: You've hit your limit", 2.0), after=60)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (45, "45 s"), (720, "12 min"), (3 * 3600 + 300, "3 h 05 min"), (52 * 3600, "2 d 4 h")],
)
def test_how_long_a_wait_is(seconds: float, words: str) -> None:
    assert left(seconds) == words


def test_a_moment_of_another_day_has_its_date() -> None:
    assert moment(RESETS, UTC, today=BEGIN) == "15:00"
    assert moment(RESETS + 86400, UTC, today=BEGIN) == "15:00 on 2025-01-13"
    assert moment(RESETS, UTC) == "15:00 on 2025-01-12"


def test_an_agent_of_a_package_is_called_by_its_name() -> None:
    assert quota("claude") == "claude's quota"
    assert quota("some.package:Fourth") == "Fourth's quota"


def test_explain_says_until_when_and_what_to_do() -> None:
    state = story().state
    clock = moment(RESETS, today=BEGIN)
    told = explain(state, "a", Admission(), RESETS - 720)
    assert told.headline == f"'a' waits for claude's quota until {clock} (in 12 min)."
    assert "It met the limit at 2025-01-12 14:31:00 UTC: claude: You've hit your limit" in told.reasons
    assert told.command == "orchestrate retry a"
    assert told.lacks == "quota claude"
    other = explain(state, "b", Admission(), RESETS - 720)
    assert other.headline == f"'b' waits for claude's quota until {clock} (in 12 min)."
    assert other.reasons[0] == "'a' met the limit at 2025-01-12 14:31:00 UTC: no other task of claude starts."
    assert explain(state, "x", Admission()).status is TaskStatus.RUNNING


def test_explain_of_a_run_that_has_ended_says_how_to_go_on() -> None:
    history = story().tell(e.TaskCancelled("x"), e.StopRequested(), e.RunEnded(1, "stopped"))
    assert "orchestrate resume" in explain(history.state, "a", Admission()).reasons[-1]


def test_after_the_time_it_is_said_who_finds_out() -> None:
    history = story()
    waited = history.state.quotas["claude"]
    assert until(waited, RESETS + 1).startswith("claude's quota, which should be back since ")
    history.tell(e.QuotaProbed("a"))
    told = of_task(history.state, history.state.tasks["b"], RESETS)
    assert told == "claude's quota: 'a' finds out whether it is back"
    assert of_task(history.state, history.state.tasks["a"], RESETS) == ""


def test_a_run_says_what_it_waits_for() -> None:
    history = story()
    clock = moment(RESETS, today=BEGIN)
    said = waiting(history.state)
    assert said.startswith(f"Waiting for claude's quota until {clock}: 2 tasks (a, b). 'orchestrate retry TASK' tries")
    assert waiting(history.state, alone=True) == "", "another one is running"
    history.tell(e.TaskCompleted("x", 1))
    assert waiting(history.state, alone=True) == said
    history.tell(e.TaskCancelled("a"), e.TaskCancelled("b"))
    assert waiting(history.state) == ""


def test_lines_and_the_execution_log_tell_of_it() -> None:
    history = story().tell(e.QuotaProbed("a", "ann"), e.QuotaRestored("claude"), after=1740)
    lines, log = Lines(UTC), ExecutionLog()
    said: list[str] = []
    for record, state in history.replay():
        log.name_agents({"a": 1, "b": 2, "x": 3})
        log.add(record)
        said += lines.of(record, state)
    assert said[-3:] == [
        "[14:31:00] a waits for claude's quota until 15:00 (in 29 min): claude: You've hit your limit",
        "[15:00:00] a is to find out whether the quota is back by ann",
        "[15:00:00] claude's quota is back",
    ]
    written = log.markdown()
    assert "### [2025-01-12 14:31:00] Agent-01 Waits for Quota\n\n- claude, until 2025-01-12 15:00:00\n" in written
    assert "### [2025-01-12 15:00:00] Quota Restored\n\n- claude\n" in written


def test_the_files_show_who_waits_and_who_no_longer_does() -> None:
    history = story()
    files, held = Files(history.read), {}
    for record, state in history.replay():
        files.apply(record, state)
    held.update(dict(files.changed()))
    assert json.loads(held["status/a.json"])["status"] == "awaiting_quota"
    assert json.loads(held["status/b.json"])["status"] == "awaiting_quota"
    assert held["master_plan.md"].count(b"Awaiting quota") == 3, "two rows, and the counts"
    history.tell(e.QuotaRestored("claude"))
    files.apply(history.records[-1], history.state)
    held.update(dict(files.changed()))
    assert held["status/b.json"] is None
    assert b"Awaiting quota" not in held["master_plan.md"]


def test_the_table_and_the_timeline_show_it() -> None:
    history = story()
    assert "waits for claude's quota until" in table_text(history.state, BEGIN + 100)
    history.tell(e.QuotaRestored("claude"), e.TaskStarted("a", 2, 2), e.TaskCompleted("a", 2), after=10)
    assert history.state.plan is not None
    bars = [bar for row in timeline(history.records, history.state.plan).rows for bar in row.bars if bar.task == "a"]
    assert [(bar.attempt, bar.status) for bar in bars] == [(1, "interrupted"), (2, "completed")]


def test_times_are_those_of_the_local_clock() -> None:
    assert moment(RESETS, today=RESETS) == datetime.fromtimestamp(RESETS).strftime("%H:%M")
