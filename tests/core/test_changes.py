"""Differences between plans (A11: twelve kinds of edit, each of them seen)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.models import Plan
from tests.plans import PLANS

BASE: dict[str, Any] = {
    "title": "Review",
    "params": {"target": "."},
    "tasks": [
        {"id": "a", "agent": "human", "prompt": "What?"},
        {"id": "b", "command": ["x"], "dependencies": ["a"], "parameters": {"n": 1}},
        {"id": "c", "command": ["y"], "dependencies": ["a"]},
    ],
}


def edited(edit: Callable[[dict[str, Any]], Any]) -> Plan:
    raw = copy.deepcopy(BASE)
    edit(raw)
    return Plan.model_validate(raw)


EDITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "dependency": (lambda p: p["tasks"][1].update(dependencies=["a", "c"]), '~ b.dependencies: ["a"] -> ["a", "c"]'),
    "kind of dependency": (
        lambda p: p["tasks"][1].update(dependencies=[{"task": "a", "kind": "sequential"}]),
        '~ b.dependencies: ["a"] -> [{"task": "a", "kind": "sequential"}]',
    ),
    "prompt": (lambda p: p["tasks"][0].update(prompt="Who?"), "~ a.prompt: What? -> Who?"),
    "id": (lambda p: p["tasks"][2].update(id="d"), "- c\n+ d"),
    "command": (lambda p: p["tasks"][1].update(command=["z"]), '~ b.command: ["x"] -> ["z"]'),
    "agent": (lambda p: p["tasks"][0].update(agent="simulated"), "~ a.agent: human -> simulated"),
    "parameter of a task": (
        lambda p: p["tasks"][1].update(parameters={"n": 2}),
        '~ b.parameters: {"n": 1} -> {"n": 2}',
    ),
    "type of a parameter": (
        lambda p: p["tasks"][1].update(parameters={"n": True}),
        '~ b.parameters: {"n": 1} -> {"n": true}',
    ),
    "timeout": (lambda p: p["tasks"][2].update(timeout=5), "~ c.timeout: nothing -> 5.0"),
    "task added": (lambda p: p["tasks"].append({"id": "d", "command": "x"}), "+ d"),
    "task removed": (lambda p: p["tasks"].pop(), "- c"),
    "order": (lambda p: p["tasks"].reverse(), "~ order of the tasks"),
    "declared parameter": (lambda p: p["params"].update(target="src"), "~ params: "),
    "title": (lambda p: p.update(title="Other"), "~ title: Review -> Other"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_row_A11_every_kind_of_edit_is_seen_and_named(kind: str) -> None:
    edit, line = EDITS[kind]
    diff = differences(Plan.model_validate(BASE), edited(edit))
    assert diff
    assert line in str(diff)
    assert len(str(diff).splitlines()) == len(line.splitlines())


def test_equal_plans_have_no_differences() -> None:
    diff = differences(Plan.model_validate(BASE), Plan.model_validate(copy.deepcopy(BASE)))
    assert not diff
    assert str(diff) == ""


def test_a_task_with_another_id_is_another_task() -> None:
    diff = differences(edited(lambda p: None), edited(EDITS["id"][0]))
    assert (diff.added, diff.removed, diff.changed, diff.plan) == (("d",), ("c",), {}, ())


def test_long_and_hostile_values_are_shown_short_and_safe() -> None:
    diff = differences(edited(lambda p: None), edited(lambda p: p["tasks"][0].update(prompt="\x1b[31m" + "x" * 500)))
    assert str(diff).startswith(r"~ a.prompt: What? -> \x1b[31mxxx")
    assert len(str(diff)) < 120


@given(PLANS, PLANS)
@settings(max_examples=50)
def test_no_difference_means_an_equal_plan(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = Plan.model_validate(one), Plan.model_validate(other)
    assert differences(first, second) or first == second
    assert not differences(first, Plan.model_validate_json(first.model_dump_json()))
