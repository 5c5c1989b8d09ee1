"""Deciding: what one event may cost, and that nobody is forgotten (the rules themselves are in test_state.py)."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import admit, ending, rule
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.quotas import due
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import IllegalTransition
from orchestrator_nb.policies.admission import Admission, admission_for
from orchestrator_nb.policies.quota import QuotaPolicy
from orchestrator_nb.policies.retry import RetryPolicy
from tests.simulation import BLOB, random_plan


class Counting(Admission):
    """Counts how often it is asked."""

    asked = 0

    def blocker(self, demand, used):  # type: ignore[no-untyped-def]
        type(self).asked += 1
        return super().blocker(demand, used)


def test_ten_thousand_tasks_on_one_lock_cost_a_few_questions_each() -> None:
    size = 10_000
    plan = Plan.model_validate(
        {"tasks": [{"id": f"t{i}", "command": "x", "resources": {"locks": ["db"]}} for i in range(size)]}
    )
    state, seq = State(), 0
    admission = Counting(10)

    def tell(*events: e.AnyEvent) -> None:
        nonlocal seq
        for event in events:
            seq += 1
            state.apply(e.Record(seq, 0.0, event), plan if isinstance(event, e.PlanAccepted) else None)

    tell(e.PlanAccepted(1, BLOB, "t", size), e.RunStarted(1, 1, "h"))
    order = []
    while not ending(state):
        [task] = admit(state, admission, 0.0)
        order.append(task.index)
        tell(e.TaskStarted(task.id, 1))
        tell(e.TaskCompleted(task.id, 1))
    assert order == list(range(size))
    assert Counting.asked <= 6 * size


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.data())
def test_row_E11_any_stream_is_applied_or_refused_and_replays_the_same(seed: int, data: st.DataObject) -> None:
    """Events of any kind in any order never break the state; what was accepted gives the same state again."""
    plan = random_plan(random.Random(seed), most=6)
    ids = [task.id for task in plan.tasks] + ["nobody"]
    task = st.sampled_from(ids)
    small = st.integers(0, 3)
    event = st.one_of(
        st.builds(e.TaskStarted, task, small),
        st.builds(e.TaskCompleted, task, small),
        st.builds(e.TaskFailed, task, small, st.just("x")),
        st.builds(e.AttemptInterrupted, task, small, st.just("x")),
        st.builds(e.TaskRetryScheduled, task, st.floats(0, 9)),
        st.builds(e.TaskFailureSettled, task, st.sampled_from(["block", "skip", "fail_fast"])),
        st.builds(e.TaskBlocked, task, task),
        st.builds(e.TaskSkipped, task),
        st.builds(e.TaskCancelled, task),
        st.builds(e.TaskReset, task),
        st.builds(e.QuotaReached, task, small, st.sampled_from(["function", "shell"]), st.floats(0, 99)),
        st.builds(e.QuotaProbed, task),
        st.builds(e.QuotaRestored, st.sampled_from(["function", "shell"])),
        st.builds(e.CheckpointReached, task.map(lambda t: f"{t}@1"), task, small, st.just("?"), st.just("h")),
        st.builds(e.CheckpointApproved, task.map(lambda t: f"{t}@1"), st.sampled_from(["h", "other"])),
        st.builds(e.CheckpointRejected, task.map(lambda t: f"{t}@1"), st.just("h"), st.just("no")),
        st.just(e.RunPaused()),
        st.just(e.RunUnpaused()),
        st.just(e.StopRequested()),
        st.just(e.PlanAccepted(2, BLOB, "t", len(plan))),
    )
    accepted: list[e.Record] = [e.Record(1, 0.0, e.PlanAccepted(1, BLOB, "t", len(plan)))]
    state = State()
    state.apply(accepted[0], plan)
    for happened in data.draw(st.lists(event, max_size=40)):
        record = e.Record(len(accepted) + 1, float(len(accepted)), happened)
        before = dict(state.counts)
        try:
            state.apply(record, plan if isinstance(happened, e.PlanAccepted) else None)
        except IllegalTransition:
            assert state.counts == before
            continue
        accepted.append(record)
        assert sum(state.counts.values()) == len(plan)
    again = State()
    for record in accepted:
        again.apply(record, plan if isinstance(record.event, e.PlanAccepted) else None)
    assert [(t.status, t.attempt, t.blocked_by, t.unmet) for t in again.by_index] == [
        (t.status, t.attempt, t.blocked_by, t.unmet) for t in state.by_index
    ]
    due(state, QuotaPolicy(), 50.0)
    rule(state, RetryPolicy())
    admit(state, admission_for(plan, plan.limits, 4, 8), 0.0)
    assert ending(state) in ("", "completed", "failed", "stopped", "halted")
    assert all(t.unmet >= 0 for t in state.by_index)
    assert state.counts[TaskStatus.RUNNING] >= 0
