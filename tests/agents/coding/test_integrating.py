"""What follows an agent's work: contained checks, and merges, in whole runs."""

from __future__ import annotations

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
from tests.runtime.waiting import plan, statuses, until
from tests.system.sandbox.place import need


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    return make_repository(tmp_path / "repository")


def task(name: str, *told: Any, after: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"id": name, "agent": PUPPET, "prompt": steps(*told), "dependencies": list(after), **fields}


def run(directory: Path, *tasks: dict[str, Any], jobs: int = 2) -> Run:
    made = Orchestrator(workspace=directory.parent / "sessions", grace=2.0).run(plan(*tasks), cwd=directory, jobs=jobs)
    return made.wait(100)


def integrated(repository: Path, made: Run) -> dict[str, str]:
    """The files on the integration branch."""
    branch = f"orchestrator/{made.id}"
    return {
        name: git(repository, "show", f"{branch}:{name}")
        for name in git(repository, "ls-tree", "-r", "--name-only", branch).split()
    }


def error(made: Run, name: str) -> str:
    with made.state() as state:
        return state.tasks[name].error


def told(made: Run) -> list[str]:
    records = read_records(made.path / "events.jsonl")
    return [record.event.message for record in records if isinstance(record.event, e.TaskProgressed)]


def test_finished_work_is_merged_and_the_next_task_builds_upon_it(repository: Path) -> None:
    before = users_own(repository)
    made = run(
        repository,
        task("one", ("write", "one.txt", "1")),
        task("two", ("write", "two.txt", "2")),
        task("three", ("run", "cat one.txt two.txt > three.txt"), after=("one", "two")),
    )
    assert made.status == "completed"
    files = integrated(repository, made)
    assert (files["one.txt"], files["two.txt"], files["three.txt"]) == ("1", "2", "12")
    subjects = git(repository, "log", "--first-parent", "--format=%s", f"orchestrator/{made.id}").splitlines()
    assert subjects[0] == "three: three"
    assert {"one: one", "two: two"} <= set(subjects)
    assert any(message.startswith("To Rollback, Run: git revert --no-edit -m 1 ") for message in told(made))
    assert users_own(repository) == before


def test_work_of_a_task_further_up_is_there_too(repository: Path) -> None:
    made = run(
        repository,
        task("one", ("write", "one.txt", "1")),
        {"id": "between", "command": "true", "dependencies": ["one"]},
        task("two", ("run", "cp one.txt two.txt"), after=("between",)),
        task("other", ("run", "test -e one.txt && touch wrong.txt; true")),
        jobs=1,
    )
    assert made.status == "completed"
    assert integrated(repository, made)["two.txt"] == "1"
    assert "wrong.txt" not in integrated(repository, made)


def test_checks_run_where_the_agent_worked_contained_and_without_its_login(repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    made = run(
        repository,
        task("good", ("write", "one.txt", "1"), checks=['test -f one.txt && test -z "$PUPPET_KEY"']),
        task("bad", ("write", "x.sh", f"touch {outside}/planted"), checks=["sh x.sh"]),
    )
    assert statuses(made) == {"good": "completed", "bad": "failed"}
    assert "Check failed: sh x.sh" in error(made, "bad")
    assert list(outside.iterdir()) == []


def test_what_is_cancelled_while_its_merge_is_checked_is_not_merged_and_leaves_nothing_running(
    repository: Path, tmp_path: Path
) -> None:
    made = Orchestrator(workspace=tmp_path / "sessions", grace=2.0).run(
        plan(
            task("one", ("write", "one.txt", "1"), priority="P0"),
            task("two", ("write", "two.txt", "2"), checks=["test ! -e one.txt || exec sleep 1234"]),
        ),
        cwd=repository,
        jobs=1,
    )
    until(lambda: statuses(made)["two"] == "running" and sleeping(made), 30)
    made.cancel("two")
    made.wait(30)
    assert statuses(made) == {"one": "completed", "two": "cancelled"}
    assert "two.txt" not in integrated(repository, made)
    until(lambda: not sleeping(made))


def sleeping(made: Run) -> bool:
    """Whether a check of the run sleeps: what it runs is told by the environment that it has."""
    mark = f"ORCH_SESSION={made.id}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"sleep\x001234" in (process / "cmdline").read_bytes() and mark in (process / "environ").read_bytes():
                return True
        except OSError:
            continue
    return False


def test_copies_are_brought_together_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.txt").write_text("a")
    made = run(
        tmp_path / "plain",
        task("one", ("write", "one.txt", "1")),
        task("two", ("run", "cat one.txt a.txt > two.txt"), after=("one",)),
    )
    assert made.status == "completed"
    assert next((made.path / "worktrees" / "steps").glob("0002+*/two.txt")).read_text() == "1a"
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["a.txt"]


def test_who_only_looks_has_nothing_to_merge(repository: Path) -> None:
    made = run(repository, task("look", ("say", "fine"), parameters={"level": "read"}, checks=["test -f a.txt"]))
    assert made.status == "completed"
    assert not (made.path / "worktrees").exists()
