"""S0, rule by rule, with its exact words: the loop whose router carries out one task after the other (``--jobs 1``)."""

from __future__ import annotations

import inspect
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services
from orchestrator_nb.errors import SessionLocked
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.lock import SessionLock
from orchestrator_nb.storage.settings import Settings
from tests.runtime.test_course import breakdown, change, events, gap, judging, message, play, saying
from tests.runtime.waiting import statuses, until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)


@pytest.fixture
def orchestrator(settings: Settings) -> Orchestrator:
    return Orchestrator(settings)


class Committing:
    """An agent that commits twice and then fails."""

    def preflight(self, assignment: Assignment) -> str | None:
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        return Failure("the tests are red", commits=("c1", "c2"))


AGENT = f"{__name__}:Committing"


def route(orchestrator: Orchestrator, *tasks: dict[str, Any], **options: Any) -> Run:
    """A prompt carried out by S0's router."""
    options.setdefault("planner", saying(breakdown(*tasks)))
    return orchestrator.ask("Do it", approval=False, jobs=1, **options)


def told(run: Run) -> str:
    return (run.path / "master_plan.md").read_text()


def session(run: Run) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run.path / "session.json").read_text())
    return document


# -- phase 1: planning -------------------------------------------------------------------------------------------------


def test_1_1_session_json_begins_with_phase_1_task_0_gap_count_0(orchestrator: Orchestrator) -> None:
    answered = threading.Event()

    def planner(request: str) -> Any:
        answered.wait(20)
        return breakdown(play("A"))

    run = route(orchestrator, planner=planner)
    until((run.path / "session.json").exists, 20)
    begun = session(run)
    answered.set()
    run.wait(20)
    assert (begun["phase"], begun["current_task_idx"], begun["gap_count"]) == (1, 0, 0)
    ended = session(run)
    assert (ended["phase"], ended["current_task_idx"], ended["gap_count"]) == (2, 1, 0)


def test_1_2_the_planner_has_300_seconds(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A")).wait(20)
    assert run.plan["planning/1-plan"].timeout == 300


def test_1_2_a_planner_that_takes_longer_is_a_timeout(settings: Settings) -> None:
    answered = threading.Event()

    def planner(request: str) -> Any:
        answered.wait(20)

    short = Settings(workspace=settings.workspace, planner_timeout=0.2)
    run = route(Orchestrator(short), planner=planner).wait(20)
    answered.set()
    assert message(run).startswith("Task Timeout: Agent exceeded 0.2s")


def test_1_2_topology_check(orchestrator: Orchestrator) -> None:
    wrong = breakdown(play("A", dependencies=["B"]), play("B"))
    run = route(orchestrator, planner=saying(wrong, wrong)).wait(20)
    assert run.status == "failed"
    assert "Invalid Topology: Task A depends on future task B" in message(run)
    assert "A" not in statuses(run)


def test_1_2_budget_warning(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A", files=["1", "2", "3", "4"]), play("B", files=["1", "2", "3"])).wait(20)
    assert run.status == "completed"
    assert [event.message for event in events(run, e.WarningRaised)] == ["Task A exceeds context budget"]


def test_1_2_a_warning_is_given_once_also_when_the_plan_is_changed(orchestrator: Orchestrator) -> None:
    planner = saying(breakdown(play("A", files=["1", "2", "3", "4"])), change(play("B")))
    run = route(orchestrator, planner=planner, verifier=judging(gap("B"), True)).wait(20)
    assert [event.message for event in events(run, e.WarningRaised)] == ["Task A exceeds context budget"]


def test_1_2_the_plan_is_written_to_artifacts(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A"), play("B")).wait(20)
    written = json.loads((run.path / "artifacts" / "plan.json").read_text())
    assert [task["id"] for task in written["tasks"]] == ["planning/1-plan", "A", "B"]


# -- phase 2: execution ------------------------------------------------------------------------------------------------


def test_2_2_one_task_after_the_other_in_the_order_of_the_plan(orchestrator: Orchestrator) -> None:
    tasks = [play("A", priority="P3"), play("B", priority="P0"), play("C", dependencies=["A"]), play("D")]
    run = route(orchestrator, *tasks).wait(20)
    order = [event.task for event in events(run, e.TaskStarted, e.TaskCompleted) if "/" not in event.task]
    assert order == ["A", "A", "B", "B", "C", "C", "D", "D"]


def test_2_2_dependency_violation(orchestrator: Orchestrator) -> None:
    slow = {"id": "A", "agent": "simulated", "parameters": {"duration": 20}}
    run = route(orchestrator, slow, play("B", dependencies=["A"]))
    until(lambda: statuses(run).get("A") == "running", 20)
    run.cancel("A")
    assert run.wait(20).status == "failed"
    assert message(run) == "Dependency violation"


def test_2_2_progress_is_logged(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A", title="Write the guide")).wait(20)
    assert "Executing Write the guide" in str(run.log)


def test_2_2_an_executor_has_600_seconds(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A")).wait(20)
    assert run.plan.limits.timeout == 600


def test_2_2_success_goes_on(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A"), play("B")).wait(20)
    assert session(run)["current_task_idx"] == 2


def test_2_2_failed_halts_with_the_rollback_line(orchestrator: Orchestrator) -> None:
    failing = {"id": "A", "agent": AGENT, "prompt": "Fail."}
    run = route(orchestrator, failing, play("B"), allow=[f"agent:{AGENT}"]).wait(20)
    assert run.status == "failed"
    assert message(run) == "Task Failed: the tests are red"
    assert statuses(run)["B"] == "blocked"  # nothing was started after it
    assert "\n- Task Failed: the tests are red\n- To Rollback, Run: `git revert --no-edit c2 c1`\n" in told(run)
    assert session(run)["current_task_idx"] == 2


def test_2_2_a_checkpoint_halts_and_the_session_goes_on_later(orchestrator: Orchestrator) -> None:
    asking = {"id": "A", "agent": "human", "prompt": "Which one?"}
    run = route(orchestrator, asking, play("B")).wait(20)
    assert run.status == "halted"
    assert message(run) == "Checkpoint Reached: Which one?"
    assert "Checkpoint Reached: Which one?" in told(run)
    Session.open(run.path, orchestrator.settings).tell("approve", checkpoint="A", answer="this")
    resumed = orchestrator.resume(run.path).wait(20)
    assert resumed.status == "completed"
    assert resumed.results["A"] == "this"


def test_2_2_a_timeout_halts(orchestrator: Orchestrator) -> None:
    slow = {"id": "A", "agent": "simulated", "parameters": {"duration": 20}, "timeout": 0.2}
    run = route(orchestrator, slow, play("B")).wait(20)
    assert run.status == "failed"
    assert message(run) == "Task Timeout: Agent exceeded 0.2s"
    assert statuses(run)["B"] == "blocked"


# -- 2.3: verification -------------------------------------------------------------------------------------------------


def test_2_3_passed_is_phase_complete(orchestrator: Orchestrator) -> None:
    run = route(orchestrator, play("A"), verifier=judging(True)).wait(20)
    assert run.status == "completed"
    assert message(run) == "Phase Complete"
    assert "- Phase Complete\n" in told(run)


def test_2_3_a_gap_is_counted_and_goes_to_planning(orchestrator: Orchestrator) -> None:
    planner = saying(breakdown(play("A")), change(play("B")))
    run = route(orchestrator, planner=planner, verifier=judging(gap("B"), True)).wait(20)
    assert run.status == "completed"
    assert session(run)["gap_count"] == 1
    assert session(run)["current_task_idx"] == 2


def test_2_3_the_third_gap_is_max_retries_exceeded(orchestrator: Orchestrator) -> None:
    planner = saying(breakdown(play("A")), change(play("B")), change(play("C")))
    run = route(orchestrator, planner=planner, verifier=judging(*[gap("x")] * 3)).wait(20)
    assert run.status == "failed"
    assert message(run) == "Max Retries Exceeded"
    assert session(run)["gap_count"] == 2


# -- operational safety ------------------------------------------------------------------------------------------------


def test_the_lock_is_waited_for_5000_ms(tmp_path: Path) -> None:
    assert inspect.signature(SessionLock.acquire).parameters["timeout"].default == 5.0
    first, second = SessionLock(tmp_path / "lock"), SessionLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(SessionLocked):
        second.acquire(timeout=0.1)
    first.release()
