"""Whole runs under faults that are no crash: changed plans, lost workspaces, two writers, answers that race."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import CommandRefused, PlanChanged, SessionLocked, StorageError
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)


def plan(*tasks: dict[str, Any], **fields: Any) -> Plan:
    return Plan.model_validate({"tasks": list(tasks), **fields})


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for `condition`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def checkpoint_open(run: Run) -> bool:
    with run.state() as state:
        return bool(state.open_checkpoints)


# -- A10, D7: approvals ------------------------------------------------------------------------------------------------


def test_row_A10_an_approval_without_its_event_is_none(settings: Settings) -> None:
    """A halted run stays halted and unapproved until a person says otherwise; what was answered stays answered."""
    run = Orchestrator(settings).run(
        plan({"id": "q", "agent": "human", "prompt": "Go?"}, {"id": "t", "command": "true"})
    )
    until(lambda: checkpoint_open(run))
    run.halt()
    run.wait(10)
    session = Session.open(run.id, settings)
    assert session.status == "halted"
    assert [c.approved for c in session.state.checkpoints.values()] == [None]
    session.tell("approve", checkpoint="q")
    assert Session.open(run.id, settings).state.checkpoints["q@1"].approved is True
    with pytest.raises(CommandRefused, match="approved already"):
        session.tell("reject", checkpoint="q", reason="too late")
    resumed = Orchestrator(settings).resume(run.id).wait(10)
    assert resumed.status == "completed"


def test_row_D7_the_first_durable_answer_wins(settings: Settings) -> None:
    count = 12
    questions = [{"id": f"q{i:02}", "agent": "human", "prompt": "Go?"} for i in range(count)]
    run = Orchestrator(settings).run(plan(*questions))

    def all_open() -> bool:
        with run.state() as state:
            return len(state.open_checkpoints) == count

    until(all_open)
    answers: list[tuple[str, str]] = []

    def client(verb: str) -> None:
        session = Session.open(run.id, settings)
        for question in questions:
            try:
                session.tell(verb, checkpoint=question["id"], **({"reason": "no"} if verb == "reject" else {}))
                answers.append((question["id"], verb))
            except CommandRefused:
                pass

    threads = [threading.Thread(target=client, args=(verb,)) for verb in ("approve", "reject")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.wait(20)
    decided = [r.event for r in Session.open(run.id, settings).records() if "Checkpoint" in type(r.event).__name__]
    decisions = [event for event in decided if isinstance(event, e.CheckpointApproved | e.CheckpointRejected)]
    assert len(decisions) == len({event.checkpoint for event in decisions}) == count
    assert len(answers) == count  # each was told to exactly one client
    accepted = {
        (event.checkpoint[:3], "approve" if isinstance(event, e.CheckpointApproved) else "reject")
        for event in decisions
    }
    assert accepted == set(answers)


# -- A11: a changed plan -----------------------------------------------------------------------------------------------

BEFORE = """\
title: Edited
params:
  name: {default: x}
tasks:
  - id: a
    command: [echo, "${params.name}"]
  - id: b
    dependencies: [a]
    command: "echo b"
    timeout: 30
  - id: stop
    command: "exit 1"
  - id: c
    dependencies: [b]
    prompt: Is it good?
    agent: human
"""
EDITS = {
    "title": ("title: Edited", "title: Changed"),
    "param default": ("default: x", "default: y"),
    "command": ('"echo b"', '"echo c"'),
    "argument": ("[echo,", "[printf,"),
    "prompt": ("Is it good?", "Is it very good?"),
    "dependency": ("dependencies: [b]", "dependencies: [a]"),
    "id": ("- id: stop", "- id: halt"),
    "timeout": ("timeout: 30", "timeout: 31"),
    "new task": ("tasks:\n", "tasks:\n  - {id: new, command: 'true'}\n"),
    "removed task": ('  - id: stop\n    command: "exit 1"\n', ""),
    "retry": ('command: "exit 1"', 'command: "exit 1"\n    retry: 3'),
    "join": ("prompt: Is", "join: all_done\n    prompt: Is"),
}


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings, str]:
    folder = tmp_path_factory.mktemp("edited")
    settings = Settings(workspace=folder / "sessions", grace=0.5)
    file = folder / "plan.yaml"
    file.write_text(BEFORE)
    run = Orchestrator(settings).run(str(file))
    until(lambda: checkpoint_open(run))
    run.halt()
    run.wait(10)
    return file, settings, run.id


@pytest.mark.parametrize("edit", EDITS)
def test_row_A11_a_changed_plan_is_refused_with_the_difference(halted: tuple[Path, Settings, str], edit: str) -> None:
    file, settings, session = halted
    old, new = EDITS[edit]
    assert old in BEFORE
    file.write_text(BEFORE.replace(old, new, 1))
    before = Session.open(session, settings).state.seq
    with pytest.raises(PlanChanged, match="accept-changes") as refusal:
        Orchestrator(settings).resume(session)
    assert len(str(refusal.value).splitlines()) >= 3, "the difference is shown"
    assert Session.open(session, settings).state.seq == before, "nothing was written"


def test_row_A11_accepted_changes_run_again_with_what_depends_on_them(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "plan.yaml"
    text = (
        "tasks:\n  - {id: a, command: echo a}\n  - {id: b, command: echo b, dependencies: [a]}\n"
        "  - {id: c, command: echo c, dependencies: [b]}\n  - {id: d, command: echo d}\n"
    )
    file.write_text(text)
    first = Orchestrator(settings).run(str(file)).wait(20)
    file.write_text(text.replace("echo b", "echo B") + "  - {id: e, command: echo e}\n")
    run = Orchestrator(settings).resume(first.id, accept_changes=True).wait(20)
    assert run.status == "completed"
    assert dict(run.results) == {"a": "a", "b": "B", "c": "c", "d": "d", "e": "e"}
    with run.state() as state:
        assert {task.id: task.attempt for task in state.by_index} == {"a": 1, "b": 2, "c": 2, "d": 1, "e": 1}
        assert {task.id: task.number for task in state.by_index} == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


# -- C6, C9: the files of the session ----------------------------------------------------------------------------------


def test_row_C6_derived_files_are_rebuilt_byte_for_byte(settings: Settings) -> None:
    tasks = [{"id": f"t{i}", "command": f"echo {i}"} for i in range(3)] + [{"id": "bad", "command": "exit 1"}]
    run = Orchestrator(settings).run(plan(*tasks)).wait(20)
    session = Session.open(run.id, settings)
    before = snapshot(session.path)
    assert {"session.json", "master_plan.md", "status/t0.json", "agent_tasks/agent-01.md"} <= set(before)

    shutil.rmtree(session.path / "status")
    (session.path / "session.json").write_text("edited by a person")
    (session.path / "master_plan.md").unlink()
    (session.path / "master_plan.md").mkdir()
    (session.path / "logs" / "t0.log").unlink()
    session.rebuild()
    after = snapshot(session.path)
    assert {path: after.get(path) for path in before} == before
    assert after["session.json.edited"] == b"edited by a person"
    session.rebuild()
    assert {path: snapshot(session.path).get(path) for path in before} == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock" and not path.is_relative_to(folder / "control")
    }


@pytest.mark.parametrize("fault", ["deleted", "moved"])
def test_row_C9_a_workspace_that_goes_away_ends_the_run(settings: Settings, tmp_path: Path, fault: str) -> None:
    run = Orchestrator(settings).run(plan({"id": "t", "command": "sleep 60"}))
    until(lambda: _running(run))
    if fault == "deleted":
        while run.path.exists():  # it is being written meanwhile
            shutil.rmtree(run.path, ignore_errors=True)
    else:
        run.path.rename(tmp_path / "elsewhere")
    begin = time.monotonic()
    with pytest.raises(StorageError):
        run.wait(15)
    assert time.monotonic() - begin < 10
    assert run.status == "error"


def _running(run: Run) -> bool:
    with run.state() as state:
        return any(task.process is not None for task in state.by_index)


# -- D1: one writer ----------------------------------------------------------------------------------------------------


def test_row_D1_a_second_coordinator_names_the_first(settings: Settings) -> None:
    run = Orchestrator(settings).run(plan({"id": "q", "agent": "human", "prompt": "?"}))
    until(lambda: checkpoint_open(run))
    with pytest.raises(SessionLocked, match=r"process \d+"):
        Orchestrator(settings).resume(run.id)
    run.approve("q")
    assert run.wait(10).status == "completed"


# -- A16: clocks -------------------------------------------------------------------------------------------------------


def test_row_A16_a_jumping_wall_clock_moves_no_deadline_and_no_order() -> None:
    import random

    from tests.simulation import World

    tasks = [{"id": f"t{i}", "function": "m:f", "retry": {"attempts": 3, "delay": 5}} for i in range(20)]
    ends = []
    for jumps in ([0.0], [0.0, 3600.0, -3600.0, 86_400.0]):
        world, dice = World(3, plan(*tasks)), random.Random(1)
        world.clock = lambda jumps=jumps, dice=dice: 1e9 + dice.choice(jumps)
        assert world.live() in ("completed", "failed")
        ends.append((world.end, [type(r.event).__name__ for r in world.log.records]))
        assert [r.seq for r in world.log.records] == list(range(1, len(world.log.records) + 1))
    assert ends[0] == ends[1]


# -- I1, I4: many tasks ------------------------------------------------------------------------------------------------


def noop() -> None:
    """Nothing."""


def test_row_I1_and_I4_ten_thousand_tasks_run_and_open_again(settings: Settings) -> None:
    tasks = [{"id": f"t{i}", "function": ":noop"} for i in range(10_000)]
    run = Orchestrator(settings).run(plan(*tasks, limits={"max_parallel": 16}), functions={":noop": noop, "noop": noop})
    run.wait(60)
    assert run.status == "completed"
    with run.state() as state:
        assert state.counts["completed"] == 10_000
    begin = time.monotonic()
    session = Session.open(run.id, settings)
    assert session.status == "completed"
    assert time.monotonic() - begin < 10  # a loose bound: the figure is in the benchmarks
    assert threading.active_count() <= 40, "no thread a task"
