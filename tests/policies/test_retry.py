"""When a failed task is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.core.models import Retry, Task
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.policies.retry import RetryPolicy, delay_before


def failed(failures: int, kind: str = "exit_code", transient: bool = False) -> TaskState:
    return TaskState("t", 0, 1, failures=failures, error_kind=kind, transient=transient)


def spec(**fields: Any) -> Task:
    return Task(id="t", command="false", **fields)


def test_one_attempt_is_the_default() -> None:
    assert RetryPolicy().delay(spec(), failed(1)) is None


def test_s1_schedule_is_linear() -> None:
    policy, task = RetryPolicy(), spec(on_failure="retry")
    assert [policy.delay(task, failed(n)) for n in (1, 2, 3)] == [5.0, 10.0, None]


def test_a_number_of_retries_means_attempts_on_that_schedule() -> None:
    assert [RetryPolicy().delay(spec(retry=2), failed(n)) for n in (1, 2)] == [5.0, None]


@pytest.mark.parametrize(
    ("backoff", "delays"), [("linear", [2, 4, 6, 8]), ("exponential", [2, 4, 8, 10]), ("fixed", [2, 2, 2, 2])]
)
def test_backoffs(backoff: Any, delays: list[float]) -> None:
    schedule = Retry(attempts=9, delay=2, backoff=backoff, max_delay=10)
    assert [delay_before(schedule, attempt) for attempt in (2, 3, 4, 5)] == delays


@pytest.mark.parametrize("kind", ["preflight", "rejected", "crash_loop", "invalid"])
def test_what_trying_again_cannot_mend_is_not_tried_again(kind: str) -> None:
    assert RetryPolicy().delay(spec(retry=5), failed(1, kind, transient=True)) is None


def test_only_transient_failures_where_asked_and_for_patient_agents() -> None:
    policy = RetryPolicy(patient=frozenset(["shell"]))
    for task in (spec(retry={"when": "transient"}), spec()):
        assert policy.delay(task, failed(1)) is None
        assert policy.delay(task, failed(1, transient=True)) == 5.0


@given(st.integers(2, 10_000), st.sampled_from(["linear", "exponential", "fixed"]), st.floats(0, 1e4))
def test_no_delay_is_longer_than_the_longest(attempt: int, backoff: Any, delay: float) -> None:
    assert 0 <= delay_before(Retry(attempts=100, delay=delay, backoff=backoff, max_delay=60), attempt) <= 60
