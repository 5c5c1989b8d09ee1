"""Budgets of real runs: asked, raised, let pass, stopped, gone on with, priced."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import CheckpointState
from orchestrator_nb.errors import CommandRefused, PlanError
from orchestrator_nb.projections.budgets import facts, line
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session


def spender(task: str, cost: float | None = 0.3, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 100, "output_tokens": 10, "cost": cost}
    return {"id": task, "agent": "simulated", "prompt": "x", "parameters": {"usage": usage}, **more}


def plan(*tasks: dict[str, Any], at_limit: str = "ask", **limits: Any) -> Plan:
    budget = {"money": 0.5, **limits.pop("budget", {}), "at_limit": at_limit}
    return Plan.model_validate({"tasks": tasks, "limits": {"max_parallel": 1, "budget": budget, **limits}})


def question(run: Run) -> CheckpointState:
    """What the run asks, as soon as it does."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not run.done:
        with run.state() as state:
            if state.open_checkpoints:
                return state.open_checkpoints[0]
        time.sleep(0.01)
    raise AssertionError(f"nothing is asked: {run.status}")


@pytest.fixture
def orchestrator(tmp_path: Path) -> Orchestrator:
    return Orchestrator(workspace=tmp_path / "work")


def test_it_asks_and_goes_on_with_the_answer(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*map(spender, "abcd")))
    asked = question(run)
    assert asked.question.startswith("The budget of the run is used up: 0.6000 $ of 0.5000 $ used by 2 attempts.")
    with pytest.raises(CommandRefused, match="form asked for"):
        run.approve(asked.id, 0.4)
    run.approve(asked.id, 0.9)
    asked = question(run)
    run.approve(asked.id)
    assert run.wait(30).status == "completed"
    with run.state() as state:
        assert line(state, 0.0) == "1.20 $ of 0.9000 $"
        assert [warning.message for warning in state.warnings] == [
            "the budget of the run comes to its end: 0.6000 $ of 0.5000 $ used",
            "the budget of the run comes to its end: 0.9000 $ of 0.9000 $ used",
        ]
        (told,) = facts(state, 0.0)
        assert (told["scope"], told["used"], told["limit"]) == ("run", 1.2, 0.9)


def test_a_no_stops_the_run_and_a_resume_with_more_goes_on(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*map(spender, "abc")))
    run.reject(question(run).id, "too dear")
    assert run.wait(30).status == "stopped"
    again = orchestrator.resume(run.path, budget="2$")
    assert again.wait(30).status == "completed"
    with again.state() as state:
        assert state.ledger.accounts["run"].money == 900_000_000


def test_an_answer_to_a_session_on_disk_holds_at_its_resume(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*map(spender, "abc")))
    asked = question(run)
    run.stop()
    assert run.wait(30).status == "stopped"
    session = Session.open(run.path, orchestrator.settings)
    session.tell("approve", checkpoint=asked.id, answer=5)
    assert orchestrator.resume(run.path).wait(30).status == "completed"


def test_where_nobody_is_asked_it_stops_and_says_why(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*map(spender, "abc"), at_limit="stop"))
    assert run.wait(30).status == "stopped"
    with run.state() as state:
        assert state.ledger.stopped.startswith("the budget of the run is used up: 0.6000 $ of 0.5000 $ used")
        assert state.ended is not None
        assert state.ended.message == state.ledger.stopped
        assert state.tasks["c"].status == "pending"
    again = orchestrator.resume(run.path)
    assert again.wait(30).status == "stopped", "nothing has changed"


def test_the_budget_that_is_given_goes_before_the_plans(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*map(spender, "abc"), at_limit="stop"), budget="5$, 1 attempt")
    assert run.wait(30).status == "stopped"
    with run.state() as state:
        assert "1 attempt of 1 attempt" in state.ledger.stopped
    with pytest.raises(PlanError, match="limits nothing"):
        orchestrator.run(plan(spender("a")), budget={})
    with pytest.raises(PlanError, match="price of agent 'codex' is unknown"):
        orchestrator.run(Plan.model_validate({"tasks": [{"id": "a", "agent": "codex", "prompt": "x"}]}), budget=3)


def test_prices_of_the_plan_count_where_the_agent_tells_none(orchestrator: Orchestrator) -> None:
    prices = {"simulated": {"input": 1000, "output": 10_000}}
    run = orchestrator.run(plan(spender("a", None), budget={"money": 5}, prices=prices))
    assert run.wait(30).status == "completed"
    spent = [record.event for record in run if isinstance(record.event, e.AgentSpent)]
    assert [(event.cost, event.by_price) for event in spent if event.final] == [(0.2, True)]
    with run.state() as state:
        assert state.ledger.accounts["run"].money == 200_000_000
