"""What a plan says of its tasks as a whole: computed priorities, and the limited things that each one needs."""

from __future__ import annotations

from orchestrator_nb.core.models import DependencyKind, Plan, Priority, Task


def plan_priorities(plan: Plan) -> list[Priority]:
    """Each task's priority: as given, else P0 on the critical path, P1 with dependents, P2 otherwise (S1 2.2)."""
    graph = plan.graph
    path = graph.critical_path()
    critical = frozenset(path) if len(path) > 1 else frozenset()
    return [
        task.priority or (Priority.P0 if index in critical else Priority.P1 if graph.children[index] else Priority.P2)
        for index, task in enumerate(plan.tasks)
    ]


def plan_ranks(plan: Plan) -> list[int]:
    """Each task's priority as a number: 0 is P0, and goes first."""
    rank = {priority: number for number, priority in enumerate(Priority)}
    return [rank[priority] for priority in plan_priorities(plan)]


def plan_demands(plan: Plan) -> list[tuple[tuple[str, float], ...]]:
    """The limited things that each task holds while it runs: phase, cpu, memory, locks, as (name, amount).

    A dependency of kind `resource` is a lock of that name, held by who names it and by the task of that id (S1 1.2).
    """
    shared = {d.task for task in plan.tasks for d in task.dependencies if d.kind is DependencyKind.RESOURCE}
    return [_demand(task, shared) for task in plan.tasks]


def _demand(task: Task, shared: set[str]) -> tuple[tuple[str, float], ...]:
    if not (task.phase or task.resources or shared):
        return ()
    demand: dict[str, float] = {}
    if task.phase:
        demand[f"phase {task.phase}"] = 1.0
    if resources := task.resources:
        if resources.cpu:
            demand["cpu"] = resources.cpu
        if resources.memory_gb:
            demand["memory"] = resources.memory_gb
        for name in resources.locks:
            demand[f"lock {name}"] = 1.0
    for dependency in task.dependencies:
        if dependency.kind is DependencyKind.RESOURCE:
            demand[f"lock {dependency.task}"] = 1.0
    if task.id in shared:
        demand[f"lock {task.id}"] = 1.0
    return tuple(demand.items())
