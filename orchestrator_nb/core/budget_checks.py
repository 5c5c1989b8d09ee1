"""Can the budgets of a plan be kept? A limit of money on an agent of unknown price cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.limits import Budget
from orchestrator_nb.core.models import Plan, Task, Work, agent_kind
from orchestrator_nb.core.names import Names

#: Kinds of agents that use neither money nor tokens themselves: only attempts and time are limited of them.
FREE = frozenset(["function", "human", "none", "notebook", "shell"])


def budget_faults(plan: Plan, tells_cost: Callable[[str], bool] | None, run: Budget | None = None) -> Iterator[Fault]:
    """The faults of a plan's budgets.

    Args:
        plan: The plan.
        tells_cost: Whether a kind of agent tells what it costs; None leaves that open.
        run: The run's budget, if it is another than the plan's.
    """
    budget = plan.limits.budget
    kinds = {agent_kind(work) for task in plan.tasks for work in _works(task)}
    for kind in budget.agents:
        if kind not in kinds:
            at = ("limits", "budget", "agents", kind)
            remedy = Names(kinds).hint(kind) or "leave it out"
            yield Fault(
                "error", f"the budget of '{kind}' limits nothing: no task has this agent", path=at, remedy=remedy
            )
    if tells_cost is None:
        return
    for position, task in enumerate(plan.tasks):
        for work in _works(task):
            kind = agent_kind(work)
            if kind in FREE or tells_cost(kind) or _priced(plan, work):
                continue
            scopes = [run or budget, budget, budget.agents.get(kind), task.budget]
            limits = [scope for scope in scopes if scope is not None]
            if any(scope.money is not None for scope in limits) and all(scope.tokens is None for scope in limits):
                remedy = f"give a price (`limits.prices.{kind}: {{input: 1.25, output: 10}}`), or limit tokens, too"
                message = f"its budget of money cannot be kept: the price of agent '{kind}' is unknown"
                yield Fault("error", message, task.id, ("tasks", position), remedy)


def _works(task: Task) -> list[Work]:
    return [task] if task.fallback is None else [task, task.fallback]


def _priced(plan: Plan, work: Work) -> bool:
    names = (agent_kind(work), work.parameters.get("model"))
    return any(isinstance(name, str) and name in plan.limits.prices for name in names)
