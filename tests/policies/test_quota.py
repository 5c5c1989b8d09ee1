"""Which ends of a usage limit are believed."""

from __future__ import annotations

import pytest

from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.policies.quota import QuotaPolicy

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("resets_in", "waits"),
    [(30, True), (5 * 3600, True), (7 * 86400, True), (31 * 86400, True), (-10, True), (-3600, False), (1e9, False)],
)
def test_a_limit_that_ends_soon_enough_is_waited_for(resets_in: float, waits: bool) -> None:
    assert QuotaPolicy().waits(TaskState("a", 0, 1), NOW + resets_in, NOW) is waits


def test_a_vendor_that_never_keeps_its_word_is_not_waited_for_for_ever() -> None:
    policy = QuotaPolicy(most=3)
    assert [policy.waits(TaskState("a", 0, 1, quota_waits=n), NOW + 5, NOW) for n in (2, 3)] == [True, False]


def test_one_tries_a_moment_after_the_end_and_the_others_later() -> None:
    policy = QuotaPolicy(margin=5, head_start=30)
    assert policy.first_try(NOW) == NOW + 5
    assert policy.all_try(NOW) == NOW + 30
