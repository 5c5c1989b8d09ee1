from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb import Orchestrator, Session
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.runtime.importing import Imported, take_in


def prepared(base: Path, *tasks: dict[str, object]) -> Session:
    plan = Plan.model_validate({"title": "x", "tasks": list(tasks)})
    return Orchestrator(workspace=base / "w").prepare(plan, cwd=base)


def file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_results_are_taken_in_the_order_of_the_plan_and_what_is_refused_keeps_no_other_out(tmp_path: Path) -> None:
    session = prepared(
        tmp_path,
        {"id": "one", "agent": "claude", "prompt": "One."},
        {"id": "two", "agent": "codex", "prompt": "Two.", "dependencies": ["one"]},
        {"id": "three", "agent": "human", "prompt": "Three?", "outputs": ["x"]},
    )
    second, first = file(tmp_path / "agent-02-result.md", "2"), file(tmp_path / "agent-01-result.md", "1")
    third = file(tmp_path / "three.md", "3")
    told = take_in(session, [second, third, first], by="me")
    assert [(one.task, bool(one.refused)) for one in told] == [("one", False), ("two", False), ("three", True)]
    assert [session.result_of(name) for name in ("one", "two")] == ["1", "2"]
    assert session.task("one").imported == f"me from {first}"
    assert "was imported by me from" in str(session.explain("one"))
    assert session.task("three").status is TaskStatus.PENDING
    assert Imported("one", first) == told[0]


def test_python_hears_of_what_was_refused(tmp_path: Path) -> None:
    session = prepared(tmp_path, {"id": "one", "agent": "claude", "prompt": "One."})
    with pytest.raises(CommandRefused, match="cannot be read"):
        session.import_results([tmp_path / "one.md"])
    assert session.import_results([file(tmp_path / "any", "1")], task="one") == ["one"]
    run = Orchestrator(workspace=tmp_path / "w").resume(session.path).wait(30)
    assert (run.status, run.results["one"]) == ("completed", "1")


def test_a_large_result_and_one_in_json_are_kept_as_such(tmp_path: Path) -> None:
    session = prepared(
        tmp_path,
        {"id": "a.b", "agent": "claude", "prompt": "One."},
        {"id": "two", "command": ["true"]},
    )
    text = "word " * 10_000
    session.import_results([file(tmp_path / "a.b.md", text), file(tmp_path / "two-result.json", '{"n": [1, 2]}')])
    assert session.result_of("a.b") == text
    assert session.result_of("two") == {"n": [1, 2]}
    with pytest.raises(CommandRefused, match="completed already"):
        session.import_results([tmp_path / "a.b.md"])


def test_a_name_that_two_tasks_could_mean_is_asked_about(tmp_path: Path) -> None:
    session = prepared(
        tmp_path,
        {"id": "agent-02", "agent": "claude", "prompt": "One."},
        {"id": "two", "agent": "claude", "prompt": "Two."},
    )
    with pytest.raises(CommandRefused, match=r"could be the result of agent-02 or two: say which \(--task\)"):
        session.import_results([file(tmp_path / "agent-02.md", "?")])
