from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.coding.codex import Codex
from orchestrator_nb.agents.coding.homes import Loan, PrivateHome
from orchestrator_nb.agents.coding.preparing import Checked, Preparation, check_task, preflight_environment
from orchestrator_nb.agents.coding.recovery import Widening
from orchestrator_nb.agents.coding.working import Workplace
from orchestrator_nb.core.ports import Assignment
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import Puppet
from tests.agents.lab import Lab
from tests.system.sandbox.place import need


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    return Lab(tmp_path)


def task(lab: Lab, **fields: Any) -> Assignment:
    return lab.assignment(**{"agent": "puppet", "prompt": "Do it.", **fields})


def checked(assignment: Assignment) -> Checked:
    return check_task(Puppet(), assignment, preflight_environment(assignment), starting=True)


def prepared(lab: Lab, **fields: Any) -> Preparation:
    assignment = task(lab, **fields)
    home, directory = PrivateHome(lab.session.path, "T-01"), lab.session.path / "attempts/T-01/1"
    home.make()
    (directory / "outputs").mkdir(parents=True)
    environment = preflight_environment(assignment)
    place = Workplace(Path(assignment.cwd))
    return Preparation(Puppet(), assignment, checked(assignment), Loan({}, {}), home, place, directory, environment)


def test_who_looks_under_landlock_gets_files_of_its_own(lab: Lab) -> None:
    need(Level.LANDLOCK)
    assert not checked(task(lab, parameters={"level": "read"})).own_place
    assert checked(task(lab)).own_place
    assert checked(task(lab, parameters={"level": "read", "sandbox": "landlock"})).own_place


def test_codex_can_keep_its_own_commands_from_the_network(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "codex").write_text("#!/bin/sh\necho codex-cli 0.200.0\n")
    (tmp_path / "codex").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CODEX_API_KEY", "k")
    assignment = task(lab, parameters={"network": False, "sandbox": "none"})
    assert check_task(Codex(), assignment, preflight_environment(assignment), starting=True).options.network is False


def test_row_B16_a_program_that_is_missing_or_too_old(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(AgentError, match="'codex' was not found in PATH"):
        check_task(Codex(), task(lab), {"PATH": str(tmp_path)}, starting=True)
    (tmp_path / "codex").write_text("#!/bin/sh\necho codex-cli 0.22.9\n")
    (tmp_path / "codex").chmod(0o755)
    with pytest.raises(AgentError, match=r"codex 0\.22\.9 is too old: 0\.23\.0 is the first"):
        check_task(Codex(), task(lab), {"PATH": str(tmp_path), "CODEX_API_KEY": "k"}, starting=True)


def test_the_command_is_contained_and_the_prompt_is_a_file(lab: Lab) -> None:
    made = prepared(lab)
    command = made.command(Widening(), None, "")
    assert command.argv[0] == sys.executable  # what goes into the sandbox
    assert "Do it." not in " ".join(command.argv)
    assert command.stdin_file is not None
    assert Path(command.stdin_file).read_text() == "Do it."
    assert "HOME" not in command.env  # variables of the program are hidden from what goes in
    assert command.env["INSIDE_HOME"] == str(made.home.home)


def test_a_widening_is_more_than_the_plan_grants(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    made = prepared(lab)
    wider = Widening(level="full", directories=(str(tmp_path / "shared"),))
    assert made.level(wider) == "full"
    assert made.directories(wider) == (tmp_path / "shared",)
    arguments = made.command(wider, "session-1", "Go on.").argv
    assert "bypassPermissions" in arguments
    assert str(tmp_path / "shared") in arguments
    assert "session-1" in arguments
    assert (made.directory / "prompt").read_text() == "Go on.\n\nDo it."
    assert not made.ground(Widening()).has(tmp_path / "shared")
    assert made.ground(wider).has(tmp_path / "shared")


def test_inputs_can_be_read(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.csv").write_text("1")
    made = prepared(lab, inputs={"data": str(tmp_path / "in" / "data.csv")})
    arguments = made.command(Widening(), None, "").argv
    assert str(tmp_path / "in") in arguments  # --add-dir
    assert str(tmp_path / "in" / "data.csv") in arguments  # the one file that is mounted


def test_a_prompt_that_its_program_refuses_is_named(lab: Lab) -> None:
    made = prepared(lab, prompt="x" * 1_048_577)
    object.__setattr__(made, "cli", Codex())
    with pytest.raises(AgentError, match=r"codex takes prompts of at most 1,048,576 characters, this has 1,048,577"):
        made.command(Widening(), None, "")
