"""S1 3.3's way: the tasks of a session are done by hand, `orchestrate import` takes the results in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.program import Live, orchestrate, write_plan

REVIEW = {
    "title": "Review",
    "merge": "concatenate",
    "tasks": [
        {
            "id": "find",
            "agent": "claude",
            "prompt": "Find faults.",
            "outputs": ["faults.txt"],
            "checks": ["test -s $ORCH_OUTPUTS/faults.txt"],
        },
        {"id": "count", "command": ["wc", "-l", "${output.find:faults.txt}"], "dependencies": ["find"]},
        {"id": "words/sum", "agent": "gemini", "prompt": "Sum up.", "dependencies": ["find", "count"]},
    ],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_plan(tmp_path / "plan.json", **REVIEW)
    done = orchestrate("run", "plan.json", "--by-hand", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (Path(json.loads(done.stdout)["agent_tasks"]) / "agent-01.md").read_text().startswith("# Agent-01: find")
    return tmp_path


def written(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def session(place: Path) -> Path:
    return (place / ".orchestrator" / "latest").resolve()


At = Callable[[Path], Call]


@pytest.fixture
def at(call: Call) -> At:
    """Commands with the workspace of a directory, in this process."""
    return lambda place: lambda *args: call("--workspace", place / ".orchestrator", *args)


def facts(tell: Call, task: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(tell("show", task, "--json").out)
    return told


def test_a_session_that_was_worked_on_by_hand_ends_as_any_other(at: At, place: Path) -> None:
    tell = at(place)
    # `claude --print "$(cat agent_tasks/agent-01.md)" > results/agent-01-result.md`, or whatever else
    result = written(place / "results" / "agent-01-result.md", "# Faults\n\nThere is **one**.\n")
    written(place / "results" / "faults.txt", "x.py:3: too long\n")
    taken = orchestrate("import", result, cwd=place)
    assert (taken.returncode, taken.stderr) == (0, "")
    assert taken.stdout == f"session {session(place).name}: task 'find' is completed by {result}\n"
    assert (session(place) / "outputs/find/faults.txt").read_text() == "x.py:3: too long\n"
    shown = facts(tell, "find")
    assert shown["status"] == "completed"
    assert shown["imported"].endswith(f" from {result}")
    assert f" from {result}" in (session(place) / "master_plan.md").read_text()

    early = tell("import", written(place / "sum.md", "All in all."), "--task", "words/sum")
    assert early.code == 6
    assert "task 'words/sum' waits for count: import or run that first" in early.err

    counted = tell("import", written(place / "agent-02.txt", "1 line"))
    assert counted.code == 0, counted.err
    taken = tell("import", written(place / "words" / "sum.md", "All in all: one fault."), "--json")
    assert json.loads(taken.out)["results"][0]["task"] == "words/sum"

    ended = orchestrate("resume", "--quiet", cwd=place)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    final = (session(place) / "final_output.md").read_text()
    assert [words in final for words in ("There is **one**.", "1 line", "All in all: one fault.")] == [True] * 3
    assert "| Agent-03 | words/sum | by hand |" in final
    assert tell("rebuild").code == 0
    assert (session(place) / "final_output.md").read_text() == final


def test_what_depends_on_an_imported_task_runs_with_its_outputs(at: At, tmp_path: Path) -> None:
    tell = at(tmp_path)
    plan = write_plan(tmp_path / "plan.json", **{**REVIEW, "tasks": REVIEW["tasks"][:2]})
    assert tell("run", plan, "--by-hand").code == 0
    written(tmp_path / "elsewhere" / "find" / "faults.txt", "a\nb\n")
    assert tell("import", written(tmp_path / "find.md", "Two."), "--outputs", tmp_path / "elsewhere").code == 0
    ended = tell("resume", "--quiet")
    assert ended.code == 0, ended
    assert facts(tell, "count")["value"].startswith("2 ")


def test_a_result_that_is_not_what_the_task_asks_for_is_refused_and_the_task_can_still_run(at: At, place: Path) -> None:
    tell = at(place)
    result = written(place / "find-result.md", "Nothing.")
    told = tell("import", result)
    assert told.code == 6
    assert "Missing outputs: there is no faults.txt in" in told.err
    written(place / "faults.txt", "")
    told = tell("import", result)
    assert told.code == 6
    assert "Check failed: test -s $ORCH_OUTPUTS/faults.txt" in told.err
    assert facts(tell, "find")["status"] == "pending"
    written(place / "faults.txt", "one\n")
    assert tell("import", result).code == 0
    again = tell("import", result)
    assert again.code == 6
    assert "is completed already: 'orchestrate fork" in again.err


def test_files_that_belong_to_no_task_or_to_two(at: At, place: Path) -> None:
    tell = at(place)
    for args, words in (
        (("other.md",), "other.md is named after no task"),
        (("fnd.md",), "did you mean 'find'?"),
        (("x.md", "--task", "fnd"), "the plan has no task 'fnd'; did you mean 'find'?"),
        (("find.md", "agent-01.md"), "are both the result of task 'find'"),
        (("a.md", "b.md", "--task", "find"), "name one file for task 'find', not 2"),
    ):
        told = tell("import", *args)
        assert told.code == 6, told.err
        assert words in told.err
    told = tell("import", "find.md")
    assert told.code == 6
    assert "find.md cannot be read" in told.err


def test_failed_tasks_take_results_and_let_go_of_what_they_blocked(at: At, tmp_path: Path) -> None:
    tell = at(tmp_path)
    tasks = [
        {"id": "a", "command": ["false"]},
        {"id": "b", "agent": "simulated", "dependencies": ["a"], "parameters": {"result": "Got ${result.a}"}},
    ]
    write_plan(tmp_path / "plan.json", title="x", tasks=tasks)
    assert tell("run", tmp_path / "plan.json", "--quiet").code == 1
    blocked = tell("import", written(tmp_path / "b.md", "b"))
    assert "task 'b' is blocked by 'a': import or retry that one first" in blocked.err
    assert tell("import", written(tmp_path / "a.md", "it\n")).code == 0
    assert tell("resume", "--quiet").code == 0
    assert facts(tell, "b")["value"] == "Got it"


def test_an_answer_has_the_form_that_the_task_asks_for(at: At, tmp_path: Path) -> None:
    tell = at(tmp_path)
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    task = {"id": "a", "agent": "codex", "prompt": "Count.", "parameters": {"schema": schema}}
    write_plan(tmp_path / "plan.json", title="x", tasks=[task])
    assert tell("run", tmp_path / "plan.json", "--by-hand").code == 0
    told = tell("import", written(tmp_path / "a.json", '{"n": "three"}'))
    assert told.code == 6
    assert "does not have the form asked for" in told.err
    assert tell("import", written(tmp_path / "a.json", '{"n": 3}')).code == 0
    assert facts(tell, "a")["value"] == {"n": 3}


def test_a_session_that_runs_takes_no_results_and_says_who_runs_it(at: At, tmp_path: Path) -> None:
    tell = at(tmp_path)
    tasks = [{"id": "a", "agent": "human", "prompt": "Well?"}, {"id": "b", "command": ["true"]}]
    plan = write_plan(tmp_path / "plan.json", title="x", tasks=tasks)
    with Live(plan) as live:
        live.event("checkpoint_reached")
        told = tell("import", written(tmp_path / "a.md", "a"))
        assert told.code == 6
        assert "is being run by" in told.err
        assert str(live.process.pid) in told.err
        assert f"orchestrate stop {live.session}" in told.err
