"""Why a task has not started, what it waits for, what became of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings

from orchestrator_nb.core import events as e
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.projections.explain import Explanation, explain
from tests.histories import History, histories, tell


def shell(task_id: str, *dependencies: str, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "command": ["x"], "dependencies": list(dependencies), **fields}


def why(history: History, task: str, admission: Admission | None = None) -> Explanation:
    return explain(history.state, task, admission or Admission())


def said(explanation: Explanation) -> str:
    return " ".join(explanation.sentences)


def test_it_waits_for_dependencies_and_what_they_come_down_to() -> None:
    plan = {"tasks": [shell("a"), shell("b", "a"), shell("c", "b"), shell("d"), shell("e", "c", "d")]}
    history = tell(plan, e.TaskStarted("a", 1, 1), e.TaskStarted("d", 1, 1), e.TaskCompleted("d", 1))
    answer = why(history, "e")
    assert answer.headline == "'e' waits for 1 of 2 tasks: 'c' (waiting)."
    assert answer.reasons == ("It comes down to 'a' (running).",)
    assert answer.waits_for == {"c": TaskStatus.WAITING}
    assert answer.comes_down_to == {"a": TaskStatus.RUNNING}
    assert said(why(history, "b")) == "'b' waits for 'a' (running)."


def test_joins_are_told() -> None:
    history = tell({"tasks": [shell("a"), shell("b"), shell("c", "a", "b", join="one_success")]})
    assert "One completed dependency is enough" in said(why(history, "c"))


def test_a_blocked_task_names_the_failure_behind_it() -> None:
    plan = {"tasks": [shell("a", on_failure="fail_fast"), shell("b", "a"), shell("c", "b")]}
    history = tell(plan, e.TaskStarted("a", 1, 1), e.TaskFailed("a", 1, "disk\nfull", "exit_code"))
    history.tell(e.TaskFailureSettled("a", "fail_fast"), e.TaskBlocked("b", "a"), e.TaskBlocked("c", "a"))
    answer = why(history, "c")
    assert answer.headline == "'c' cannot start because of 'a'."
    assert answer.reasons[0] == "'a' failed: disk full"
    assert "fail_fast" in answer.reasons[1]
    assert (answer.blocked_by, answer.command) == ("a", "orchestrate retry a")


def test_limits_name_who_holds_them() -> None:
    plan = {
        "phases": [{"id": "p", "max_parallel": 1}],
        "tasks": [
            shell("a", resources={"cpu": 3, "locks": ["db"]}),
            shell("b", resources={"cpu": 2}),
            shell("c", resources={"locks": ["db"]}),
            shell("d", phase="p"),
            shell("e", phase="p"),
            shell("free"),
        ],
    }
    history = tell(plan, e.TaskStarted("a", 1, 1), e.TaskStarted("d", 1, 1))
    admission = Admission(10, {"cpu": 4.0, "phase p": 1.0})
    cpu, lock, phase, free = (why(history, task, admission) for task in ("b", "c", "e", "free"))
    assert (cpu.lacks, cpu.held_by) == ("cpu", ("a",))
    assert said(cpu) == "'b' could start, but cpu is taken. It needs 2 of cpu; 3 of 4 is in use by 'a'."
    assert (lock.lacks, lock.held_by) == ("lock db", ("a",))
    assert "the lock 'db' is taken" in said(lock)
    assert (phase.lacks, phase.held_by) == ("phase p", ("d",))
    assert said(free) == "'free' could start: it is about to."
    few = why(history, "free", Admission(2))
    assert (few.lacks, few.held_by) == ("max_parallel", ("a", "d"))
    assert "The limit is 2 tasks at once (limits.max_parallel, --jobs); running: 'a', 'd'." in said(few)


def test_who_waits_for_the_same_thing_and_comes_first_is_named() -> None:
    plan = {
        "tasks": [
            shell("a", resources={"cpu": 4}),
            shell("big", resources={"cpu": 4}),
            shell("small", resources={"cpu": 1}),
        ]
    }
    history = tell(plan)
    history.state.park(history.state.tasks["big"], "cpu")
    answer = why(history, "small", Admission(10, {"cpu": 4.0}))
    assert (answer.lacks, answer.held_by) == ("cpu", ("big",))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (e.RunPaused(), "paused"),
        (e.StopRequested("ann", "enough"), "stopping (enough)"),
        (e.HaltRequested("ann"), "halted"),
        (e.RunEnded(1, "stopped"), "orchestrate resume 20250112-143000-abcd"),
    ],
)
def test_a_run_that_starts_nothing_says_so(event: e.AnyEvent, words: str) -> None:
    history = tell({"tasks": [shell("a"), shell("b", "a")]}, event)
    assert words in said(why(history, "a"))
    assert words in said(why(history, "b"))


def test_a_retry_tells_when_and_why() -> None:
    history = tell({"tasks": [shell("a")]}, e.TaskStarted("a", 1, 1), e.TaskFailed("a", 1, "overloaded"))
    history.tell(e.TaskRetryScheduled("a", 5.0))
    answer = why(history, "a")
    assert answer.headline == "'a' failed and is tried again as attempt 2, 5s after 2025-01-12 14:30:00 UTC."
    assert "It failed: overloaded" in answer.reasons
    assert answer.command == "orchestrate cancel a"


def test_a_checkpoint_tells_how_to_answer() -> None:
    history = tell({"tasks": [{"id": "ask", "agent": "human", "prompt": "?"}]}, e.TaskStarted("ask", 1, 1))
    history.tell(e.CheckpointReached("ask@1", "ask", 1, "Which\x1b[31m one?", "h", {"type": "string"}))
    answer = why(history, "ask")
    assert answer.command == "orchestrate approve ask@1 --answer TEXT"
    assert "It asks: Which one?" in answer.reasons
    assert "orchestrate reject ask@1 --reason TEXT" in said(answer)


def test_what_has_begun_or_ended_is_told_with_its_time() -> None:
    history = tell({"tasks": [shell("a"), shell("b"), shell("c")]}, e.TaskStarted("a", 1, 1), e.TaskStarted("b", 1, 1))
    history.tell(
        e.ProcessStarted("a", 1, 77, 1),
        e.TaskProgressed("a", 1, "cell", 2, 3),
        e.TaskCancelled("c", "ann", "not needed"),
    )
    assert said(why(history, "a")) == (
        "'a' is running since 2025-01-12 14:30:00 UTC, attempt 1, as process 77. It says: 2 of 3 steps: cell"
    )
    history.tell(
        e.TaskCompleted("a", 1, 2.0, exit_code=0), e.TaskFailed("b", 1, "broken", "exit_code", 3.0, 4), after=3
    )
    history.tell(e.TaskFailureSettled("b", "block"))
    assert said(why(history, "a")) == "'a' completed at 2025-01-12 14:30:03 UTC after 2s. Its exit code was 0."
    assert said(why(history, "b")) == (
        "'b' failed at 2025-01-12 14:30:03 UTC after 3s. It failed: broken Its exit code was 4. "
        "'orchestrate retry b' runs it again."
    )
    assert "'c' was cancelled" in said(why(history, "c"))
    assert "Reason: not needed" in said(why(history, "c"))


def test_an_unknown_task_is_refused_with_the_nearest_id() -> None:
    with pytest.raises(CommandRefused, match="did you mean 'style'"):
        why(tell({"tasks": [shell("style")]}), "stile")


@settings(max_examples=60, deadline=None)
@given(histories(40))
def test_every_task_of_every_history_can_be_explained(history: History) -> None:
    for task in history.state.tasks:
        answer = why(history, task, Admission(2))
        assert answer.status is history.state.tasks[task].status
        assert all("\n" not in sentence and "\x1b" not in sentence for sentence in answer.sentences)


def test_it_is_linear_in_the_tasks_above() -> None:
    layers = [
        [shell(f"t{layer}-{n}", *(f"t{layer - 1}-{m}" for m in range(20) if layer)) for n in range(20)]
        for layer in range(100)
    ]
    history = tell({"tasks": [task for layer in layers for task in layer]})
    begun = time.process_time()
    answer = why(history, "t99-0")
    assert time.process_time() - begun < 1
    assert len(answer.comes_down_to) == 20
