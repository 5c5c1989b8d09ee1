"""usage, and what status, show, explain and logs say of coding agents: on one session with a puppet."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from orchestrator_nb.cli.app import run_command
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.cli.conftest import Call, Told
from tests.cli.program import write_plan
from tests.git_repositories import make_repository
from tests.system.sandbox.place import need


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session that failed: an agent that wrote, one that was refused, one that broke off, and a command."""
    need(Level.BUBBLEWRAP)
    directory = tmp_path_factory.mktemp("usage")
    repository = make_repository(directory / "repository")
    tasks = [
        {"id": "fix", "agent": PUPPET, "prompt": steps(("write", "b.txt", "b"), ("say", "Fixed it."))},
        {"id": "refused", "agent": PUPPET, "prompt": steps(("bash", "make"))},
        {"id": "wild", "agent": PUPPET, "prompt": steps(("die",)), "parameters": {"sandbox": "none"},
         "retry": {"attempts": 2, "delay": 0}},
        {"id": "count", "command": "echo 3"},
    ]  # fmt: skip
    plan = write_plan(repository / "plan.json", title="Usage", tasks=tasks)
    before = os.environ.get("PUPPET_KEY")
    os.environ["PUPPET_KEY"] = "key-of-the-puppet"
    try:
        with contextlib.chdir(repository):
            assert run_command(["--workspace", str(directory / "sessions"), "run", str(plan), "-q"]) == 1
    finally:
        os.environ.pop("PUPPET_KEY")
        if before is not None:
            os.environ["PUPPET_KEY"] = before
    return Session.open(directory / "sessions" / "latest")


@pytest.fixture
def look(call: Call, ended: Session) -> Call:
    """A command in that session's workspace."""

    def looking(*args: object) -> Told:
        return call("--workspace", ended.path.parent, *args)

    return looking


def test_usage_is_told_by_agent_and_by_task(look: Call) -> None:
    told = look("usage")
    lines = told.out.splitlines()
    assert lines[0].split() == ["AGENT", "ATTEMPTS", "TOKENS", "IN", "CACHED", "OUT", "COST", "TIME"]
    assert lines[1].split()[:9] == ["puppet", "4", "≥", "315", "≥", "15", "≥", "30", "at"]
    by_task = {line.split()[0]: line.split()[1:8] for line in lines[4:7]}
    assert by_task["fix"][:6] == ["puppet", "1", "105", "5", "10", "0.2500"]
    assert by_task["wild"][:4] == ["puppet", "2", "≥", "105"]
    assert "count" not in told.out
    assert lines[-1] == "All: at least 315 tokens in, 30 out, at least 0.7500 $"


def test_usage_as_json_has_null_for_what_is_unknown(look: Call) -> None:
    told = json.loads(look("usage", "--json").out)
    assert (told["total"]["cost"], told["total"]["known_cost"], told["total"]["attempts"]) == (None, 0.75, 4)
    assert told["agents"]["puppet"] == told["total"]
    tasks = {task["task"]: task for task in told["tasks"]}
    assert list(tasks) == ["fix", "refused", "wild"]
    assert tasks["fix"]["usage"]["cost"] == 0.25
    assert [attempt["sandbox"] for attempt in tasks["wild"]["attempts"]] == ["uncontained", "uncontained"]
    assert tasks["refused"]["attempts"][0]["denials"][0]["remedy"] == "level `full`"


def test_a_session_without_agents_says_so(call: Call, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.json", title="None", tasks=[{"id": "a", "agent": "simulated"}])
    assert call("--workspace", tmp_path / "sessions", "run", plan, "-q").code == 0
    assert "No coding agent has been started" in call("--workspace", tmp_path / "sessions", "usage").out


def test_status_marks_what_must_not_be_overlooked(look: Call) -> None:
    told = look("status").out
    assert "⚠ uncontained" in told
    assert "1 refused; puppet was refused" in told
    assert "Used:    puppet: at least 315 tokens in" in told
    facts = json.loads(look("status", "--json").out)
    assert facts["usage"]["cost"] is None
    tasks = {task["task"]: task for task in facts["tasks"]}
    assert tasks["fix"]["changes"] == [{"path": "b.txt", "kind": "added"}]
    assert len(tasks["fix"]["commits"]) == 1
    assert "usage" not in tasks["count"]


def test_show_and_explain_tell_how_it_ran_and_what_it_was_refused(look: Call) -> None:
    told = look("show", "refused").out
    assert "puppet ran with level edit, contained by bubblewrap; open: the network" in told
    assert "Refused:    Bash make: This command requires approval; it would need level `full`" in told
    assert "105 tokens in, 10 out, 0.2500 $" in told
    assert "Changed:    b.txt (added)" in look("show", "fix").out
    assert "It was refused: Bash make" in look("explain", "refused").out
    assert (
        "Puppet ran with level edit, uncontained (asked for); it went on with its session."
        in look("explain", "wild").out
    )


def test_logs_are_told_in_words_or_raw(look: Call) -> None:
    told = look("logs", "fix").out
    assert told == "[at work (puppet-1)]\n> Write: b.txt\n> wrote b.txt\nFixed it.\n"
    assert json.loads(look("logs", "fix", "--raw").out.splitlines()[0])["subtype"] == "init"
    assert look("logs", "count").out == "3\n"
