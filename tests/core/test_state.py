"""The life of a task, joins, resets, checkpoints, limited things: the fold's rules one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import admit, ending, rule
from orchestrator_nb.core.models import Join, Plan, Task
from orchestrator_nb.core.state import State, fold
from orchestrator_nb.core.tasks import SETTLED, TRANSITIONS, TaskStatus, join_verdict
from orchestrator_nb.errors import IllegalTransition
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.policies.retry import RetryPolicy

PLAN = e.Artifact("blobs/0", 1, "0")


class Story:
    """A state and the records that made it."""

    def __init__(self, *tasks: dict[str, Any], **plan: Any) -> None:
        self.plan = Plan(tasks=tuple(Task(function="m:f", **task) for task in tasks), **plan)
        self.state = State()
        self.records: list[e.Record] = []
        self.tell(e.PlanAccepted(1, PLAN, "t", len(tasks)), e.RunStarted(1, 1, "h"))

    def tell(self, *events: e.AnyEvent, now: float = 0.0) -> Story:
        for event in events:
            record = e.Record(len(self.records) + 1, 100.0 + len(self.records), event)
            self.state.apply(record, self.plan if isinstance(event, e.PlanAccepted) else None, now)
            self.records.append(record)
        return self

    def settle(self, retry: RetryPolicy | None = None) -> Story:
        while rulings := rule(self.state, retry or RetryPolicy()):
            self.tell(*rulings)
        return self

    def admit(self, admission: Admission | None = None, now: float = 0.0) -> list[str]:
        starts = admit(self.state, admission or Admission(), now)
        self.tell(*(e.TaskStarted(t.id, t.attempt + 1, fallback=t.fallback) for t in starts), now=now)
        return [task.id for task in starts]

    def complete(self, *ids: str) -> Story:
        return self.tell(*(e.TaskCompleted(i, self.state.tasks[i].attempt) for i in ids))

    def fail(self, *ids: str, **facts: Any) -> Story:
        self.tell(*(e.TaskFailed(i, self.state.tasks[i].attempt, "broken", **facts) for i in ids))
        return self.settle()

    def statuses(self) -> dict[str, str]:
        return {task.id: task.status.value for task in self.state.by_index}


def story(dependencies: dict[str, Iterable[str]], **fields: Any) -> Story:
    return Story(*({"id": i, "dependencies": tuple(up), **fields.get(i, {})} for i, up in dependencies.items()))


def limited(failures: int, ids: str, more: Mapping[str, Any] | None = None) -> Story:
    """Independent tasks of which so many may fail."""
    return Story(*({"id": i, **(more or {}).get(i, {})} for i in ids), limits={"max_failures": failures})


DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_task_starts_the_moment_its_own_dependencies_are_done() -> None:
    s = story({"slow": (), "a": (), "b": ("a",), "c": ("slow", "b")})
    assert set(s.admit()) == {"slow", "a"}
    s.complete("a")
    assert s.admit() == ["b"]  # no barrier: 'slow' is still running
    s.complete("b")
    assert s.admit() == []
    s.complete("slow")
    assert s.admit() == ["c"]
    s.complete("c")
    assert ending(s.state) == "completed"


def test_a_failure_blocks_what_depends_on_it_and_names_the_task_that_failed() -> None:
    s = story({**DIAMOND, "e": ("d",), "free": ()})
    s.admit()
    s.complete("a")
    s.admit()
    s.fail("b")
    assert s.statuses() == {
        "a": "completed",
        "b": "failed",
        "c": "running",
        "d": "blocked",
        "e": "blocked",
        "free": "running",
    }
    assert s.state.tasks["e"].blocked_by == "b"
    s.complete("c", "free")
    assert ending(s.state) == "failed"


def test_skip_lets_dependents_go_on_and_fail_fast_ends_the_run() -> None:
    s = story(DIAMOND, b={"on_failure": "skip"})
    s.admit()
    s.complete("a")
    s.admit()
    s.fail("b").complete("c")
    assert s.admit() == ["d"]
    assert s.complete("d").statuses()["b"] == "skipped"
    assert ending(s.state) == "completed"

    s = story({"a": (), "b": (), "c": (), "d": ("c",)}, a={"on_failure": "fail_fast"})
    assert s.admit(Admission(2)) == ["a", "b"] or s.state.running == 2
    s.fail("a")
    assert s.admit() == []
    assert ending(s.state) == ""  # what runs is waited for
    s.complete(*(t.id for t in s.state.by_index if t.status is TaskStatus.RUNNING))
    assert ending(s.state) == "failed"
    assert s.state.tasks["d"].blocked_by == "a"


def test_so_many_failures_end_the_run_and_one_that_is_tried_again_is_not_counted() -> None:
    more: dict[str, dict[str, Any]] = {"b": {"on_failure": "skip"}, "c": {"retry": 2}}
    s = limited(2, "abcdef", more)
    assert s.admit(Admission(4)) == ["a", "b", "c", "d"]
    s.tell(*(e.TaskFailed(name, 1, "broken") for name in "abc"))
    s.tell(*rule(s.state, RetryPolicy()))
    assert s.statuses() == {
        "a": "failed", "b": "skipped", "c": "retrying", "d": "running", "e": "pending", "f": "pending"
    }  # fmt: skip
    assert not s.state.failed_fast
    s.fail("d")
    assert s.state.failed_fast == "d"
    assert s.statuses() == {
        "a": "failed",
        "b": "skipped",
        "c": "blocked",
        "d": "failed",
        "e": "blocked",
        "f": "blocked",
    }
    assert ending(s.state) == "failed"


def test_of_failures_that_come_together_those_up_to_the_limit_count() -> None:
    s = limited(2, "abcd")
    assert s.admit(Admission(3)) == ["a", "b", "c"]
    s.tell(*(e.TaskFailed(name, 1, "broken") for name in "abc"))
    rulings = rule(s.state, RetryPolicy())
    assert [(ruling.task, ruling.strategy) for ruling in rulings] == [
        ("a", "block"),
        ("b", "fail_fast"),
        ("c", "block"),
    ]  # type: ignore[union-attr]
    s.tell(*rulings)
    s.tell(*rule(s.state, RetryPolicy()))
    assert s.statuses()["d"] == "blocked"


def test_a_failed_task_that_is_asked_for_again_starts_though_another_failure_ended_the_run() -> None:
    s = limited(2, "abc")
    assert s.admit(Admission(2)) == ["a", "b"]
    s.fail("a")
    s.fail("b")
    assert s.statuses()["c"] == "blocked"
    s.tell(e.TaskReset("a", "me"))
    assert s.admit() == ["a"]
    s.complete("a")
    assert s.statuses() == {"a": "completed", "b": "failed", "c": "blocked"}
    s.tell(e.TaskReset("b", "me"))
    assert s.admit() == ["b", "c"]


def test_retries_wait_for_their_delay_by_the_monotonic_clock() -> None:
    s = story({"a": ()}, a={"retry": {"attempts": 3, "delay": 5}})
    for attempt, wait in ((1, 5.0), (2, 10.0)):
        assert s.admit(now=100.0 * attempt) == ["a"]
        s.tell(e.TaskFailed("a", attempt, "broken"))
        s.tell(*rule(s.state, RetryPolicy()), now=100.0 * attempt)
        assert s.statuses() == {"a": "retrying"}
        assert s.admit(now=100.0 * attempt + wait - 0.01) == []
        assert ending(s.state) == ""
    assert s.admit(now=1000.0) == ["a"]
    s.fail("a")
    assert s.statuses() == {"a": "failed"}


def test_the_fallback_is_tried_once_after_the_attempts() -> None:
    s = story({"a": ()}, a={"retry": 2, "fallback": {"function": "m:g"}})
    s.admit()
    s.fail("a").admit(now=1e6)
    s.fail("a")
    assert s.state.tasks["a"].fallback
    s.admit(now=2e6)
    s.fail("a")
    assert s.statuses() == {"a": "failed"}


@pytest.mark.parametrize(
    ("join", "unmet", "successes", "bad", "verdict"),
    [
        (Join.ALL_SUCCESS, 1, 1, False, "wait"),
        (Join.ALL_SUCCESS, 0, 2, False, "start"),
        (Join.ALL_SUCCESS, 1, 1, True, "block"),
        (Join.ALL_SUCCESS, 0, 0, False, "start"),  # all skipped
        (Join.ONE_SUCCESS, 1, 1, False, "start"),
        (Join.ONE_SUCCESS, 1, 0, True, "wait"),
        (Join.ONE_SUCCESS, 0, 0, True, "block"),
        (Join.ONE_SUCCESS, 0, 0, False, "skip"),
        (Join.NONE_FAILED_MIN_ONE_SUCCESS, 1, 1, False, "wait"),
        (Join.NONE_FAILED_MIN_ONE_SUCCESS, 1, 1, True, "block"),
        (Join.NONE_FAILED_MIN_ONE_SUCCESS, 0, 1, False, "start"),
        (Join.NONE_FAILED_MIN_ONE_SUCCESS, 0, 0, False, "skip"),
        (Join.ALL_DONE, 1, 0, True, "wait"),
        (Join.ALL_DONE, 0, 0, True, "start"),
    ],
)
def test_joins(join: Join, unmet: int, successes: int, bad: bool, verdict: str) -> None:
    assert join_verdict(join, unmet, successes, bad) == verdict


def test_every_status_and_event_is_legal_or_refused_without_a_trace() -> None:
    """Walks the whole table: what it does not list raises and changes nothing."""
    samples: list[e.AnyEvent] = [
        e.TaskStarted("a", 1),
        e.ProcessStarted("a", 1, 2, 3),
        e.TaskProgressed("a", 1),
        e.TaskCompleted("a", 1),
        e.TaskFailed("a", 1, "x"),
        e.AttemptInterrupted("a", 1, "x"),
        e.TaskRetryScheduled("a", 1.0),
        e.TaskFailureSettled("a", "block"),
        e.TaskBlocked("a", "b"),
        e.TaskSkipped("a"),
        e.TaskCancelled("a"),
        e.TaskReset("a"),
        e.CheckpointReached("a@1", "a", 1, "?", "0"),
        e.QuotaReached("a", 1, "function", 200.0),
        e.QuotaProbed("a"),
    ]
    for status in TaskStatus:
        for event in samples:
            s = story({"a": (), "b": ("a",)})
            s.state._move(s.state.tasks["a"], status)
            counts = dict(s.state.counts)
            target = TRANSITIONS[status].get(type(event))
            if target is None:
                with pytest.raises(IllegalTransition, match="'a'"):
                    s.tell(event)
                assert s.state.counts == counts
                assert s.state.tasks["a"].status is status
                assert s.state.seq == 2
            else:
                s.tell(event)
                assert s.state.seq == 3
                assert s.state.tasks["a"].status in {target, TaskStatus.PENDING}
    assert set(TRANSITIONS) == set(TaskStatus)
    assert all(
        not TRANSITIONS[status].keys() - {e.TaskReset, e.TaskRetryScheduled, e.TaskFailureSettled} for status in SETTLED
    )


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="'zz' \\(not in the plan\\)"):
        story({"a": ()}).tell(e.TaskStarted("zz", 1))


def test_reset_runs_the_failed_task_and_what_it_blocked_again() -> None:
    s = story({**DIAMOND, "other": ()})
    s.admit()
    s.complete("a", "other")
    s.admit()
    s.fail("b").complete("c")
    assert ending(s.state) == "failed"
    s.tell(e.TaskReset("b"))
    assert s.statuses() == {"a": "completed", "b": "pending", "c": "completed", "d": "waiting", "other": "completed"}
    assert s.admit() == ["b"]
    s.complete("b")
    assert s.admit() == ["d"]
    assert ending(s.complete("d").state) == "completed"


def test_reset_of_one_of_two_failures_keeps_the_other_blocking() -> None:
    s = story({"a": (), "b": (), "c": ("a", "b")})
    s.admit()
    s.fail("a").fail("b")
    blocker = s.state.tasks["c"].blocked_by
    s.tell(e.TaskReset(blocker)).settle()
    assert s.statuses()["c"] == "blocked"
    assert s.state.tasks["c"].blocked_by != blocker


def test_checkpoint_answers_are_bound_to_what_was_shown() -> None:
    s = story({"a": (), "b": ("a",)})
    s.admit()
    s.tell(e.CheckpointReached("a@1", "a", 1, "Ship it?", "hash"))
    assert s.statuses() == {"a": "awaiting_approval", "b": "waiting"}
    assert ending(s.state) == ""
    with pytest.raises(IllegalTransition, match="something else"):
        s.tell(e.CheckpointApproved("a@1", "other hash"))
    s.tell(e.CheckpointApproved("a@1", "hash", "me", {"ok": True}))
    assert s.state.checkpoints["a@1"].answer == {"ok": True}
    with pytest.raises(IllegalTransition):
        s.tell(e.CheckpointRejected("a@1", "hash", "too late"))
    assert s.admit() == ["a"]


def test_a_rejected_checkpoint_fails_the_task_and_is_not_retried() -> None:
    s = story({"a": (), "b": ("a",)}, a={"retry": 3})
    s.admit()
    s.tell(e.CheckpointReached("a@1", "a", 1, "?", "hash"), e.CheckpointRejected("a@1", "hash", "no")).settle()
    assert s.statuses() == {"a": "failed", "b": "blocked"}
    assert s.state.tasks["a"].error == "Rejected: no"


def test_pause_stop_and_halt_let_nothing_start() -> None:
    for event, end in ((e.RunPaused(), ""), (e.StopRequested(), "stopped"), (e.HaltRequested(), "halted")):
        s = story({"a": (), "b": ()})
        s.tell(event)
        assert s.admit() == []
        assert ending(s.state) == end
    s = story({"a": ()}).tell(e.RunPaused(), e.RunUnpaused())
    assert s.admit() == ["a"]


def test_priorities_then_plan_order_decide_who_goes_first() -> None:
    s = Story(
        {"id": "late", "priority": "P3"},
        {"id": "normal"},
        {"id": "root"},
        {"id": "leaf", "dependencies": ("root",)},
        {"id": "urgent", "priority": "P0"},
    )
    order = []
    while starts := s.admit(Admission(1)):
        order += starts
        s.complete(*starts)
    assert order == ["root", "leaf", "urgent", "normal", "late"]


def test_limited_things_are_held_while_a_task_runs() -> None:
    s = Story(
        {"id": "a", "resources": {"locks": ["db"]}},
        {"id": "b", "resources": {"locks": ["db"]}},
        {"id": "c", "resources": {"cpu": 3}},
        {"id": "d", "resources": {"cpu": 2}},
        {"id": "e", "resources": {"cpu": 1}},
        {"id": "f"},
    )
    admission = Admission(10, {"cpu": 4.0})
    assert s.admit(admission) == ["a", "c", "f"]  # 'e' would fit, but must not overtake 'd'
    s.complete("c")
    assert s.admit(admission) == ["d", "e"]
    s.complete("a")
    assert s.admit(admission) == ["b"]


def test_a_demand_for_more_than_there_is_runs_alone_instead_of_never() -> None:
    s = Story({"id": "a", "resources": {"cpu": 99}}, {"id": "b", "resources": {"cpu": 1}})
    admission = Admission(10, {"cpu": 2.0})
    assert s.admit(admission) == ["a"]
    s.complete("a")
    assert s.admit(admission) == ["b"]


def test_a_resource_dependency_is_mutual_exclusion_without_order() -> None:
    s = Story({"id": "a"}, {"id": "b", "dependencies": ({"task": "a", "kind": "resource"},)})
    assert s.admit() == ["a"]
    s.complete("a")
    assert s.admit() == ["b"]


def test_a_cancelled_task_wakes_who_waited_behind_it() -> None:
    s = Story(*({"id": name, "resources": {"locks": ["x"]}} for name in "abc"))
    assert s.admit() == ["a"]
    s.tell(e.TaskCancelled("b"))
    s.complete("a")
    assert s.admit() == ["c"]


def test_agent_numbers_are_given_once_and_never_again() -> None:
    s = story({"a": (), "b": ()})
    s.plan = Plan(tasks=(Task(id="new", function="m:f"), Task(id="b", function="m:f"), Task(id="a", function="m:f")))
    s.tell(e.PlanAccepted(2, PLAN, "t", 3))
    assert {t.id: t.number for t in s.state.by_index} == {"a": 1, "b": 2, "new": 3}
    s.plan = Plan(tasks=(Task(id="a", function="m:f"), Task(id="newer", function="m:f")))
    s.tell(e.PlanAccepted(3, PLAN, "t", 2))
    assert {t.id: t.number for t in s.state.by_index} == {"a": 1, "newer": 4}, "3 was another's"


def test_a_new_revision_keeps_what_is_done_and_lets_new_dependencies_count() -> None:
    s = story({"a": (), "b": ("a",)})
    s.admit()
    s.complete("a")
    s.plan = Plan(
        tasks=(
            Task(id="a", function="m:f"),
            Task(id="x", function="m:f"),
            Task(id="b", function="m:f", dependencies=("a", "x")),  # type: ignore[arg-type]
        )
    )
    s.tell(e.PlanAccepted(2, PLAN, "t", 3))
    assert s.statuses() == {"a": "completed", "x": "pending", "b": "waiting"}


def test_replaying_the_records_gives_the_same_state() -> None:
    s = story(DIAMOND, b={"retry": 2})
    s.admit()
    s.complete("a")
    s.admit()
    s.fail("b").complete("c")
    s.admit(now=1e6)
    s.complete("b")
    again = fold(s.records, lambda _: s.plan)
    for task in s.state.by_index:
        twin = again.tasks[task.id]
        assert all(getattr(task, name) == getattr(twin, name) for name in type(task).__slots__)
    assert again.counts == s.state.counts
    assert again.status == s.state.status
