"""Budgets in words."""

from __future__ import annotations

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.projections.budgets import amount, changed, facts, line, question
from tests.histories import History


@pytest.mark.parametrize(
    ("thing", "used", "words"),
    [
        ("money", 0, "0.00 $"),
        ("money", 12_345_000, "0.0123 $"),
        ("money", 1_234_500_000_000, "1,234.50 $"),
        ("tokens", 1_200, "1,200 tokens"),
        ("time", 0, "0s"),
        ("time", 5400, "1h 30m"),
        ("attempts", 1, "1 attempt"),
    ],
)
def test_amounts(thing: e.Thing, used: float, words: str) -> None:
    assert amount(thing, used) == words


def test_the_line_is_the_runs_with_others_that_come_to_their_end() -> None:
    tasks = [{"id": "a", "agent": "claude", "prompt": "x"}, {"id": "b", "agent": "codex", "prompt": "x"}]
    budget = {"money": 5, "tokens": 10_000, "agents": {"claude": "100 tokens", "codex": "9$"}}
    history = History().accept(Plan.model_validate({"tasks": tasks, "limits": {"budget": budget}}))
    assert line(history.state, 0.0) == "0.00 $ of 5.00 $, 0 tokens of 10,000 tokens"
    history.tell(e.RunStarted(1, 1, "h"), e.TaskStarted("a", 1, reserved=e.Reserved(0.5, 10)))
    history.tell(e.AgentSpent("a", 1, 90, 5), e.BudgetWarned("agent claude", "tokens"))
    assert line(history.state, 0.0) == ("0.00 $ of 5.00 $, 95 tokens of 10,000 tokens; claude: 95 tokens of 100 tokens")
    told = {(fact["scope"], fact["thing"]): fact for fact in facts(history.state, 0.0)}
    assert told["run", "money"]["kept"] == 0.5
    assert told["agent codex", "money"]["limit"] == 9.0
    assert "'b' would start next. Answer with the new limit in tokens;" in question(
        history.state, "b", "agent claude", "tokens", 0.0
    )


def test_without_a_budget_nothing_is_said() -> None:
    history = History().accept(Plan.model_validate({"tasks": [{"id": "a", "command": "x"}]}))
    assert line(history.state, 0.0) == ""
    assert facts(history.state, 0.0) == []


def test_a_change_says_what_may_be_used_from_now_on() -> None:
    assert changed(e.BudgetChanged("run", money=5.0, attempts=3)) == "The run may use 5.00 $, 3 attempts"
    assert changed(e.BudgetChanged("task a", time=60.0)) == "Task 'a' may use 1m 00s"
