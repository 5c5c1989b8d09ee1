"""What TAB offers: by the real program, as bash asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.cli.app import run_command
from tests.cli.program import orchestrate

PLAN = """\
title: Completing
params:
  target:
    type: path
    default: .
    help: Where to look
  level: {type: str, default: low, choices: [low, high]}
  loud: {type: bool, default: false}
tasks:
  - id: first
    agent: simulated
  - id: ask
    agent: human
    prompt: Well?
  - id: folder/second
    agent: simulated
    dependencies: [ask]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a plan and a session of it that waits for a person."""
    directory = tmp_path_factory.mktemp("completion")
    (directory / "plan.yaml").write_text(PLAN)
    (directory / "notes.txt").touch()
    from orchestrator_nb.runtime.orchestrator import Orchestrator
    from orchestrator_nb.storage.settings import load_settings

    run = Orchestrator(load_settings(directory, {})).run(str(directory / "plan.yaml"), cwd=directory)
    for record in run:
        if type(record.event).__name__ == "CheckpointReached":
            run.stop()
    return directory


def complete(line: str, place: Path) -> list[str]:
    words = line.split(" ")
    done = orchestrate(
        cwd=place, _ORCHESTRATE_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_sessions_tasks_and_checkpoints(place: Path) -> None:
    (session,) = [path.name for path in (place / ".orchestrator").iterdir() if path.name[0] == "2"]
    assert complete("orchestrate re", place) == [
        "resume", "reproduce", "report", "retry", "reject", "rebuild",
    ]  # fmt: skip
    assert complete("orchestrate status ", place) == [session]
    assert complete("orchestrate show fo", place) == ["folder/second"]
    assert complete(f"orchestrate logs -s {session} f", place) == ["first", "folder/second"]
    assert complete("orchestrate approve ", place) == ["ask"]


def test_plans_and_their_parameters(place: Path) -> None:
    assert complete("orchestrate run ", place) == ["plan.yaml"]
    assert complete("orchestrate run plan.yaml -p ", place) == [
        "target=", "level=low", "level=high", "loud=false", "loud=true",
    ]  # fmt: skip
    assert complete("orchestrate run plan.yaml -p level=h", place) == ["level=high"]
    assert complete("orchestrate fork latest first -p ta", place) == ["target="]


@pytest.mark.parametrize(
    "text", ["params: [", "params: &a [*a, *a]", "[" * 5000, "params: {a: &x 1, b: *x, <<: *x}", "\x00", "- 1\n- 2", ""]
)
def test_a_broken_plan_offers_nothing_and_says_nothing(tmp_path: Path, text: str) -> None:
    from orchestrator_nb.cli.completion import _params_of_file

    (tmp_path / "bad.yaml").write_text(text)
    try:
        offered = _params_of_file(tmp_path / "bad.yaml")
    except Exception as error:
        offered = {type(error).__name__: None}
    assert len(offered) <= 3
    assert run_command(["check", str(tmp_path / "bad.yaml")]) == 2
