"""Runs of this process and sessions on disk, seen alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_nb.core.events import Record
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.jupyter.subject import RunSubject, SessionSubject, Subject
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import plan, until

TASKS = (
    {"id": "pack", "agent": "simulated", "parameters": {"result": {"socks": 2}}},
    {"id": "ask", "agent": "human", "prompt": "Go?", "dependencies": ["pack"]},
    {"id": "say", "command": "echo bye", "dependencies": ["ask"]},
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)


@pytest.fixture
def run(settings: Settings) -> Iterator[Run]:
    run = Orchestrator(settings).run(plan(*TASKS))
    until(lambda: status(RunSubject(run), "ask") == "awaiting_approval")
    yield run
    if not run.done:
        run.halt()
        run.wait()


def status(subject: Subject, task: str) -> str:
    with subject.reading() as state:
        return str(state.tasks[task].status)


def both(run: Run) -> list[Subject]:
    return [RunSubject(run), SessionSubject(Session.open(run.path, run.settings))]


class Heard:
    """What a listener was told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, records: list[Record]) -> None:
        with self._lock:
            self.records += records
            self.calls += 1


def test_a_run_and_its_session_say_the_same(run: Run) -> None:
    here, elsewhere = both(run)
    assert (here.id, here.path) == (elsewhere.id, elsewhere.path) == (run.id, run.path)
    assert (here.here, elsewhere.here) == (True, False)
    assert here.live
    assert elsewhere.live
    assert here.status == elsewhere.status == "running"
    for subject in (here, elsewhere):
        assert status(subject, "ask") == "awaiting_approval"
        assert "ask" in str(subject.explain("say"))
        with subject.reading() as state:
            task = state.tasks["pack"]
        assert subject.result_of(task) == {"socks": 2}
        assert subject.log_path(task) == run.path / "attempts/pack/1/log"


def test_a_task_without_an_attempt_has_no_log(run: Run) -> None:
    with run.state() as state:
        assert RunSubject(run).log_path(state.tasks["say"]) is None


@pytest.mark.parametrize("which", [0, 1], ids=["run", "session"])
def test_verbs_are_carried_out_and_refused_with_a_reason(run: Run, which: int) -> None:
    subject = both(run)[which]
    assert "pause accepted" in subject.tell("pause")
    until(lambda: subject.status == "paused")
    with pytest.raises(CommandRefused, match="nothing"):
        subject.tell("cancel", task="nothing")
    subject.tell("resume")
    subject.tell("approve", checkpoint="ask")
    assert run.wait(20).status == "completed"
    until(lambda: not subject.live)
    with pytest.raises(OrchestratorError):
        subject.tell("pause")


@pytest.mark.parametrize("which", [0, 1], ids=["run", "session"])
def test_listeners_hear_every_new_record_once_and_the_end(run: Run, which: int) -> None:
    subject, heard, left = both(run)[which], Heard(), Heard()
    with subject.reading() as state:
        known = state.seq
    subject.subscribe(left)()
    remove = subject.subscribe(heard)
    run.approve("ask")
    run.wait(20)
    until(lambda: subject.status == "completed" and not subject.live)
    last = Session.open(run.path, run.settings).state.seq
    until(lambda: heard.records and heard.records[-1].seq == last)
    assert [record.seq for record in heard.records] == list(range(known + 1, last + 1))
    assert left.calls == 0
    remove()


def test_a_session_that_is_removed_while_it_is_watched_stays_as_it_was_seen(run: Run) -> None:
    run.approve("ask")
    run.wait(20)
    subject, heard = SessionSubject(Session.open(run.path, run.settings)), Heard()
    remove = subject.subscribe(heard)
    run.path.rename(run.path.with_name("elsewhere"))
    assert status(subject, "say") == "completed"
    remove()
    assert heard.records == []
