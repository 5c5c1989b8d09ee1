"""`orchestrate ask`: headless and at a terminal, approved, edited, rejected, interrupted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from orchestrator_nb.runtime.session import Session
from tests.cli.conftest import Call
from tests.cli.program import PROGRAM, environment, orchestrate
from tests.cli.terminal import Terminal

PLANNER = '''
"""A planner and a verifier that need no model."""

TASKS = [
    {"id": "read", "title": "Read it", "agent": "simulated", "parameters": {"result": "read"}},
    {"id": "write", "agent": "simulated", "parameters": {"result": "written"}, "dependencies": ["read"]},
]


def plan(request):
    assert "The request (quoted material)" in request
    if '"change":{' in request:
        return {"change": {"tasks": [{"id": "index", "agent": "simulated", "parameters": {"result": "an index"}}]}}
    return {"plan": {"title": "A guide", "tasks": TASKS}, "goal": "There is a guide.", "assumptions": ["In English."]}


def verify(request, results):
    if "index" in results:
        return True
    return {"passed": False, "gaps": [{"gap": "there is no index", "evidence": "the guide"}]}
'''
WHO = ("--planner", "function:planning_by_hand:plan")
VERIFY = ("--verify", "function:planning_by_hand:verify")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "planning_by_hand.py").write_text(PLANNER)
    return tmp_path


def latest(place: Path) -> Session:
    return Session(next(iter(Session.all(_settings(place)))).directory)


def _settings(place: Path):  # type: ignore[no-untyped-def]
    from orchestrator_nb.storage.settings import Settings

    return Settings(workspace=place / ".orchestrator")


def test_headless_it_is_one_command(place: Path) -> None:
    done = orchestrate("Write a guide", *WHO, *VERIFY, "--yes", "-o", "out", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Gap 1: there is no index (the guide)" in done.stdout
    assert "an index" in (place / "out" / "final_output.md").read_text()


def test_a_prompt_may_be_one_word_or_come_from_a_pipe(place: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "ask", "-", *WHO, "--yes", "--json"],
        cwd=place,
        env=environment(),
        input="Write!\nA guide.",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["title"] == "Write! A guide."
    assert lines[-1]["status"] == "completed"
    assert orchestrate("ask", "Guide", *WHO, "--yes", "--quiet", cwd=place).returncode == 0


def test_where_nobody_can_be_asked_it_stops_with_the_plan_proposed(place: Path) -> None:
    done = orchestrate("Write a guide", *WHO, cwd=place)
    assert done.returncode == 3, done.stderr
    assert "orchestrate approve planning/1-approve@1\n" in done.stdout
    assert orchestrate("approve", "planning/1-approve", cwd=place).returncode == 0
    assert orchestrate("resume", cwd=place).returncode == 0
    assert "written" in (latest(place).path / "final_output.md").read_text()


def test_where_nobody_can_be_asked_it_stops_at_a_planned_question_too(place: Path) -> None:
    asks = '{"plan": {"tasks": [{"id": "ask", "agent": "human", "prompt": "Which one?"}]}}'
    (place / "asking_by_hand.py").write_text(f"def plan(request):\n    return {asks!r}\n")
    done = orchestrate("Write a guide", "--planner", "function:asking_by_hand:plan", "--yes", cwd=place)
    assert done.returncode == 3, done.stderr
    assert orchestrate("approve", "ask", "--answer", "this", cwd=place).returncode == 0
    assert orchestrate("resume", cwd=place).returncode == 0


def test_an_edited_plan_from_a_file_is_approved_in_its_place(place: Path) -> None:
    orchestrate("Write a guide", *WHO, cwd=place)
    (place / "mine.yaml").write_text("title: Mine\ntasks:\n  - id: only\n    command: echo mine\n")
    (place / "wrong.yaml").write_text("tasks:\n  - id: only\n    dependencies: [x]\n")
    refused = orchestrate("approve", "planning/1-approve", "--answer", "@wrong.yaml", cwd=place)
    assert refused.returncode == 6
    assert "unknown dependency 'x'" in refused.stderr
    assert orchestrate("approve", "planning/1-approve", "--answer", "@mine.yaml", cwd=place).returncode == 0
    assert orchestrate("resume", cwd=place).returncode == 0
    assert "mine" in (latest(place).path / "final_output.md").read_text()


def test_at_a_terminal_the_plan_is_shown_and_asked_for(place: Path) -> None:
    with Terminal("Write a guide", *WHO, *VERIFY, cwd=place) as terminal:
        terminal.until("Carry it out? [y]es, [n]o, [e]dit, [s]how all of it:")
        for words in ("A guide: 2 tasks in 2 levels", "Read it", "There is a guide.", "In English.", "read → write"):
            assert words in terminal.text
        terminal.press(b"s\ny\n")
        terminal.until("The whole plan has the SHA-256")
        terminal.until("there is no index (the guide)")
        terminal.until("+ index")
        terminal.press(b"yes\n")
        assert terminal.end() == 0


def test_at_a_terminal_it_is_told_what_the_tasks_took_before(place: Path) -> None:
    assert orchestrate("Write a guide", *WHO, "--yes", cwd=place).returncode == 0
    with Terminal("Write a guide", *WHO, cwd=place, columns=140) as terminal:
        terminal.until("Carry it out?")
        assert "(1 run)" in terminal.text
        assert "Estimate, from past runs: " in terminal.text
        terminal.press(b"n\nno\n")
        assert terminal.end() == 1


def test_at_a_terminal_it_is_rejected_with_a_reason(place: Path) -> None:
    with Terminal("Write a guide", *WHO, cwd=place) as terminal:
        terminal.until("Carry it out?")
        terminal.press(b"what?\nn\ntoo long\n")
        assert terminal.end() == 1
    assert "The plan was rejected: too long" in terminal.text


def test_at_a_terminal_it_is_edited(place: Path) -> None:
    editor = place / "editor"
    editor.write_text("#!/bin/sh\nsed -i -e 's/result: written/result: edited/' \"$1\"\n")
    editor.chmod(0o755)
    with Terminal("Write a guide", *WHO, cwd=place, EDITOR=str(editor)) as terminal:
        terminal.until("Carry it out?")
        terminal.press(b"e\n")
        terminal.until("~ write.parameters: ")
        terminal.press(b"y\n")
        assert terminal.end() == 0
    assert "edited" in (latest(place).path / "final_output.md").read_text()


def test_ctrl_c_at_the_question_stops_it_and_it_can_be_resumed(place: Path) -> None:
    with Terminal("Write a guide", *WHO, cwd=place) as terminal:
        terminal.until("Carry it out?")
        terminal.until_it_reads()
        terminal.press(b"\x03")
        assert terminal.end() == 130
    with Terminal("resume", cwd=place) as terminal:
        terminal.until("Carry it out?")
        terminal.press(b"y\n")
        assert terminal.end() == 0


def test_a_file_with_a_blank_in_its_name_is_no_prompt(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "my plan.yaml").write_text("tasks: []")
    assert "unknown command 'my plan.yaml'" in call("my plan.yaml").err
