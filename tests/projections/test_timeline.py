from __future__ import annotations

from hypothesis import given

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.projections.timeline import Bar, Break, Timeline, timeline
from tests.histories import BEGIN, History, histories, tell


def told(history: History, until: float | None = None) -> Timeline:
    assert history.state.plan is not None
    return timeline(history.records, history.state.plan, until)


def plan(**dependencies: list[str]) -> dict[str, object]:
    return {"tasks": [{"id": task, "command": "true", "dependencies": its} for task, its in dependencies.items()]}


def test_the_critical_path_goes_back_over_what_ended_last() -> None:
    history = tell(plan(a=[], b=[], c=["a", "b"], d=[]), e.TaskStarted("a", 1), e.TaskStarted("b", 1))
    history.tell(e.TaskCompleted("a", 1), e.TaskStarted("d", 1), after=2)
    history.tell(e.TaskCompleted("b", 1), after=3)
    history.tell(e.TaskStarted("c", 1), after=1)
    history.tell(e.TaskCompleted("d", 1), after=1)
    history.tell(e.TaskCompleted("c", 1), e.RunEnded(1, "completed"), after=1)
    result = told(history)
    assert result.critical == (Bar("b", 1, 0, 5, "completed"), Bar("c", 1, 6, 8, "completed"))
    assert result.length == 8
    assert [row.task for row in result.rows] == ["a", "b", "d", "c"]  # as they began


def test_attempts_are_bars_and_the_chain_goes_over_them() -> None:
    history = tell({"tasks": [{"id": "a", "command": "true", "retry": 3}]}, e.TaskStarted("a", 1))
    history.tell(e.TaskFailed("a", 1, "no"), e.TaskRetryScheduled("a", 5), after=1)
    history.tell(e.TaskStarted("a", 2), after=5)
    history.tell(e.AttemptInterrupted("a", 2, "halted"), e.TaskStarted("a", 3), after=1)
    history.tell(e.TaskCompleted("a", 3), after=1)
    [row] = told(history).rows
    assert [(bar.attempt, bar.start, bar.end, bar.status) for bar in row.bars] == [
        (1, 0, 1, "failed"),
        (2, 6, 7, "interrupted"),
        (3, 7, 8, "completed"),
    ]
    assert told(history).critical == row.bars


def test_waiting_for_a_person_is_a_bar() -> None:
    history = tell({"tasks": [{"id": "q", "agent": "human", "prompt": "Go?"}]}, e.TaskStarted("q", 1))
    history.tell(e.CheckpointReached("q@1", "q", 1, "Go?", "hash"), after=1)
    assert told(history, BEGIN + 31).rows[0].bars[-1] == Bar("q", 1, 1, 31, "awaiting_approval")
    history.tell(e.CheckpointApproved("q@1", "hash"), e.TaskStarted("q", 2), after=60)
    history.tell(e.TaskCompleted("q", 2), after=1)
    assert [(bar.seconds, bar.status) for bar in told(history).critical] == [
        (1, "completed"),
        (60, "awaiting_approval"),
        (1, "completed"),
    ]


def test_time_in_which_nobody_ran_the_session_is_cut_out() -> None:
    history = tell(plan(a=[], b=["a"]), e.TaskStarted("a", 1))
    history.tell(e.TaskCompleted("a", 1), e.RunEnded(1, "stopped"), after=2)
    history.tell(e.RunStarted(2, 1, "host", True), e.TaskStarted("b", 1), after=86400)
    history.tell(e.TaskProgressed("b", 1, "half"), after=3)
    history.tell(e.AttemptInterrupted("b", 1, "died", crashed=True), after=3600)  # found dead an hour later
    history.tell(e.RunStarted(3, 1, "host", True), e.TaskStarted("b", 2), after=1)
    history.tell(e.TaskCompleted("b", 2), after=4)
    result = told(history)
    assert result.breaks == (Break(2, 86400), Break(5, 3601))
    assert [(bar.start, bar.end) for row in result.rows for bar in row.bars] == [(0, 2), (2, 5), (5, 9)]


def test_a_clock_that_goes_back_makes_no_negative_bars() -> None:
    history = tell(plan(a=[]), e.TaskStarted("a", 1))
    history.tell(e.TaskCompleted("a", 1), after=-100)
    assert told(history).rows[0].bars == (Bar("a", 1, 0, 0, "completed"),)


def test_lanes_are_phases_in_the_order_in_which_they_began_else_agents() -> None:
    tasks = [
        {"id": "late", "command": "true", "phase": "p2"},
        {"id": "early", "command": "true", "phase": "p1"},
        {"id": "free", "agent": "simulated", "prompt": "x"},
    ]
    phases = [{"id": "p2", "title": "Two"}, {"id": "p1"}]
    history = tell({"tasks": tasks, "phases": phases}, e.TaskStarted("early", 1))
    history.tell(e.TaskStarted("free", 1), e.TaskStarted("late", 1), after=1)
    assert {lane.title for lane in told(history).lanes} == {"p1", "Two", "no phase"}
    assert told(history).lanes[0].title == "p1"
    agents = tell({"tasks": [{"id": "a", "command": "true"}, tasks[2]]}, e.TaskStarted("free", 1))
    agents.tell(e.TaskStarted("a", 1), after=1)
    assert [lane.title for lane in told(agents).lanes] == ["simulated", "shell"]


def test_what_was_not_started_is_counted() -> None:
    history = tell(plan(a=[], b=["a"], c=[]), e.TaskCompleted("a", 0, reused_from="other"), e.TaskStarted("b", 1))
    result = told(history)
    assert (result.taken_over, result.not_started) == (1, 1)
    assert timeline([], Plan.model_validate(plan(a=[]))) == Timeline("Untitled plan", (), 0.0, (), (), 0, 1)


@given(histories())
def test_of_any_history(history: History) -> None:
    if history.state.plan is None:
        return
    result = told(history)
    bars = [bar for row in result.rows for bar in row.bars]
    started = sum(isinstance(record.event, e.TaskStarted) for record in history.records)
    assert sum(bar.status != "awaiting_approval" for bar in bars) == started
    assert all(0 <= bar.start <= bar.end <= result.length for bar in bars)
    assert all(before.end <= after.start for before, after in zip(result.critical, result.critical[1:], strict=False))
    assert not bars or result.critical[-1].end == result.length
    assert len(set(result.critical)) == len(result.critical)
