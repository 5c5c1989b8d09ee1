"""May one more task start? The run's limits: tasks at once, per phase, cpu, memory, locks (S2 "Parallelization")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator_nb.core.decide import Demand
from orchestrator_nb.core.limits import Limits
from orchestrator_nb.core.models import Plan

#: Limited things that a task may ask for in parts; everything else is held as a whole.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Admission:
    """How much of each limited thing there is. What is not named has no limit, but for locks, which one may hold."""

    max_parallel: int = 10
    capacity: Mapping[str, float] = field(default_factory=dict)

    def blocker(self, demand: Demand, used: Mapping[str, float]) -> str | None:
        """The first thing of `demand` that does not fit beside `used`, or None.

        A task that asks for more than there is runs when nothing else holds any of it, rather than never.
        """
        for name, amount in demand:
            taken = used.get(name, 0.0)
            if taken > _EPSILON and taken + amount > self.limit(name) + _EPSILON:
                return name
        return None

    def limit(self, name: str) -> float:
        """How much of `name` there is."""
        return self.capacity.get(name, 1.0 if name.startswith("lock ") else float("inf"))


def admission_for(plan: Plan, limits: Limits, cores: float, memory_gb: float) -> Admission:
    """The admission policy of a run: the plan's limits where given, else `limits`', else the machine's."""
    own = plan.limits
    capacity: dict[str, float] = {
        "cpu": own.cpu or limits.cpu or cores,
        "memory": own.memory_gb or limits.memory_gb or memory_gb,
    }
    capacity.update({f"lock {name}": float(count) for name, count in own.resources.items()})
    capacity.update({f"phase {phase.id}": float(phase.max_parallel) for phase in plan.phases if phase.max_parallel})
    return Admission(limits.max_parallel or own.max_parallel or 10, capacity)
