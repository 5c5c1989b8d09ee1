"""What a plan may take, told from what the same tasks took before: time and money, and of how many runs that is known.

A task is the same where the same agent does the same work; what it reads may have changed. Nothing is guessed: a task
that has not been completed in this workspace has no estimate.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.usage import dollars, used
from orchestrator_nb.projections.words import count, duration
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import Workspace

#: Sessions that are looked at, the newest ones; bytes of a log beyond which one is passed over; seconds for all.
_SESSIONS, _LOG, _PATIENCE = 30, 4_000_000, 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one task took, in the middle of its past runs."""

    #: Of the attempt that completed it.
    seconds: float
    #: US dollars, of all its attempts; None if that is not known of any run.
    cost: float | None
    #: Runs that this is known from.
    runs: int

    def __str__(self) -> str:
        """``12s, 0.2500 $ (3 runs)``."""
        money = "" if self.cost is None else f", {dollars(self.cost)}"
        return f"{duration(self.seconds)}{money} ({count(self.runs, 'run')})"


def estimates(plan: Plan, settings: Settings) -> dict[str, Estimate]:
    """The estimates of the plan's tasks, by id, of those that were completed before. Reads the newest logs."""
    wanted = {_identity(task): task.id for task in plan.tasks}
    seconds: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    until = time.monotonic() + _PATIENCE
    for directory in list(reversed(Workspace(settings.workspace).sessions()))[:_SESSIONS]:
        if time.monotonic() > until:
            break
        try:
            if directory.log_path.stat().st_size > _LOG:
                continue
            state = Session(directory, settings).state
        except (OSError, OrchestratorError):  # it is being made, or damaged: others tell
            continue
        for spec, task in zip(state.plan.tasks if state.plan else (), state.by_index, strict=True):
            name = wanted.get(_identity(spec))
            if name is None or task.status is not TaskStatus.COMPLETED or task.reused_from or task.duration is None:
                continue
            seconds.setdefault(name, []).append(task.duration)
            cost = used(state.agent_attempts.get(task.id, ())).cost
            if cost:
                costs.setdefault(name, []).append(cost)
    return {
        name: Estimate(statistics.median(known), statistics.median(costs[name]) if name in costs else None, len(known))
        for name, known in seconds.items()
    }


def in_words(plan: Plan, known: Mapping[str, Estimate], done: Collection[str] = ()) -> str:
    """What all of it may take: the longest way through the graph, and the money; empty if nothing is known.

    The tasks that are `done` take nothing any more.
    """
    ahead = [task.id for task in plan.tasks if task.id not in done]
    told = {name: known[name] for name in ahead if name in known}
    if not told:
        return ""
    longest = max(plan.graph.tails([told[task.id].seconds if task.id in told else 0.0 for task in plan.tasks]))
    money = sum(estimate.cost or 0.0 for estimate in told.values())
    parts = [duration(longest)] + ([dollars(money)] if money else [])
    least = "" if len(told) == len(ahead) else f"at least, known of {len(told)} of {count(len(ahead), 'task')}: "
    return f"{least}{', '.join(parts)}"


def _identity(task: Task) -> bytes:
    """What tells one piece of work from another."""
    return msgspec.json.encode(
        [task.kind, task.prompt, task.command, task.function, task.notebook, task.parameters], order="deterministic"
    )
