"""Planners' answers: every kind of right and wrong, each with its verdict (row E8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.models import Plan
from orchestrator_nb.planning.breakdown import Answer, TaskBreakdown, Terms, read_answer
from orchestrator_nb.planning.rights import Rights
from tests.planning.answers import CASES, GOOD, Case, answer, plan, task

CLAUDE = Rights(agents=("claude",))


def read(said: Any, base: Path, rights: Rights = CLAUDE, earlier: Plan | None = None) -> Answer:
    return read_answer(said, Terms(rights, base, Registry(), earlier))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_row_E8_every_kind_of_answer_gets_its_verdict(case: Case, tmp_path: Path) -> None:
    told = read(case.answer, tmp_path)
    errors = [str(fault) for fault in told.errors]
    assert (told.breakdown is None) == bool(case.fault), errors
    if case.fault:
        assert any(case.fault in error for error in errors), errors
    if case.warning:
        assert any(case.warning in str(fault) for fault in told.warnings)


def test_row_E8_there_are_forty_of_them() -> None:
    assert len([case for case in CASES if case.fault]) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


def test_all_that_is_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    said = "Here:\n" + answer(task(agent="codex", promt="x"), task("B", dependencies=["C"]), constraint=[])
    told = read(said, tmp_path)
    lines = {fault.message: fault.line for fault in told.errors}
    assert lines["unknown key 'promt'"] == next(n for n, line in enumerate(said.split("\n"), 1) if "promt" in line)
    assert "unknown key 'constraint'" in lines
    assert "unknown dependency 'C'" in lines


def test_the_questions_are_answered_beside_the_plan(tmp_path: Path) -> None:
    told = read(
        answer(goal="g", implicit_requirements=["i"], constraints=["c"], parallel="p", assumptions=["a"]), tmp_path
    )
    assert told.breakdown is not None
    assert told.breakdown.model_dump(exclude={"plan"}) == {
        "goal": "g",
        "implicit_requirements": ("i",),
        "constraints": ("c",),
        "parallel": "p",
        "assumptions": ("a",),
    }
    assert TaskBreakdown.model_validate_json(told.breakdown.model_dump_json()) == told.breakdown


# -- changes -----------------------------------------------------------------------------------------------------------

EARLIER = Plan.model_validate(plan(task("A"), task("B", dependencies=["A"]), {"id": "C", "command": "make"}))


def change(*tasks: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"change": {"tasks": list(tasks), **fields}})


def test_a_change_adds_changes_and_removes(tmp_path: Path) -> None:
    told = read(
        change(task("D", dependencies=["B"]), task("B", prompt="Better."), remove=["C"]), tmp_path, earlier=EARLIER
    )
    assert told.breakdown is not None
    assert [(t.id, t.prompt) for t in told.breakdown.plan.tasks] == [("A", "Do it."), ("B", "Better."), ("D", "Do it.")]


def test_what_was_approved_stays_allowed(tmp_path: Path) -> None:
    assert read(change(task("D")), tmp_path, earlier=EARLIER).breakdown is not None
    again = read(change({"id": "C", "command": "make all"}), tmp_path, earlier=EARLIER)
    assert "has not allowed the command 'make all'" in str(again.errors[0])


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ('{"change": []}', "the change must be a mapping"),
        ('{"change": {}}', "nothing is changed"),
        ('{"change": {"task": []}}', "did you mean 'tasks'?"),
        ('{"change": {"tasks": {}}}', "tasks must be a list"),
        ('{"change": {"remove": [1]}}', "remove must be a list of ids"),
        (change(remove=["Z"]), "remove: no task has the id 'Z'"),
        (change(remove=["A"]), "unknown dependency 'A'"),
        (change(task("A"), remove=["A"]), "'A' is changed and removed"),
        (change(task("A", dependencies=["B"])), "Invalid Topology: Task A depends on future task B"),
        (change(task("D"), task("D")), "the id 'D' is used twice"),
        (change("D"), "a task must be a mapping"),  # type: ignore[arg-type]
        (json.dumps({"plan": plan()}), "has the key 'change'"),
    ],
)
def test_a_change_that_cannot_be(said: str, fault: str, tmp_path: Path) -> None:
    told = read(said, tmp_path, earlier=EARLIER)
    assert told.breakdown is None
    assert any(fault in str(error) for error in told.errors), told.errors


# -- nothing crashes ---------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ['{"plan":', '{"tasks":[', '{"id":"a"', '"', "}", "]", "```json\n", ",", "NaN", "\\", "{", "1e999", ":"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["plan", "tasks", "id", "agent", "prompt", "dependencies", "goal", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=10), max_size=40).map("".join) | JSON)
def test_row_E8_whatever_is_answered_there_is_a_verdict(said: Any) -> None:
    told = read(said, Path("/"))
    assert (told.breakdown is None) == bool(told.errors)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.text(max_size=3))
def test_row_E8_a_plan_with_a_hole_is_never_half_a_plan(start: int, end: int, put: str) -> None:
    said = GOOD[:start] + put + GOOD[max(start, end) :]
    told = read(said, Path("/"))
    assert (told.breakdown is None) == bool(told.errors)
    if told.breakdown is not None:
        assert len(told.breakdown.plan) == 2
