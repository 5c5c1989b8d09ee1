"""Budgets that cannot be kept are found when a plan is checked."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.checks import check
from orchestrator_nb.core.models import Plan


def faults(agent: str, limits: dict[str, Any], **task: Any) -> list[str]:
    plan = Plan.model_validate({"tasks": [{"id": "a", "agent": agent, "prompt": "do", **task}], "limits": limits})
    return [str(fault) for fault in check(plan, agents=Registry())]


def test_money_of_an_agent_of_unknown_price_is_refused_with_the_remedy() -> None:
    (fault,) = faults("codex", {"budget": 5})
    assert "the price of agent 'codex' is unknown" in fault
    assert "limits.prices.codex" in fault
    assert faults("codex", {}, budget={"money": 1}), "also of its own budget"
    assert faults("codex", {"budget": {"agents": {"codex": 3}}}), "and of that of its kind"


@pytest.mark.parametrize(
    ("agent", "limits", "task"),
    [
        ("claude", {"budget": 5}, {}),
        ("codex", {"budget": "5$, 1M tokens"}, {}),
        ("codex", {"budget": 5}, {"budget": "200k tokens"}),
        ("codex", {"budget": "1M tokens"}, {}),
        ("codex", {"budget": 5, "prices": {"codex": {"input": 1, "output": 8}}}, {}),
        ("codex", {"budget": 5, "prices": {"gpt-5": {"input": 1, "output": 8}}}, {"parameters": {"model": "gpt-5"}}),
        ("human", {"budget": 5}, {}),
        ("simulated", {"budget": 5}, {}),
    ],
)
def test_it_is_kept_by_a_told_cost_a_price_or_a_limit_of_tokens(
    agent: str, limits: dict[str, Any], task: dict[str, Any]
) -> None:
    assert faults(agent, limits, **task) == []


def test_an_agent_named_by_its_path_is_not_loaded_to_ask() -> None:
    assert "is unknown" in faults("no_such_module:Agent", {"budget": 5})[0]


def test_a_budget_of_an_agent_that_no_task_has_is_an_error() -> None:
    (fault,) = faults("claude", {"budget": {"agents": {"cluade": 5}}})
    assert "did you mean 'claude'?" in fault
