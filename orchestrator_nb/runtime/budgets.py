"""What follows when a budget comes to its end: people are warned, then asked, or the run stops."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from orchestrator_nb import displays
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core import events as e
from orchestrator_nb.core.budget_checks import budget_faults
from orchestrator_nb.core.limits import budget_from
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.ports import subject_hash
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import PlanError
from orchestrator_nb.policies.budget import warned_of
from orchestrator_nb.projections.budgets import question, used_up, warning


def change(plan: Plan, given: Any, by: str) -> e.BudgetChanged:
    """The event that puts another budget of the run in force: a number of US dollars, or as a plan says it.

    Raises `PlanError` if it is none, or if it cannot be kept (`core.budget_checks`).
    """
    budget = budget_from(given)
    faults = [fault for fault in budget_faults(plan, Registry().tells_cost, budget) if fault.severity == "error"]
    if faults:
        raise PlanError("\n".join(map(str, faults)))
    return e.BudgetChanged("run", budget.money, budget.tokens, budget.time, budget.attempts, by)


def asks_at_limit(plan: Plan) -> bool:
    """Whether a person is asked when a budget is used up: as the plan says, else if one may be here."""
    told = plan.limits.budget.at_limit
    return (
        told == "ask" if told is not None else displays.in_ipython() or (sys.stdin is not None and sys.stdin.isatty())
    )


def soft_limits(state: State, clock: Callable[[], float]) -> list[e.AnyEvent]:
    """The soft limits that are reached, each with the warning that people see; `clock` tells epoch seconds."""
    if not state.ledger.touched:
        return []
    now, events = clock(), list[e.AnyEvent]()
    for warned in warned_of(state, now):
        events += [warned, e.WarningRaised(warning(state, warned, now))]
    return events


def over_budget(state: State, clock: Callable[[], float], *, asks: bool) -> list[e.AnyEvent]:
    """What happens for the tasks that no budget has room for: one question for each scope, or (not `asks`) the end."""
    if not state.unaffordable:
        return []
    found, state.unaffordable = state.unaffordable, []
    now, events = clock(), list[e.AnyEvent]()
    asked = set(state.ledger.asked)
    for task, scope, thing in found:
        if scope in asked:
            continue
        asked.add(scope)
        if not asks:
            why = f"{used_up(state, scope, thing, now)}; 'orchestrate resume --budget' goes on with another one"
            return [e.StopRequested("budget", why)]
        words = question(state, task.id, scope, thing, now)
        used = state.ledger.accounts[scope].used(thing, now) / (1e9 if thing == "money" else 1)
        schema = {"type": ["number", "null"], "exclusiveMinimum": used}
        shown = subject_hash(task.id, words, schema)
        checkpoint = f"budget-{len(state.checkpoints) + len(events) + 1}"
        events.append(
            e.CheckpointReached(checkpoint, task.id, task.attempt + 1, words, shown, schema, budget=scope, thing=thing)
        )
    return events
