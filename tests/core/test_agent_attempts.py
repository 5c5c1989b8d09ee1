"""What is folded of coding agents: by attempt, kept over resets, new plans and crashes."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.errors import IllegalTransition
from tests.histories import History, tell

PLAN = {"tasks": [{"id": "a", "agent": "claude", "prompt": "x"}, {"id": "b", "command": ["x"]}]}
STARTED = e.AgentStarted("a", 1, "claude", "edit", "bubblewrap")


def started(*events: e.AnyEvent) -> History:
    return tell(PLAN, e.TaskStarted("a", 1, 1), STARTED, *events)


def test_the_latest_of_what_was_used_counts() -> None:
    told = started(e.AgentSpent("a", 1, 10, 1), e.AgentSpent("a", 1, 30, 2, cost=0.5, final=True))
    (attempt,) = told.state.agent_attempts["a"]
    assert attempt.spent == e.AgentSpent("a", 1, 30, 2, cost=0.5, final=True)
    assert not attempt.over
    told.tell(e.TaskCompleted("a", 1, 7.5))
    assert (attempt.over, attempt.seconds) == (True, 7.5)


def test_a_second_start_in_an_attempt_is_the_same_attempt() -> None:
    wider = msgspec.structs.replace(STARTED, granted="level `full`", by="ann", session="s-1")
    told = started(e.AgentIdentified("a", 1, "s-1", "opus"), wider, e.AgentIdentified("a", 1, "s-1"))
    (attempt,) = told.state.agent_attempts["a"]
    assert (attempt.started, attempt.sessions, attempt.agent) == (wider, ["s-1"], "claude")


def test_a_refusal_that_a_better_source_confirms_is_one() -> None:
    guess = e.AgentDenied("a", 1, "Bash", "make", "no", "text", id="call-1")
    sure, other = msgspec.structs.replace(guess, source="result"), msgspec.structs.replace(guess, id="call-2")
    told = started(guess, sure, other)
    assert told.state.agent_attempts["a"][0].denials == [sure, other]
    assert told.state.tasks["a"].message == "refused: Bash make"


def test_what_was_used_is_kept_whatever_becomes_of_the_task() -> None:
    told = started(e.AgentSpent("a", 1, 10, 1, cost=0.5), e.TaskFailed("a", 1, "broken", duration=2.0, commits=("c1",)))
    assert told.state.tasks["a"].commits == ("c1",)
    told.tell(e.TaskFailureSettled("a", "block"), e.TaskReset("a"))
    assert told.state.tasks["a"].commits == ()
    told.tell(e.TaskStarted("a", 2, 2), msgspec.structs.replace(STARTED, attempt=2), e.AgentSpent("a", 2, 1))
    assert [attempt.attempt for attempt in told.state.agent_attempts["a"]] == [1, 2]
    assert [attempt.seconds for attempt in told.state.agent_attempts["a"]] == [2.0, None]


def test_the_time_of_an_attempt_is_known_where_somebody_saw_its_end() -> None:
    asked = started().tell(e.CheckpointReached("a@1", "a", 1, "?", "hash"), after=3.0)
    assert asked.state.agent_attempts["a"][0].seconds == 3.0
    crashed = started().tell(e.AttemptInterrupted("a", 1, "crash", crashed=True), after=3.0)
    assert crashed.state.agent_attempts["a"][0].over
    assert crashed.state.agent_attempts["a"][0].seconds is None


def test_nothing_is_told_of_a_task_that_does_not_run() -> None:
    with pytest.raises(IllegalTransition):
        tell(PLAN, e.AgentSpent("a", 1, 10))
    with pytest.raises(IllegalTransition):
        started(e.TaskCompleted("a", 1), e.AgentSpent("a", 1, 10))


def test_a_result_that_is_taken_over_keeps_who_did_it_and_costs_nothing() -> None:
    work = e.AgentWork("claude", "edit", "uncontained", "asked for", (e.Changed("a.py"),))
    told = tell(PLAN, e.TaskCompleted("a", 0, work=work, commits=("c1",), reused_from="other"))
    assert (told.state.tasks["a"].work, told.state.tasks["a"].commits) == (work, ("c1",))
    assert told.state.agent_attempts == {}
