"""`run["T-03"]`: one task, of a run that goes on and of a session on disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import CommandRefused, RunFailed
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.runtime.task_view import LOG_TAIL
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import asks, plan, until

TABLE = {
    "id": "table",
    "title": "Make the \x1b[31mtable",
    "command": "echo 1,2 | tee $ORCH_OUTPUTS/t.csv; echo careful >&2",
    "outputs": ["t.csv"],
}


def of_both(run: Run, settings: Settings) -> tuple[Run, Session]:
    return run, Session.open(run.id, settings)


def test_a_completed_task(orchestrator: Orchestrator, settings: Settings) -> None:
    before = datetime.now(UTC)
    run = orchestrator.run(plan(TABLE, {"id": "after", "command": "true", "dependencies": ["table"]})).wait(20)
    for source in of_both(run, settings):
        task = source["table"]
        assert (task.id, task.title, task.agent, task.status) == ("table", "Make the table", "shell", "completed")
        assert task.result == task.value == "1,2"
        assert task.outputs["t.csv"].read_text() == "1,2\n"
        assert str(task.log) == "1,2\n--- standard error ---\ncareful\n"
        assert [path.is_dir() for path in task.attempts] == [True]
        assert task.attempts[0].parent == task.path
        assert task.started is not None
        assert task.ended is not None
        assert before - timedelta(seconds=1) <= task.started <= task.ended
        assert task.duration is not None
        assert 0 < task.duration < 20
        assert task.error == ""
        assert "completed at" in task.why[0]
        assert source["after"].depends_on == ("table",)
        assert repr(task).startswith("<Task table completed in ")


def test_a_failed_a_blocked_and_a_retried_task(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(
        plan(
            {"id": "bad", "command": "echo no; exit 3", "retry": {"attempts": 2, "delay": 0}},
            {"id": "next", "command": "true", "dependencies": ["bad"]},
        )
    ).wait(20)
    for source in of_both(run, settings):
        bad, after = source["bad"], source["next"]
        assert (bad.status, len(bad.attempts), bad.log) == ("failed", 2, "no\n")
        assert "exit code 3" in bad.error
        assert bad.value is None
        with pytest.raises(RunFailed, match="has no result, it is failed"):
            _ = bad.result
        assert (after.attempts, after.started, after.duration, after.log) == ((), None, None, "")
        assert "because of 'bad'" in after.why[0]
        assert repr(after) == "<Task next blocked>"
        bundle = after._repr_mimebundle_()
        assert "blocked" in bundle["text/plain"].lower()
        assert "<th" in bundle["text/html"]


def test_an_unknown_task_is_a_key_error_with_the_nearest_id(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "T-03", "command": "true"})).wait(20)
    for source in of_both(run, settings):
        for kind in (KeyError, CommandRefused):
            with pytest.raises(kind) as caught:
                _ = source["T-3"]
            assert str(caught.value) == f"session {run.id} has no task 'T-3'; did you mean 'T-03'?"
        assert "T-03" in source
        assert "T-3" not in source
        assert source._ipython_key_completions_() == ["T-03"]
    with pytest.raises(KeyError, match="did you mean 'T-03'"):
        _ = run.results["T-3"]
    assert run.results.get("nothing like it") is None


def test_it_is_asked_while_the_run_goes_on(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "q", "agent": "human", "prompt": "Go?"}, {"id": "s", "command": "sleep 60"}))
    until(lambda: asks(run) and run["s"].status == "running")
    task = run["q"]
    assert task.status == "awaiting_approval"
    assert "waits for a person" in task.why[0]
    first = run["s"].duration
    until(lambda: (run["s"].duration or 0) > (first or 0))
    assert Session.open(run.id, settings)["s"].status == "running"
    run.approve("q", "yes")
    until(lambda: task.status == "completed")
    assert task.result == "yes"
    run.halt()
    run.wait(20)


def test_of_a_long_log_the_end_is_given(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan({"id": "t", "command": "seq 100000; printf '\\033[2Jlast'"})).wait(20)
    first, *_, last = run["t"].log.splitlines()
    assert "earlier bytes" in first
    assert str(run["t"].attempts[0]) in first
    assert last == "last"
    assert LOG_TAIL / 2 < len(run["t"].log) < LOG_TAIL + 1000


def test_a_log_that_was_replaced_by_a_link_is_not_followed(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan({"id": "t", "command": "echo x"})).wait(20)
    log = run["t"].attempts[0] / "log"
    log.unlink()
    log.symlink_to("/etc/passwd")
    assert Path("/etc/passwd").read_text("utf-8").splitlines()[0] not in run["t"].log
    assert "cannot be read" in run["t"].log


def test_row_F4_a_task_shows_itself_without_markup_of_its_agent(orchestrator: Orchestrator) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m"
    tasks = [
        {"id": "says", "title": bad, "command": ["printf", "%s", bad]},
        {"id": "fails", "title": bad, "command": ["sh", "-c", 'printf %s "$1"; printf %s "$1" >&2; exit 1', "sh", bad]},
    ]
    run = orchestrator.run(Plan.model_validate({"tasks": tasks})).wait(20)
    for task_id in ("says", "fails"):
        bundle = run[task_id]._repr_mimebundle_()
        assert "<script" not in bundle["text/html"]
        assert "<img" not in bundle["text/html"]
        assert "\x1b" not in "".join([*bundle.values(), repr(run[task_id]), run[task_id].title, run[task_id].log])
