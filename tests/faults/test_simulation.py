"""The whole engine in simulation: thousands of lives, each decided by a seed (row A14, and A15, D8, D12 with it)."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Join, Plan
from orchestrator_nb.core.state import State, fold
from orchestrator_nb.core.tasks import TaskStatus
from tests.simulation import MemoryLog, World, random_limits, random_plan


def check_history(world: World) -> None:
    """Laws that the log alone must show, whatever the program thought."""
    started: dict[str, int] = {}
    settled: dict[str, str] = {}
    blockers: dict[str, str] = {}
    running: set[str] = set()
    for record in world.log.records:
        event = record.event
        task = getattr(event, "task", "")
        if isinstance(event, e.TaskStarted):
            assert settled.get(task) != "completed", f"{task} was run again after it had completed"
            assert task not in running
            assert event.attempt == started.get(task, 0) + 1
            spec = world.plan[task]
            if event.attempt > 1:
                pass  # a task that has begun does not wait again when a person retries something above it
            elif spec.join is Join.ALL_SUCCESS:
                assert all(settled.get(up) in ("completed", "skipped") for up in spec.upstream)
            elif spec.join is Join.ALL_DONE:
                assert all(up in settled for up in spec.upstream)
            started[task] = event.attempt
            running.add(task)
            settled.pop(task, None)
        elif isinstance(event, e.TaskCompleted):
            settled[task] = "completed"
            running.discard(task)
        elif isinstance(event, e.TaskFailed | e.AttemptInterrupted | e.CheckpointReached | e.QuotaReached):
            running.discard(task)
        elif isinstance(event, e.TaskFailureSettled):
            settled[task] = "skipped" if event.strategy == "skip" else "failed"
        elif isinstance(event, e.TaskBlocked | e.TaskSkipped | e.TaskCancelled):
            settled[task] = {"TaskBlocked": "blocked", "TaskSkipped": "skipped"}.get(type(event).__name__, "cancelled")
            blockers[task] = getattr(event, "blocked_by", "")
            running.discard(task)
        elif isinstance(event, e.TaskReset):
            settled.pop(task)
            for other in [other for other, by in blockers.items() if by == task and settled.get(other) == "blocked"]:
                settled.pop(other)
    assert not running


def check_replay(world: World) -> None:
    replayed = fold(world.log.records, lambda _: world.plan)
    for task in world.state.by_index:
        twin = replayed.tasks[task.id]
        assert (twin.status, twin.attempt, twin.error, twin.value) == (
            task.status,
            task.attempt,
            task.error,
            task.value,
        )
    assert replayed.counts == world.state.counts


def check_effects(world: World) -> None:
    """Every effect has its durable start, and no attempt took effect twice."""
    assert max(Counter(world.effects).values(), default=1) == 1
    starts = {(r.event.task, r.event.attempt) for r in world.log.records if isinstance(r.event, e.TaskStarted)}
    assert set(world.effects) <= starts


def check_quotas(world: World) -> None:
    """While a vendor's limit is waited for, only who was told to find out starts; a wait is no failure."""
    state = State()
    probes: set[str] = set()
    for record in world.log.records:
        event = record.event
        if isinstance(event, e.QuotaReached):
            failures = state.tasks[event.task].failures
        elif isinstance(event, e.QuotaProbed):
            probes.add(event.task)
        elif isinstance(event, e.TaskStarted):
            task = state.tasks[event.task]
            assert state.quota_of(task) is None or task.id in probes, f"{task.id} burnt the limit"
            probes.discard(event.task)
        state.apply(record, world.plan if isinstance(event, e.PlanAccepted) else None)
        if isinstance(event, e.QuotaReached):
            assert state.tasks[event.task].failures == failures
        for task in state.by_index:
            if task.status in (TaskStatus.PENDING, TaskStatus.RETRYING):
                assert state.quota_of(task) is None or task.id in probes
            elif task.status is TaskStatus.AWAITING_QUOTA:
                assert state.quota_of(task) is not None, f"{task.id} waits for nothing"


def live_once(seed: int) -> World:
    world = World(seed, random_plan(random.Random(seed)))
    reason = world.live()
    assert reason in ("completed", "failed")
    assert all(task.status.settled for task in world.state.by_index)
    check_history(world)
    check_replay(world)
    check_effects(world)
    return world


def live_with_crashes(seed: int) -> None:
    reference = live_once(seed)
    world = World(seed, reference.plan)
    crash(world, random.Random(f"crash {seed}"), reference.log.writes)
    same_ends(world, reference)


def live_with_limits(seed: int) -> None:
    """Vendors' limits delay what is done, and change nothing else, with crashes and without."""
    dice = random.Random(f"limits {seed}")
    plan, limits = random_plan(dice, vendors=True), random_limits(dice)
    reference, waiting, crashing = World(seed, plan), World(seed, plan), World(seed, plan)
    assert reference.live() in ("completed", "failed")
    waiting.limits = crashing.limits = limits
    assert waiting.live() in ("completed", "failed")
    check_history(waiting)
    check_replay(waiting)
    check_effects(waiting)
    crash(crashing, dice, waiting.log.writes)
    for world in (waiting, crashing):
        check_quotas(world)
        same_ends(world, reference)


def crash(world: World, dice: random.Random, writes: int) -> None:
    """Live with up to four crashes."""
    reason = "crash"
    while reason == "crash":
        left = dice.randint(1, max(2, writes)) if world.runs < 4 else None
        world.log = MemoryLog(world.log.records, left, dice.random() < 0.5)
        reason = world.live()
    check_history(world)
    check_replay(world)
    check_effects(world)


def same_ends(world: World, reference: World) -> None:
    """Every task of both has come to the same end."""
    fail_fast = any(task.on_failure == "fail_fast" for task in world.plan.tasks)
    one_success = any(task.join is Join.ONE_SUCCESS for task in world.plan.tasks)
    if not (fail_fast or one_success):  # there the order in which things end decides what happens
        ends = {
            t.id: (t.status, t.value, t.blocked_by if not _races(world, t.id) else "") for t in world.state.by_index
        }
        expected = {
            t.id: (t.status, t.value, t.blocked_by if not _races(world, t.id) else "") for t in reference.state.by_index
        }
        assert ends == expected


def _races(world: World, task_id: str) -> bool:
    """Whether several failures could have blocked the task: which of them did is a matter of time."""
    index = world.plan.graph.index[task_id]
    bad = [i for i in world.plan.graph.ancestors(index) if world.state.by_index[i].status is TaskStatus.FAILED]
    return len(bad) > 1


def live_with_verbs(seed: int, *, limited: bool = False) -> None:
    dice = random.Random(seed)
    world = World(seed, random_plan(dice, vendors=limited))
    world.limits = random_limits(dice) if limited else {}
    reason = world.live(verbs=12)
    for _ in range(20):
        if reason not in ("stopped", "halted"):
            break
        reason = world.live()
    assert reason in ("completed", "failed")
    check_history(world)
    check_replay(world)
    check_effects(world)
    if limited:
        check_quotas(world)


@pytest.mark.parametrize("block", range(10))
def test_row_A14_a_thousand_seeds(block: int) -> None:
    for seed in range(block * 100, block * 100 + 60):
        live_once(seed)
    for seed in range(block * 100 + 60, block * 100 + 100):
        live_with_crashes(seed)


@pytest.mark.parametrize("block", range(5))
def test_row_D8_commands_in_any_order(block: int) -> None:
    """Twelve commands at random moments of each life; then the laws are checked on the log, and replay agrees."""
    for seed in range(5000 + block * 100, 5000 + block * 100 + 100):
        live_with_verbs(seed)


@pytest.mark.parametrize("block", range(3))
def test_a_usage_limit_delays_and_changes_nothing_else(block: int) -> None:
    for seed in range(9000 + block * 100, 9000 + block * 100 + 60):
        live_with_limits(seed)
    for seed in range(9000 + block * 100 + 60, 9000 + block * 100 + 100):
        live_with_verbs(seed, limited=True)


def test_waiting_for_a_quota_costs_next_to_nothing() -> None:
    world = World(0, Plan.model_validate({"tasks": [{"id": "a", "function": "m:f"}, {"id": "b", "command": "true"}]}))
    world.limits = {"function": [(0.0, 40_000.0)]}
    world.live()
    assert 40_000 < world.end < 41_000
    assert world.loop.turns < 3 * world.end, "the person who looks once a second takes most of them"
    assert [type(record.event).__name__ for record in world.log.records].count("QuotaReached") == 1
    assert len(world.log.records) < 15


def test_row_D10_nothing_is_lost_or_swallowed() -> None:
    """In asyncio's debug mode, with warnings as errors, every task of the loop has ended when a life is over."""
    for seed in range(40):
        world = World(seed, random_plan(random.Random(seed)))
        world.debug = True
        assert world.live() in ("completed", "failed")
        assert world.left == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("live", [live_once, live_with_crashes, live_with_verbs, live_with_limits])
def test_row_A14_fifty_thousand_seeds(live: object) -> None:
    for seed in range(10_000, 10_000 + 50_000 // 3):
        live(seed)  # type: ignore[operator]


def test_row_D12_a_big_demand_is_not_starved_by_small_ones() -> None:
    tasks = [{"id": f"s{i:03}", "function": "m:f", "resources": {"cpu": 1}} for i in range(200)]
    tasks.insert(20, {"id": "big", "function": "m:f", "resources": {"cpu": 4}})
    from orchestrator_nb.core.models import Plan

    world = World(1, Plan.model_validate({"tasks": tasks, "limits": {"cpu": 4, "max_parallel": 10}}))
    world.live()
    order = [r.event.task for r in world.log.records if isinstance(r.event, e.TaskStarted)]
    assert order.index("big") <= 40
    assert len(set(order)) == 201
