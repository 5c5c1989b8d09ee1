"""`Session`: reading from any process, verbs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.errors import CommandRefused, RunFailed, SessionNotFound
from orchestrator_nb.runtime.compare import compare, result_difference
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import asks, plan, until

HUMAN = {"id": "q", "agent": "human", "prompt": "Go?"}


def test_sessions_are_found_by_id_beginning_path_and_age(orchestrator: Orchestrator, settings: Settings) -> None:
    with pytest.raises(SessionNotFound):
        Session.latest(settings)
    first = orchestrator.run(plan({"id": "t", "command": "echo 1"})).wait(20)
    second = orchestrator.run(plan({"id": "t", "command": "echo 2"})).wait(20)
    assert Session.open(first.id, settings).id == first.id
    assert Session.open(first.path, settings).id == first.id
    assert Session.latest(settings).id == second.id
    assert {session.id for session in Session.all(settings)} == {first.id, second.id}
    with pytest.raises(SessionNotFound, match="did you mean"):
        Session.open(first.id[:-1] + "_", settings)


def test_a_live_run_is_followed_and_steered_from_outside(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan(HUMAN, {"id": "t", "command": "echo x", "dependencies": ["q"]}))
    until(lambda: asks(run))
    session = Session.open(run.id, settings)
    assert session.status == "running"
    assert session.holder() is not None
    with pytest.raises(RunFailed, match="no result yet"):
        _ = session.result
    assert "accepted" in session.tell("pause")
    session.refresh()
    assert session.status == "paused"
    session.tell("resume")
    with pytest.raises(CommandRefused, match="not what was shown"):
        session.tell("approve", checkpoint="q", subject_sha256="0" * 64)
    [checkpoint] = session.state.open_checkpoints
    session.tell("approve", checkpoint="q", subject_sha256=checkpoint.subject_sha256, answer="yes")
    run.wait(10)
    session.refresh()
    assert session.status == "completed"
    assert session.result == run.result
    assert session.result_of("q") == "yes"
    assert session.holder() is None


def test_verbs_on_disk(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "bad", "command": "exit 1"}, {"id": "t", "command": "true"})).wait(20)
    session = Session.open(run.id, settings)
    for verb in ("pause", "stop", "resume", "cancel"):
        with pytest.raises(CommandRefused, match="not running"):
            session.tell(verb, task="t")
    with pytest.raises(CommandRefused, match="only a failed task"):
        session.tell("retry", task="t")
    with pytest.raises(CommandRefused, match="no task 'bd'; did you mean 'bad'"):
        session.tell("retry", task="bd")
    assert "next" in session.tell("retry", task="bad") or session.state.tasks["bad"].status == "pending"
    assert session.state.tasks["bad"].status == "pending"
    with pytest.raises(CommandRefused, match="nothing to halt"):
        session.tell("halt")


def test_compare_shows_status_duration_and_what_differs(orchestrator: Orchestrator, settings: Settings) -> None:
    def run(word: str, code: int) -> Session:
        tasks = [
            {"id": "same", "command": "echo 1"},
            {"id": "differs", "command": ["echo", "${params.word}"]},
            {"id": "ends", "command": f"exit {code}"},
        ]
        done = orchestrator.run(plan(*tasks, params={"word": "x"}), {"word": word}).wait(20)
        return Session.open(done.id, settings)

    a, b = run("x", 0), run("y", 1)
    comparison = compare(a, b)
    assert comparison.statuses == ("completed", "failed")
    assert comparison.params == {"word": ("x", "y")}
    by_task = {task.task: task for task in comparison.tasks}
    assert by_task["same"].result == "same"
    assert not by_task["same"].differs
    assert by_task["differs"].result == "different"
    assert by_task["ends"].statuses == ("completed", "failed")
    assert all(duration is not None for duration in by_task["same"].durations)
    assert [line[0] for line in result_difference(a, b, "differs")[2:]] == ["@", "-", "+"]
    assert result_difference(a, b, "ends") == []


def test_a_changed_result_is_noticed(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "t", "command": "yes | head -c 3000"})).wait(20)
    session = Session.open(run.id, settings)
    Path(run.path, "results", "agent-01-result.md").write_text("forged")
    with pytest.raises(Exception, match="was changed after its task completed"):
        session.result_of("t")


def test_a_question_with_a_default_needs_no_answer(orchestrator: Orchestrator) -> None:
    schema = {"enum": ["now", "later"], "default": "later"}
    run = orchestrator.run(plan({"id": "ask", "agent": "human", "prompt": "When?", "parameters": {"schema": schema}}))
    until(lambda: asks(run), 20)
    run.approve("ask")
    assert run.wait(20).results["ask"] == "later"
