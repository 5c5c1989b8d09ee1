"""How far a run is, and when it will be done."""

from __future__ import annotations

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections.progress import progress
from tests.histories import BEGIN, tell


def chain(length: int, **fields: object) -> dict[str, object]:
    tasks = [
        {"id": f"t{n}", "command": ["x"], "dependencies": [f"t{n - 1}"] if n else [], **fields} for n in range(length)
    ]
    return {"tasks": tasks, "limits": {"max_parallel": 2}}


def test_nothing_is_known_before_anything_has_ended() -> None:
    history = tell(chain(4))
    now = progress(history.state, BEGIN + 3)
    assert (now.total, now.settled, now.fraction, now.elapsed, now.eta) == (4, 0, 0.0, 3.0, None)
    assert now.counts == {TaskStatus.PENDING: 1, TaskStatus.WAITING: 3}
    empty = progress(State(), BEGIN)
    assert (empty.total, empty.fraction, empty.elapsed, empty.eta, empty.phases) == (0, 0.0, 0.0, None, ())


def test_the_critical_path_decides_when_tasks_are_few() -> None:
    history = tell(chain(4), e.TaskStarted("t0", 1, 1)).tell(e.TaskCompleted("t0", 1, 10.0), after=10)
    history.tell(e.TaskStarted("t1", 1, 2))
    now = progress(history.state, history.at + 4)
    assert now.fraction == 0.25
    assert now.eta == pytest.approx(6 + 10 + 10)


def test_the_work_left_decides_when_tasks_are_many() -> None:
    plan = {"tasks": [{"id": f"t{n}", "command": ["x"]} for n in range(21)], "limits": {"max_parallel": 2}}
    history = tell(plan, e.TaskStarted("t0", 1, 1)).tell(e.TaskCompleted("t0", 1, 3.0), after=3)
    assert progress(history.state, history.at).eta == pytest.approx(20 * 3.0 / 2)


def test_progress_that_a_task_tells_counts() -> None:
    history = tell(chain(2), e.TaskStarted("t0", 1, 1)).tell(e.TaskProgressed("t0", 1, "", 1, 4), after=5)
    now = progress(history.state, history.at)
    assert now.fraction == pytest.approx(0.125)
    history.tell(e.TaskProgressed("t0", 1, "", 3, 4))
    assert progress(history.state, history.at).fraction == pytest.approx(0.375)


def test_simulated_tasks_say_how_long_they_take() -> None:
    history = tell(chain(3, agent="simulated", command=None, parameters={"duration": 2.5}))
    assert progress(history.state, BEGIN).eta == pytest.approx(7.5)


def test_a_retry_is_expected_to_take_as_long_and_waits_first() -> None:
    history = tell(chain(1), e.TaskStarted("t0", 1, 1)).tell(e.TaskFailed("t0", 1, "no", duration=4.0), after=4)
    history.tell(e.TaskRetryScheduled("t0", 5.0))
    assert progress(history.state, history.at).eta == pytest.approx(9.0)


def test_nobody_knows_how_long_a_person_takes_and_an_ended_run_takes_no_time() -> None:
    history = tell(chain(2), e.TaskStarted("t0", 1, 1), e.CheckpointReached("t0@1", "t0", 1, "?", "h"))
    assert progress(history.state, history.at).eta is None
    history = tell(chain(1), e.TaskStarted("t0", 1, 1)).tell(e.TaskCompleted("t0", 1, 2.0), after=2)
    assert progress(history.state, history.at + 100).eta == 0.0
    history.tell(e.RunEnded(1, "completed"), after=1)
    assert progress(history.state, history.at + 100).elapsed == 3.0
    assert progress(history.state, history.at + 100).eta is None


def test_phases_have_s2s_figures() -> None:
    plan = {
        "phases": [{"id": "analysis", "title": "Analysis"}, {"id": "planning"}, {"id": "empty"}],
        "tasks": [
            {"id": "a", "command": ["x"], "phase": "analysis"},
            {"id": "b", "command": ["x"], "phase": "analysis"},
            {"id": "c", "command": ["x"], "phase": "analysis", "dependencies": ["b"]},
            {"id": "d", "command": ["x"], "phase": "planning", "dependencies": ["a"]},
            {"id": "free", "command": ["x"]},
        ],
    }
    history = tell(
        plan, e.TaskStarted("a", 1, 1), e.TaskStarted("b", 1, 1), e.TaskCompleted("a", 1), e.TaskFailed("b", 1, "")
    )
    history.tell(e.TaskFailureSettled("b", "block"), e.TaskBlocked("c", "b"), e.TaskStarted("d", 1, 2))
    first, second, third = progress(history.state, history.at).phases
    assert (first.title, first.total, first.completed, first.failed, first.blocked, first.percent) == (
        "Analysis",
        3,
        1,
        1,
        1,
        33,
    )
    assert (second.id, second.total, second.running, second.waiting, second.percent) == ("planning", 1, 1, 0, 0)
    assert (third.total, third.percent) == (0, 0)
