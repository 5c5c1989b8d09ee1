"""Runs that a task of another run starts: limited by what is left there, counted there, also after a crash."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.events import AgentSpent, AttemptInterrupted, BudgetChanged, TaskStarted
from orchestrator_nb.core.models import Plan
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.nested_spending import spent_by_nested_runs
from orchestrator_nb.runtime.nesting import enter
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.recovery import reconcile
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.workspace import Workspace

ROOT = Path(__file__).parents[2]


def child(path: Path, *costs: float | None) -> Path:
    """A plan file with one task a cost, one after the other; nobody is asked."""
    tasks = [
        {
            "id": f"t{number}",
            "agent": "simulated",
            "prompt": "x",
            "parameters": {"usage": {"input_tokens": 100, "output_tokens": 10, "cost": cost}},
        }
        for number, cost in enumerate(costs)
    ]
    path.write_text(json.dumps({"tasks": tasks, "limits": {"max_parallel": 1, "budget": {"at_limit": "stop"}}}))
    return path


def parent(plan: Path, workspace: Path, **limits: Any) -> Plan:
    command = [sys.executable, "-m", "orchestrator_nb", "--workspace", str(workspace), "run", str(plan), "-q"]
    task = {"id": "outer", "command": command, "env": {"PYTHONPATH": str(ROOT)}}
    return Plan.model_validate({"tasks": [task], "limits": limits})


@pytest.fixture
def orchestrator(tmp_path: Path) -> Orchestrator:
    return Orchestrator(workspace=tmp_path / "outer")


def test_a_nested_run_counts_for_the_task_that_started_it(orchestrator: Orchestrator, tmp_path: Path) -> None:
    plan = parent(child(tmp_path / "child.json", 0.25, 0.5), tmp_path / "inner", budget="5$")
    run = orchestrator.run(plan).wait(120)
    assert run.status == "completed"
    with run.state() as state:
        account = state.ledger.accounts["run"]
        assert (account.money, account.tokens, account.attempts) == (750_000_000, 220, 1)
        assert state.ledger.accounts["agent shell"].money == 750_000_000
        assert state.agent_attempts["outer"][-1].agent == "nested run"


def test_it_may_use_no_more_than_is_left(orchestrator: Orchestrator, tmp_path: Path) -> None:
    plan = parent(child(tmp_path / "child.json", 0.5, 0.5, 0.5), tmp_path / "inner", budget="0.75$")
    run = orchestrator.run(plan).wait(120)
    assert run.status == "failed"
    with run.state() as state:
        assert "exit code 7" in state.tasks["outer"].error
        assert state.ledger.accounts["run"].money == 1_000_000_000
    (inner,) = Workspace(tmp_path / "inner").sessions()
    changed = [record.event for record in Session(inner).records() if isinstance(record.event, BudgetChanged)]
    assert [event.money for event in changed] == [0.75]
    assert changed[0].by == f"task 'outer' of session {run.id}"


def test_after_a_crash_what_it_used_is_read_from_its_log(orchestrator: Orchestrator, tmp_path: Path) -> None:
    engine = orchestrator._begin({})
    plan = Plan.model_validate({"tasks": [{"id": "outer", "command": "true"}], "limits": {"budget": "5$"}})
    engine.accept(plan, {}, base=tmp_path, cwd=tmp_path)
    engine.record(TaskStarted("outer", 1))
    engine.release()
    environ = {"ORCH_SESSION_DIR": str(engine.directory.path), "ORCH_TASK_ID": "outer", "ORCH_ATTEMPT": "1"}
    inner = Orchestrator(workspace=tmp_path / "inner")
    nested = inner._begin({})
    plan = Plan.model_validate({"tasks": [{"id": "a", "agent": "claude", "prompt": "x"}]})
    nested.accept(plan, {}, base=tmp_path, cwd=tmp_path)
    enter(nested, environ, limited=True)
    nested.record(TaskStarted("a", 1), AgentSpent("a", 1, 70, 7, 0, 0.1), AgentSpent("a", 1, 100, 10, 0, 0.2))
    nested.release()
    again = Engine(engine.directory, orchestrator.settings, {})
    rulings = reconcile(again.state, again.directory)
    assert isinstance(rulings[-1], AttemptInterrupted)
    again.record(*rulings)
    assert again.state.ledger.accounts["run"].money == 200_000_000
    assert again.state.ledger.accounts["run"].running == 0
    again.release()


def test_a_run_belongs_to_nobody_where_the_attempt_is_over_or_unknown(
    orchestrator: Orchestrator, tmp_path: Path
) -> None:
    run = orchestrator.run(Plan.model_validate({"tasks": [{"id": "a", "command": "true"}]})).wait(60)
    for directory, attempt in ((str(run.path), "1"), (str(tmp_path / "gone"), "1"), ("", ""), (str(run.path), "x")):
        engine = orchestrator._begin({})
        engine.accept(Plan.model_validate({"tasks": [{"id": "b", "command": "true"}]}), {}, base=tmp_path, cwd=tmp_path)
        enter(engine, {"ORCH_SESSION_DIR": directory, "ORCH_TASK_ID": "a", "ORCH_ATTEMPT": attempt}, limited=True)
        engine.release()
    assert spent_by_nested_runs(run.directory, "a", 1) == []
    assert "ORCH_SESSION_DIR" not in os.environ
