"""From a prompt to a result with coding agents: one plans, two work side by side, one verifies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb import Orchestrator
from orchestrator_nb.core import events as e
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.git_repositories import git, make_repository, users_own
from tests.runtime.waiting import statuses
from tests.system.sandbox.place import need


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    return make_repository(tmp_path / "repository")


def request(*tasks: dict[str, Any]) -> str:
    """A prompt that lets the puppet plan these tasks: with a sentence before its answer, and trying to write."""
    answer = json.dumps({"plan": {"title": "A guide", "tasks": list(tasks)}, "assumptions": ["None."]})
    return f"Write the guide. {steps(('write', 'stray.txt', 'x'), ('say', f'Here is the plan: {answer}'))}"


def ask(repository: Path, text: str, **options: Any) -> Run:
    orchestrator = Orchestrator(workspace=repository.parent / "sessions", grace=2.0)
    return orchestrator.ask(text, planner=PUPPET, cwd=repository, approval=False, **options)


def test_a_coding_agent_plans_and_two_of_them_work_side_by_side(repository: Path) -> None:
    before = users_own(repository)
    tasks = [
        {"id": name, "agent": PUPPET, "prompt": steps(("write", f"{name}.txt", name), ("say", f"wrote {name}"))}
        for name in ("one", "two")
    ]
    seen: list[Any] = []

    def verifier(request: str, results: dict[str, Any]) -> bool:
        seen.append(results)
        return True

    run = ask(repository, request(*tasks), verifier=verifier).wait(90)
    assert run.status == "completed", str(run.log)
    assert seen == [{"one": "wrote one", "two": "wrote two"}]
    merged = git(repository, "ls-tree", "-r", "--name-only", f"orchestrator/{run.id}").split()
    assert {"one.txt", "two.txt"} <= set(merged)
    assert "stray.txt" not in merged  # a planner only reads
    assert users_own(repository) == before
    started = [r.event for r in read_records(run.path / "events.jsonl") if isinstance(r.event, e.ProcessStarted)]
    assert "planning/1-plan" in {event.task for event in started}
    assert (run.path / "attempts" / "planning" / "1-plan" / "1" / "log").stat().st_size
    assert (run.path / "logs" / "planning" / "1-plan.log").exists()


def test_what_a_repository_talks_a_planner_into_is_not_carried_out(repository: Path) -> None:
    canary = repository / "canary"
    run = ask(repository, request({"id": "a", "command": f"touch {canary}"}), verifier="none").wait(60)
    assert run.status == "failed"
    assert list(statuses(run)) == ["planning/1-plan", "planning/1-plan-again"]
    assert not canary.exists()
