"""Usage limits that are waited for: who is held up, who finds out that it is over, who follows."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import admit, ending, rule
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.quotas import due, next_look
from orchestrator_nb.core.state import State, fold
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import IllegalTransition
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.policies.quota import QuotaPolicy
from orchestrator_nb.policies.retry import RetryPolicy

PLAN = e.Artifact("blobs/0", 1, "0")
POLICY = QuotaPolicy(margin=5.0, head_start=30.0)
RESETS = 1000.0


class Scene:
    """A run of which the wall clock is moved by hand."""

    def __init__(self, *tasks: dict[str, Any], **plan: Any) -> None:
        self.plan = Plan.model_validate(
            {"tasks": [{"prompt": "do", "agent": "claude", **task} for task in tasks], **plan}
        )
        self.state = State()
        self.records: list[e.Record] = []
        self.at = 100.0
        self.tell(e.PlanAccepted(1, PLAN, "t", len(tasks)), e.RunStarted(1, 1, "h"))

    def tell(self, *events: e.AnyEvent) -> Scene:
        for event in events:
            record = e.Record(len(self.records) + 1, self.at, event)
            self.state.apply(record, self.plan if isinstance(event, e.PlanAccepted) else None, self.at)
            self.records.append(record)
        return self

    def step(self, at: float | None = None, room: int = 10) -> list[str]:
        """What the runner does at `at`; the tasks that it starts."""
        self.at = self.at if at is None else at
        while rulings := due(self.state, POLICY, self.at) or rule(self.state, RetryPolicy(frozenset({"claude"}))):
            self.tell(*rulings)
        starts = admit(self.state, Admission(room), self.at)
        self.tell(*(e.TaskStarted(task.id, task.attempt + 1, fallback=task.fallback) for task in starts))
        return [task.id for task in starts]

    def limited(self, *ids: str, until: float = RESETS, vendor: str = "claude") -> Scene:
        events = [e.QuotaReached(i, self.state.tasks[i].attempt, vendor, until, "limit reached", 3.0) for i in ids]
        return self.tell(*events)

    def complete(self, *ids: str) -> Scene:
        return self.tell(*(e.TaskCompleted(i, self.state.tasks[i].attempt) for i in ids))

    def statuses(self) -> dict[str, str]:
        return {task.id: task.status.value for task in self.state.by_index}


def claudes(*ids: str, **more: Any) -> Scene:
    return Scene(*({"id": i} for i in ids), **more)


def test_no_task_of_the_vendor_starts_and_those_of_others_go_on() -> None:
    scene = Scene({"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["x"]}, {"id": "x", "agent": "codex"},
                  {"id": "y", "agent": "codex", "dependencies": ["x"]})  # fmt: skip
    assert scene.step(room=2) == ["x", "a"]
    scene.limited("a")
    assert scene.statuses()["b"] == "awaiting_quota", "it would burn the same limit"
    scene.complete("x")
    assert scene.step() == ["y"]
    assert scene.statuses()["c"] == "awaiting_quota", "it became ready meanwhile"
    scene.complete("y")
    assert scene.step() == []
    assert ending(scene.state) == "", "the run goes on, and waits"


def test_the_attempt_is_no_failure() -> None:
    scene = Scene({"id": "a", "retry": {"attempts": 2, "delay": 0, "when": "any"}}, {"id": "b", "dependencies": ["a"]})
    scene.step()
    scene.limited("a")
    task = scene.state.tasks["a"]
    assert (task.failures, task.quota_waits, task.error_kind, task.attempt) == (0, 1, "quota", 1)
    for attempt in (2, 3):
        assert scene.step(2000.0) == ["a"]
        scene.tell(e.TaskFailed("a", attempt, "broken"))
    scene.step()
    assert (task.status, task.failures) == (TaskStatus.FAILED, 2), "both of its attempts were left to it"


def test_one_finds_out_and_the_others_follow_when_it_has_worked_for_a_while() -> None:
    scene = claudes("a", "b", "c")
    scene.step(room=1)
    scene.limited("a")
    assert next_look(scene.state, POLICY) == 1005.0
    assert scene.step(1004.9) == []
    assert scene.step(1005.0) == ["a"]
    assert scene.step(1010.0) == []
    assert next_look(scene.state, POLICY) == 1035.0
    assert scene.step(1035.0) == ["b", "c"]
    assert scene.state.quotas == {}
    assert next_look(scene.state, POLICY) is None


def test_the_others_follow_at_once_when_it_has_ended() -> None:
    for end in (e.TaskCompleted("a", 2), e.TaskFailed("a", 2, "x"), e.CheckpointReached("a@2", "a", 2, "?", "0")):
        scene = claudes("a", "b", "c")
        scene.step(room=1)
        scene.limited("a")
        assert scene.step(1005.0) == ["a"]
        scene.tell(end)
        assert scene.step(1006.0) == ["b", "c"], end


def test_a_transient_failure_of_who_finds_out_keeps_its_delay() -> None:
    scene = claudes("a", "b")
    scene.step()
    scene.limited("a", "b").step(1005.0)
    scene.tell(e.TaskFailed("a", 2, "overloaded", "overload", transient=True))
    assert scene.step(1006.0) == ["b"]
    assert scene.statuses()["a"] == "retrying"
    assert scene.step(1020.0) == ["a"]


def test_who_finds_the_limit_again_lets_all_wait_on() -> None:
    scene = claudes("a", "b", "c")
    scene.step(room=1)
    scene.limited("a").step(1005.0)
    scene.limited("a", until=5000.0)
    assert scene.step(1100.0) == []
    assert set(scene.statuses().values()) == {"awaiting_quota"}
    assert scene.step(5005.0) == ["a"]
    assert sum(isinstance(record.event, e.TaskStarted) for record in scene.records) == 3, "the others tried nothing"


def test_a_single_task_needs_nobody_to_find_out() -> None:
    scene = claudes("a")
    scene.step()
    scene.limited("a")
    assert scene.step(1005.0) == ["a"]
    assert scene.state.quotas == {}


def test_what_runs_goes_on_and_a_later_word_counts() -> None:
    scene = claudes("a", "b")
    scene.step()
    scene.limited("a", until=900.0)
    assert scene.statuses()["b"] == "running"
    scene.limited("b", until=1000.0)
    assert scene.state.quotas["claude"].resets_at == 1000.0


def test_a_retry_that_is_due_waits_for_the_quota() -> None:
    scene = claudes("a", "b")
    scene.step()
    scene.tell(e.TaskFailed("a", 1, "overloaded", "overload", transient=True)).step()
    assert scene.statuses()["a"] == "retrying"
    scene.limited("b")
    assert scene.statuses()["a"] == "awaiting_quota"
    assert scene.step(200.0) == []
    assert scene.step(1005.0) == ["a"]
    assert scene.state.tasks["a"].failures == 1


def test_a_failure_during_the_wait_is_retried_after_it() -> None:
    scene = claudes("a", "b")
    scene.step()
    scene.limited("b")
    scene.tell(e.TaskFailed("a", 1, "overloaded", "overload", transient=True))
    assert scene.step(500.0) == []
    assert scene.statuses() == {"a": "awaiting_quota", "b": "awaiting_quota"}


def test_a_fallback_of_another_vendor_does_not_wait() -> None:
    fallback = {"agent": "codex", "prompt": "do"}
    scene = Scene({"id": "a", "fallback": fallback, "retry": {"attempts": 1}, "on_failure": "fallback"}, {"id": "b"})
    scene.step()
    scene.limited("b")
    scene.tell(e.TaskFailed("a", 1, "broken"))
    assert scene.step() == ["a"]
    assert scene.state.tasks["a"].fallback


def test_an_interrupted_attempt_waits_too_and_has_told_nothing() -> None:
    scene = claudes("a", "b")
    scene.step()
    scene.limited("a", "b").step(1005.0)
    assert scene.state.quotas["claude"].probe == "a"
    scene.tell(e.AttemptInterrupted("a", 2, "crash", crashed=True))
    assert scene.statuses() == {"a": "awaiting_quota", "b": "awaiting_quota"}
    assert scene.step(1006.0) == ["a"], "the limit is over all the same"


def test_a_person_may_try_now() -> None:
    scene = claudes("a", "b")
    scene.step(room=1)
    scene.limited("a")
    scene.tell(e.QuotaProbed("b", "me"))
    assert scene.step(200.0) == ["b"]
    scene.complete("b")
    assert scene.step(201.0) == ["a"], "what one found out counts for all"


def test_who_cannot_start_yet_holds_nothing_up_and_is_not_forgotten() -> None:
    scene = claudes("a", "b", "c")
    scene.step(room=1)
    scene.limited("a").tell(e.RunPaused())
    assert scene.step(1005.0) == []
    assert scene.statuses()["a"] == "pending"
    assert next_look(scene.state, POLICY) is None, "nothing becomes due by time alone"
    assert scene.tell(e.RunUnpaused()).step(2000.0) == ["a"]
    assert scene.step(2030.0) == ["b", "c"]


def test_a_cancelled_task_finds_nothing_out() -> None:
    scene = claudes("a", "b", "c")
    scene.step(room=1)
    scene.limited("a").step(1005.0)
    scene.tell(e.TaskCancelled("a"))
    assert scene.step(1006.0) == ["b"]
    scene.tell(e.TaskCancelled("b"), e.TaskCancelled("c"))
    assert scene.step(1007.0) == []
    assert ending(scene.state) == "failed"


@pytest.mark.parametrize("end", [e.StopRequested(), e.HaltRequested()])
def test_a_run_that_is_ended_waits_no_longer(end: e.AnyEvent) -> None:
    scene = claudes("a", "b")
    scene.step()
    scene.limited("a", "b").tell(end)
    assert scene.step(2000.0) == []
    assert next_look(scene.state, POLICY) is None
    assert ending(scene.state) in ("stopped", "halted")
    scene.tell(e.RunEnded(1, "stopped"), e.RunStarted(2, 1, "h", True))
    assert scene.step(2001.0) == ["a"]


def test_fail_fast_blocks_what_waits() -> None:
    scene = Scene({"id": "a"}, {"id": "x", "agent": "codex", "on_failure": "fail_fast"})
    scene.step()
    scene.limited("a").tell(e.TaskFailed("x", 1, "broken"))
    scene.step()
    assert scene.statuses() == {"a": "blocked", "x": "failed"}
    assert ending(scene.state) == "failed"


def test_a_limit_counts_for_no_limit_of_failures() -> None:
    scene = claudes("a", "b", limits={"max_failures": 1})
    scene.step()
    scene.limited("a", "b").step()
    assert not scene.state.failed_fast


def test_a_new_plan_holds_who_is_of_the_vendor_now_and_lets_the_others_go() -> None:
    scene = claudes("a", "b")
    scene.step(room=1)
    scene.limited("a")
    tasks = [{"id": "a", "agent": "codex", "prompt": "do"}, {"id": "new", "agent": "claude", "prompt": "do"}]
    scene.plan = Plan.model_validate({"tasks": tasks})
    scene.tell(e.PlanAccepted(2, PLAN, "t", 2))
    assert scene.statuses() == {"a": "pending", "new": "awaiting_quota"}
    assert scene.step() == ["a"]


def test_a_quota_that_nobody_waits_for_cannot_be_restored() -> None:
    with pytest.raises(IllegalTransition, match="no quota of 'claude' is waited for"):
        claudes("a").tell(e.QuotaRestored("claude"))


def test_replay_gives_the_same_waits() -> None:
    scene = claudes("a", "b", "c")
    scene.step(room=1)
    scene.limited("a").step(1005.0)
    again = fold(scene.records, lambda _: scene.plan)
    assert again.quotas == scene.state.quotas
    assert {task.id: task.status.value for task in again.by_index} == scene.statuses()
    assert again.tasks["a"].quota_waits == 1
