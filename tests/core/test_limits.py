"""Budgets as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.core.limits import Price, budget_from
from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.errors import PlanError


@pytest.mark.parametrize(
    ("given", "full"),
    [
        (5, {"money": 5.0}),
        ("5$", {"money": 5.0}),
        ("$2.50", {"money": 2.5}),
        ("0.1", {"money": 0.1}),
        ("200k tokens", {"tokens": 200_000}),
        ("1.5M tokens", {"tokens": 1_500_000}),
        ("1h30m", {"time": 5400.0}),
        ("40 attempts", {"attempts": 40}),
        ("5$, 2M tokens, 2h,1 attempt", {"money": 5.0, "tokens": 2_000_000, "time": 7200.0, "attempts": 1}),
        ({"money": 1, "soft": 0.5}, {"money": 1.0, "soft": 0.5}),
    ],
)
def test_a_budget_is_a_number_a_text_or_a_mapping(given: Any, full: dict[str, Any]) -> None:
    assert budget_from(given).model_dump(exclude_defaults=True) == full


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("5 apples", "'5 apples' is no limit"),
        ("5$, 6$", "limits money twice"),
        ("1.2.3$", "is no limit"),
        ("", "is no limit"),
        (True, "budget True"),
        ([], "budget []"),
        ({"soft": 0.5}, "limits nothing"),
        (-1, "money"),
        ({"mony": 1}, "mony"),
    ],
)
def test_what_is_no_budget_is_refused(given: Any, words: str) -> None:
    with pytest.raises(PlanError) as raised:
        budget_from(given)
    assert words in str(raised.value)


def test_a_plan_says_it_short_and_keeps_it() -> None:
    data = {
        "tasks": [{"id": "a", "command": "x", "budget": "1$"}, {"id": "b", "command": "x"}],
        "limits": {"budget": {"money": 5, "agents": {"codex": "1M tokens"}}},
    }
    plan = Plan.model_validate(data)
    assert plan["a"].budget is not None
    assert plan["a"].budget.money == 1.0
    assert plan["b"].budget is None
    assert plan.limits.budget.agents["codex"].tokens == 1_000_000
    again = Plan.model_validate_json(plan.model_dump_json(exclude_defaults=True))
    assert again == plan
    assert "budget" not in Plan(tasks=(Task(id="a", command="x"),)).model_dump_json(exclude_defaults=True)


def test_prices_are_for_a_million_tokens_and_tokens_of_a_cache_are_cheaper() -> None:
    assert Price(input=2, output=10).of(1_000_000, 100_000, 400_000) == pytest.approx(3.0)
    assert Price(input=2, output=10, cached=0.5).of(1_000_000, 100_000, 400_000) == pytest.approx(2.4)
