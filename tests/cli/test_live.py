"""The live display, on a terminal of its own: what it shows, how often it draws, how it ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator_nb.runtime.session import Session
from tests.agents.coding.puppet import PUPPET, steps
from tests.cli.program import orchestrate, write_plan
from tests.cli.terminal import RICH, Terminal
from tests.limited_agent import LIMITED

PLAN = {
    "title": "A live run",
    "tasks": [
        {"id": "read", "title": "Read the code", "agent": "simulated", "parameters": {"duration": 0.3}},
        {"id": "style", "agent": "simulated", "parameters": {"duration": 1.2}, "dependencies": ["read"]},
        {"id": "bad", "title": "Goes wrong", "command": "echo oh dear >&2; exit 9", "dependencies": ["read"]},
        {"id": "after", "title": "Never", "agent": "simulated", "dependencies": ["bad"]},
        {"id": "ask", "title": "Ask somebody", "agent": "human", "prompt": "Shall we?", "dependencies": ["read"]},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("columns", "rows"), [(100, 30), (60, 12)])
def test_it_shows_tasks_questions_and_the_end(tmp_path: Path, columns: int, rows: int) -> None:
    plan = write_plan(tmp_path / "plan.json", **PLAN)
    with Terminal("run", plan.name, cwd=tmp_path, columns=columns, rows=rows) as terminal:
        terminal.until("orchestrate approve ask@1")
        assert orchestrate("approve", "ask", "--answer", "yes", cwd=tmp_path).returncode == 0
        code = terminal.end()
    text = terminal.text
    assert code == 1
    assert "A live run" in text
    assert "Shall we?" in text
    assert "blocked by bad" in text
    assert "0/5" in text
    assert "5/5" in text
    assert "✘ Failed after" in text
    assert "oh dear" in text
    assert "orchestrate logs bad" in text
    assert "\x1b[?25h" in terminal.raw.decode()  # the cursor is back
    widest = max(len(line) for line in RICH.sub("", text).replace("\r", "\n").split("\n"))
    assert widest <= columns or "Again:" in text


def test_it_shows_until_when_a_quota_is_waited_for_and_that_it_can_be_tried_now(tmp_path: Path) -> None:
    limited = {"agent": LIMITED, "parameters": {"seconds": 3600}}
    tasks = [{"id": "a", **limited}, {"id": "b", **limited}, {"id": "c", "command": "true"}]
    plan = write_plan(tmp_path / "plan.json", tasks=tasks, limits={"max_parallel": 1})
    with Terminal("run", plan.name, cwd=tmp_path, columns=160) as terminal:
        terminal.until("Limited's quota until ")
        terminal.until("Waiting for Limited's quota until ")  # nothing else is left to do
        terminal.until("2 tasks (a, b)")
        assert orchestrate("retry", "a", cwd=tmp_path).returncode == 0
        terminal.until("2/3")
        explained = orchestrate("explain", "b", cwd=tmp_path).stdout
        assert "'b' waits for Limited's quota until " in explained
        assert orchestrate("cancel", "b", cwd=tmp_path).returncode == 0
        assert terminal.end() == 1
    assert "⏳" in terminal.text


def test_in_a_pipe_a_wait_for_a_quota_is_told_in_lines(tmp_path: Path) -> None:
    tasks = [{"id": "a", "agent": LIMITED, "parameters": {"seconds": -2.5}}]
    done = orchestrate("run", write_plan(tmp_path / "plan.json", tasks=tasks).name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a waits for Limited's quota until " in done.stdout
    assert "Limited's quota is back" in done.stdout
    assert "a started, attempt 2" in done.stdout
    assert "Waiting for Limited's quota until " in done.stderr


def test_ctrl_c_once_says_what_a_second_one_does(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.json", tasks=[{"id": "a", "command": "sleep 30"}])
    with Terminal("--set", "grace=0.5", "run", plan.name, cwd=tmp_path) as terminal:
        terminal.until("running")
        terminal.press(b"\x03")
        terminal.until("Stopping: waiting for 1 running task. Ctrl-C again ends the run at once.")
        terminal.press(b"\x03")
        terminal.until("Halting: ")
        assert terminal.end() == 130
    assert "■ Halted after" in terminal.text
    assert "Go on:   orchestrate resume" in terminal.text


def test_a_large_plan_shows_what_fits_and_draws_seldom(tmp_path: Path) -> None:
    tasks = [{"id": f"t{i}", "function": "time:tzset"} for i in range(2000)]
    plan = write_plan(tmp_path / "plan.json", title="Large", tasks=tasks)
    begun = time.monotonic()
    with Terminal("run", plan.name, cwd=tmp_path, columns=80, rows=24) as terminal:
        assert terminal.end(60) == 0
    took = time.monotonic() - begun
    frames = terminal.text.count("/2,000")
    assert 2 <= frames <= 10 * took
    assert " more" in terminal.text
    assert len(terminal.raw) < 6000 * frames
    assert "2,000 completed of 2,000 tasks" in terminal.text


def test_what_agents_use_is_told_live_and_what_is_not_contained_is_marked(tmp_path: Path) -> None:
    go = tmp_path / "go"
    told = steps(("spend", 500, 20), ("say", "I look."), ("run", f"while [ ! -e {go} ]; do sleep 0.05; done"))
    tasks = [{"id": "a", "agent": PUPPET, "prompt": told, "parameters": {"sandbox": "none"}}]
    plan = write_plan(tmp_path / "plan.json", tasks=tasks)
    with Terminal("run", plan.name, cwd=tmp_path, columns=140, PUPPET_KEY="key-of-the-puppet") as terminal:
        terminal.until("Used puppet: 500 tokens in, 20 out, cost unknown")
        assert "⚠ uncontained" in terminal.text
        go.touch()
        assert terminal.end(60) == 0
    assert "Used:    puppet: 105 tokens in, 10 out, 0.2500 $" in terminal.text


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"TERM": "dumb"}])
def test_no_drawing_where_nobody_can_see_it(tmp_path: Path, environ: dict[str, str]) -> None:
    plan = write_plan(tmp_path / "plan.json", tasks=[{"id": "a", "agent": "simulated"}])
    with Terminal("run", plan.name, cwd=tmp_path, **environ) as terminal:
        assert terminal.end() == 0
    assert "] a completed" in terminal.text
    assert "\x1b[1A" not in terminal.raw.decode()


def test_a_closed_terminal_halts_the_run(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.json", tasks=[{"id": "a", "command": "sleep 30"}])
    with Terminal("--set", "grace=0.5", "run", plan.name, cwd=tmp_path) as terminal:
        terminal.until("running")
        terminal.hang_up()
        assert terminal.process.wait(20) == 129
    assert Session.open(tmp_path / ".orchestrator" / "latest").status == "halted"
