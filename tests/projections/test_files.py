"""The derived files: what they hold, and that it depends on the log alone."""

from __future__ import annotations

import json
import random
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import StorageError
from orchestrator_nb.projections.files import Content, Files, Link, is_derived
from tests.histories import History, histories, tell

Tree = dict[str, Content]


def take(files: Files, tree: Tree, limit: int | None = None) -> list[str]:
    """Do what the runtime does with the changes, or the first of them; the paths of what was written or removed."""
    paths: list[str] = []
    for path, content in islice(files.changed(), limit):
        paths.append(path)
        if content is None:
            tree.pop(path, None)
        else:
            tree[path] = content
    return paths


def content(tree: Tree, path: str) -> bytes:
    """What is in a file that is no link."""
    held = tree[path]
    assert isinstance(held, bytes)
    return held


def promote(history: History, record: e.Record, tree: Tree) -> None:
    """What the executor does before a completion is written: its result is put in its place."""
    if isinstance(record.event, e.TaskCompleted) and record.event.result is not None:
        tree[record.event.result.path] = history.read(record.event.result)


def files_of(history: History) -> Tree:
    """All files, made at once at the end, as `orchestrate rebuild` does."""
    files, tree = Files(history.read), Tree()
    for record, state in history.replay():
        promote(history, record, tree)
        files.apply(record, state)
    take(files, tree)
    return tree


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 2**32))
def test_files_depend_on_the_log_alone(history: History, seed: int) -> None:
    dice = random.Random(seed)
    files, tree = Files(history.read), Tree()
    often = dice.choice([0.05, 0.5, 1.0])
    for record, state in history.replay():
        promote(history, record, tree)
        files.apply(record, state)
        if dice.random() < often:
            before = dict(tree)
            told = take(files, tree)
            assert all(before.get(path) != tree.get(path) for path in told if path in tree), "told without a change"
    take(files, tree)
    assert list(files.changed()) == []
    assert tree == files_of(history)
    assert all(is_derived(path) or path.startswith("results/") for path in tree)


@settings(max_examples=50, deadline=None)
@given(histories(30), st.integers(0, 40))
def test_what_could_not_be_written_is_told_again(history: History, patience: int) -> None:
    files, tree = Files(history.read), Tree()
    for record, state in history.replay():
        promote(history, record, tree)
        files.apply(record, state)
        take(files, tree, limit=record.seq * patience % 5)  # then the disk is full
    take(files, tree)
    assert tree == files_of(history)


SHELL = {
    "title": "Demo",
    "tasks": [{"id": "a", "command": ["true"]}, {"id": "dir/b", "command": ["x"], "dependencies": ["a"]}],
}


def test_a_task_with_a_process_has_all_its_files() -> None:
    history = tell(SHELL, e.TaskStarted("a", 1, 1), e.ProcessStarted("a", 1, 77, 123))
    tree = files_of(history)
    assert tree["pids/a.pid"] == b"77\n"
    assert tree["logs/a.log"] == Link("../attempts/a/1/log")
    assert json.loads(content(tree, "status/a.json"))["status"] == "running"
    assert "status/dir/b.json" not in tree
    assert {"agent_tasks/agent-01.md", "agent_tasks/agent-02.md"} <= set(tree)

    history.tell(e.TaskCompleted("a", 1, 2.0), e.TaskStarted("dir/b", 1, 2), e.ProcessStarted("dir/b", 1, 78, 124))
    tree = files_of(history)
    assert "pids/a.pid" not in tree
    assert tree["logs/a.log"] == Link("../attempts/a/1/log")
    assert tree["logs/dir/b.log"] == Link("../../attempts/dir/b/1/log")


def test_only_what_changed_is_told() -> None:
    history = tell(SHELL, e.TaskStarted("a", 1, 1))
    files, tree = Files(history.read), Tree()
    for record, state in history.replay():
        files.apply(record, state)
    take(files, tree)
    history.tell(e.ProcessStarted("a", 1, 77, 123))
    files.apply(history.records[-1], history.state)
    assert take(files, tree) == ["pids/a.pid", "logs/a.log", "session.json"]
    history.tell(e.TaskProgressed("a", 1, "half"))
    files.apply(history.records[-1], history.state)
    assert take(files, tree) == ["session.json"]
    assert take(files, tree) == []


def test_the_pid_file_of_a_process_that_died_with_its_coordinator_goes() -> None:
    history = tell(SHELL, e.TaskStarted("a", 1, 1), e.ProcessStarted("a", 1, 77, 123))
    history.tell(e.AttemptInterrupted("a", 1, "crash", crashed=True))
    files = Files(history.read)
    for record, state in history.replay():
        files.apply(record, state)
    assert dict(files.changed())["pids/a.pid"] is None


def test_small_tasks_have_no_files_until_they_have_something_to_show() -> None:
    plan = {"tasks": [{"id": name, "function": "m:f"} for name in ("quiet", "valued", "failed")]}
    history = tell(plan, *[e.TaskStarted(name, 1, 1) for name in ("quiet", "valued", "failed")])
    assert set(files_of(history)) == {"session.json", "master_plan.md", "artifacts/plan.json"}
    history.tell(e.TaskCompleted("quiet", 1), e.TaskCompleted("valued", 1, value=3), e.TaskFailed("failed", 1, "no"))
    assert set(files_of(history)) == {
        "session.json",
        "master_plan.md",
        "artifacts/plan.json",
        "agent_tasks/agent-02.md",
        "status/valued.json",
        "results/agent-02-result.md",
        "agent_tasks/agent-03.md",
        "status/failed.json",
    }


def test_simulated_tasks_have_files() -> None:
    tree = files_of(
        tell({"tasks": [{"id": "a", "agent": "simulated"}]}, e.TaskStarted("a", 1, 1), e.TaskCompleted("a", 1))
    )
    assert {"agent_tasks/agent-01.md", "status/a.json"} <= set(tree)


def completed(history: History, attempt: int, **result: Any) -> e.TaskCompleted:
    if isinstance(text := result.pop("text", None), str):
        result["result"], result["format"] = history.store("results/agent-01-result.md", text.encode()), "text"
    return e.TaskCompleted("a", attempt, **result)


def test_a_result_that_is_data_is_written_for_people_and_text_is_left_alone() -> None:
    plan = {"tasks": [{"id": "a", "title": "Count", "function": "m:f"}]}
    history = tell(plan, e.TaskStarted("a", 1, 1), e.TaskCompleted("a", 1, value={"words": 3}))
    assert files_of(history)["results/agent-01-result.md"] == (
        b"# Agent-01: Count\n\n| Figure | Value |\n| --- | --- |\n| words | 3 |\n"
    )
    history.tell(e.TaskReset("a"), e.TaskStarted("a", 2, 2), completed(history, 2, text="mine"))
    assert files_of(history)["results/agent-01-result.md"] == b"mine"
    files = Files(history.read)
    for record, state in history.replay():
        files.apply(record, state)
    assert "results/agent-01-result.md" not in dict(files.changed())
    history.tell(e.TaskReset("a"), e.TaskStarted("a", 3, 3), completed(history, 3, value=4))
    assert b"4" in content(files_of(history), "results/agent-01-result.md")
    history.tell(e.TaskReset("a"), e.TaskStarted("a", 4, 4), completed(history, 4))
    assert files_of(history).get("results/agent-01-result.md") is None


def test_a_result_that_cannot_be_read_is_said_and_the_rest_is_written() -> None:
    def refuse(artifact: e.Artifact) -> bytes:
        raise StorageError(f"{artifact.path} is gone")

    result = e.Artifact("results/agent-01-result.json", 3, "0")
    history = tell({"tasks": [{"id": "a", "command": ["x"]}]}, e.TaskStarted("a", 1, 1))
    history.tell(e.TaskCompleted("a", 1, result=result, format="json"))
    files = Files(refuse)
    for record, state in history.replay():
        files.apply(record, state)
    tree: Tree = {}
    with pytest.raises(StorageError, match="blobs/"):  # the plan cannot be read either
        take(files, tree)
    assert b"cannot be shown: results/agent-01-result.json is gone" in content(tree, "results/agent-01-result.md")
    assert {"session.json", "master_plan.md", "status/a.json"} <= set(tree)


def test_a_new_plan_takes_away_the_files_of_tasks_that_it_dropped() -> None:
    history = tell(SHELL, e.TaskStarted("a", 1, 1), e.ProcessStarted("a", 1, 77, 1), e.TaskCompleted("a", 1))
    files, tree = Files(history.read), Tree()
    for record, state in history.replay():
        files.apply(record, state)
    take(files, tree)
    assert {"status/a.json", "logs/a.log"} <= set(tree)
    plan = {"tasks": [{"id": "dir/b", "command": ["x"]}]}
    history.tell(e.RunEnded(1, "stopped"))
    history.accept(Plan.model_validate(plan))
    for record in history.records[-2:]:
        files.apply(record, history.state)
    take(files, tree)
    assert sorted(tree) == ["agent_tasks/agent-02.md", "artifacts/plan.json", "master_plan.md", "session.json"]


def test_the_plan_is_written_as_it_was_accepted() -> None:
    history = tell(SHELL)
    assert json.loads(content(files_of(history), "artifacts/plan.json")) == {
        "title": "Demo",
        "tasks": [
            {"id": "a", "command": ["true"]},
            {"id": "dir/b", "command": ["x"], "dependencies": [{"task": "a"}]},
        ],
    }


def test_an_empty_log_has_no_files() -> None:
    assert list(Files(lambda artifact: b"").changed()) == []
    assert not is_derived("results/agent-01-result.md")
    assert not is_derived("events.jsonl")
    assert is_derived("status/a/b.json")
