"""How far a run is: counts, share, time spent, and time left where that can be known (S2 "Progress Dashboard")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import SETTLED, TaskState, TaskStatus


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """S2's figures of one phase; `waiting` are all that have not begun."""

    id: str
    title: str
    total: int
    completed: int
    running: int
    blocked: int
    failed: int
    waiting: int

    @property
    def percent(self) -> int:
        """Completed tasks in the hundred, rounded down, as S2 does."""
        return self.completed * 100 // self.total if self.total else 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    total: int
    #: Tasks that need nothing more, however they ended.
    settled: int
    #: Statuses that occur, in the order of a task's life.
    counts: dict[TaskStatus, int]
    #: 0 to 1; running tasks count by what they told of themselves.
    fraction: float
    #: Seconds since the run began; of the whole run once it has ended.
    elapsed: float
    #: Seconds until the last task ends, or None where there is nothing to judge by.
    eta: float | None
    phases: tuple[PhaseProgress, ...]


def progress(state: State, now: float) -> Progress:
    """The progress at `now` (seconds since the epoch). Linear in the plan."""
    total = len(state.by_index)
    settled = sum(state.counts[status] for status in SETTLED)
    begun = sum(task.done / task.total for task in state.by_index if task.status is TaskStatus.RUNNING and task.total)
    until = state.ended_at if state.ended is not None else now
    return Progress(
        total=total,
        settled=settled,
        counts={status: number for status, number in state.counts.items() if number},
        fraction=min(1.0, (settled + begun) / total) if total else 0.0,
        elapsed=max(0.0, until - state.run_started_at) if state.run is not None else 0.0,
        eta=time_left(state, now),
        phases=_phases(state),
    )


def _phases(state: State) -> tuple[PhaseProgress, ...]:
    plan = state.plan
    if plan is None or not any(task.phase for task in plan.tasks):
        return ()
    titles = {phase.id: phase.title or phase.id for phase in plan.phases}
    groups: dict[str, list[TaskStatus]] = {phase: [] for phase in titles}
    for task in state.by_index:
        if phase := plan.tasks[task.index].phase:
            groups.setdefault(phase, []).append(task.status)
    return tuple(_phase(phase, titles.get(phase, phase), statuses) for phase, statuses in groups.items())


def _phase(phase: str, title: str, statuses: Sequence[TaskStatus]) -> PhaseProgress:
    count = statuses.count
    return PhaseProgress(
        phase,
        title,
        total=len(statuses),
        completed=count(TaskStatus.COMPLETED),
        running=count(TaskStatus.RUNNING),
        blocked=count(TaskStatus.BLOCKED),
        failed=count(TaskStatus.FAILED),
        waiting=count(TaskStatus.WAITING) + count(TaskStatus.PENDING),
    )


# -- time left ---------------------------------------------------------------------------------------------------------


def time_left(state: State, now: float) -> float | None:
    """Seconds until the run's last task ends, judged by the tasks that have ended; None where that says nothing.

    It is the longer of two bounds: the critical path through what is left, and the work left shared among as many as
    may run at once. Each task is expected to take as long as its own last attempt, as it says (simulated tasks), or
    as the middle one of the completed tasks of its kind.
    """
    plan = state.plan
    if plan is None or state.run is None or state.ended is not None:
        return None
    left = [0.0] * len(plan)
    usual = usual_durations(state, plan)
    for task in state.by_index:
        if task.settled:
            continue
        if task.status in _WAITING_FOR_PEOPLE:
            return None
        expected = expected_duration(plan.tasks[task.index], task, usual)
        if expected is None:
            return None
        left[task.index] = _remaining(task, expected, now)
    if not any(left):
        return 0.0
    at_once = state.run.settings.get("max_parallel", plan.limits.max_parallel or 10)
    return max(*state.graph.tails(left), sum(left) / max(1, int(at_once)))


_WAITING_FOR_PEOPLE = (TaskStatus.AWAITING_APPROVAL, TaskStatus.AWAITING_QUOTA, TaskStatus.AWAITING_REVIEW)


def usual_durations(state: State, plan: Plan) -> dict[str, float]:
    """The middle duration of completed tasks in seconds, by kind of agent. Linear in the plan."""
    durations: dict[str, list[float]] = {}
    for task in state.by_index:
        if (
            task.status is TaskStatus.COMPLETED
            and task.duration is not None
            and not (task.reused_from or task.imported)
        ):
            durations.setdefault(plan.tasks[task.index].kind, []).append(task.duration)
    return {kind: median(values) for kind, values in durations.items()}


def expected_duration(spec: Task, task: TaskState, usual: Mapping[str, float]) -> float | None:
    """Seconds that the task's next or present attempt should take; `usual` are `usual_durations`."""
    told = spec.parameters.get("duration") if spec.kind == "simulated" else None
    if isinstance(told, int | float):
        return float(told)
    return task.duration if task.duration is not None else usual.get(spec.kind)


def _remaining(task: TaskState, expected: float, now: float) -> float:
    if task.status is not TaskStatus.RUNNING or task.started_at is None:
        return expected + (task.retry_delay if task.status is TaskStatus.RETRYING else 0.0)
    spent = max(0.0, now - task.started_at)
    if task.total and task.done:
        return spent / task.done * (task.total - task.done)
    return max(0.0, expected - spent)
