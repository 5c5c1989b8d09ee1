"""The published JSON Schema accepts what the loader accepts, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.planning.schema import plan_schema
from tests.plans import PLANS, spoilt_plans

SCHEMA = plan_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

GOOD: list[dict[str, Any]] = [
    {"tasks": [{"id": "a", "command": "x"}]},
    {"tasks": {"a": {"command": ["x"]}, "b/c": None}},
    {"params": {"a": None, "b": 1, "c": [1], "d": {"type": "path"}}, "merge": "concatenate"},
    {"tasks": [{"id": "a", "retry": 3, "result": "sarif", "inputs": ["a", "a"], "dependencies": ["b", {"task": "c"}]}]},
    {"tasks": [{"id": "a", "retry": 3.0, "timeout": 1, "priority": None, "fallback": {"command": "x"}}]},
    *[{"tasks": [{"id": "a", "keep_kernel_on_error": kept}]} for kept in (60, 0.5, "90", "1h", "1d1.5h30m5s", "0h1s")],
]
BAD: list[dict[str, Any]] = [
    {"tasks": [{"id": "../a"}]},
    {"tasks": [{"id": "a\n"}]},
    {"tasks": [{"id": "con"}]},
    {"tasks": [{"command": "x"}]},
    {"tasks": {"a": {"id": "a"}}},
    {"tasks": {"a b": None}},
    {"tasks": [{"id": "a", "gates": []}]},
    {"tasks": [{"id": "a", "retry": True}]},
    {"tasks": [{"id": "a", "retry": 0}]},
    {"tasks": [{"id": "a", "timeout": "60"}]},
    *[
        {"tasks": [{"id": "a", "keep_kernel_on_error": kept}]}
        for kept in (0, -1, 1e9, True, "", "0s", "1 h", "1H", "1x", "1h\n", "5m1h", "1000h", "-1s")
    ],
    {"tasks": [{"id": "a", "outputs": ["../x"]}]},
    {"tasks": [{"id": "a", "outputs": ["x\n"]}]},
    {"tasks": [{"id": "a", "inputs": {"a b": "x"}}]},
    {"params": {"a-b": 1}},
    {"params": {"a": {"a": 1}}},
    {"limits": {"max_parallel": 0}},
    {"title": None},
]


def accepted(raw: Any) -> bool:
    try:
        Plan.model_validate(copy.deepcopy(raw))
    except ValidationError:
        return False
    return True


def test_the_schema_is_a_good_one_and_says_what_keys_mean() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    assert SCHEMA["$id"]
    assert SCHEMA["additionalProperties"] is False
    task = SCHEMA["$defs"]["Task"]["properties"]
    assert set(task) == set(Task.model_fields)
    assert all(rule.get("description") for rule in task.values())
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("raw", GOOD)
def test_good_plans(raw: dict[str, Any]) -> None:
    assert accepted(raw)
    assert VALIDATOR.is_valid(raw)


@pytest.mark.parametrize("raw", BAD)
def test_bad_plans(raw: dict[str, Any]) -> None:
    assert not accepted(raw)
    assert not VALIDATOR.is_valid(raw)


@given(PLANS)
@settings(max_examples=40)
def test_every_plan_of_the_grammar_is_accepted_by_both(raw: dict[str, Any]) -> None:
    assert accepted(raw)
    assert VALIDATOR.is_valid(raw), next(VALIDATOR.iter_errors(raw))


@given(spoilt_plans())
@settings(max_examples=100)
def test_both_agree_on_plans_that_are_slightly_wrong(raw: Any) -> None:
    assert accepted(raw) == VALIDATOR.is_valid(raw)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(spoilt_plans())
@settings(max_examples=5_000, derandomize=False)
def test_both_agree_on_thousands_of_plans(raw: Any) -> None:
    assert accepted(raw) == VALIDATOR.is_valid(raw)
