"""Parameters: conversion, defaults, and all faults at once."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given

from orchestrator_nb.core.models import Param, Plan
from orchestrator_nb.core.params import fault_of_value, resolve
from orchestrator_nb.errors import ParameterError
from tests.plans import VALUES


def params(**declared: Any) -> dict[str, Param]:
    return Plan.model_validate({"params": declared}).params


def test_defaults_fill_what_is_not_given() -> None:
    assert resolve(params(a=1, b="x", c={"default": None}), {"b": "y"}) == {"a": 1, "b": "y", "c": None}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("str", "12", "12"),
        ("str", "", ""),
        ("path", "data/x.csv", "data/x.csv"),
        ("int", " 12 ", 12),
        ("int", "-3", -3),
        ("float", "1e3", 1000.0),
        ("float", "2", 2.0),
        ("bool", "true", True),
        ("bool", "Off", False),
        ("bool", "1", True),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", "null", None),
        ("json", "plain words", "plain words"),
    ],
)
def test_text_from_a_command_line_is_converted(kind: str, text: str, value: Any) -> None:
    converted = resolve(params(x={"type": kind}), {"x": text})["x"]
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        ("int", "x", "must be a whole number, not 'x'"),
        ("int", "1.5", "must be a whole number"),
        ("int", "9" * 5000, "must be a whole number"),
        ("int", 1.5, "must be a whole number"),
        ("int", True, "must be a whole number"),
        ("float", "nan", "finite"),
        ("float", "1e999", "finite"),
        ("float", "x", "must be a number"),
        ("bool", "maybe", "must be true or false"),
        ("bool", 1, "must be true or false"),
        ("json", "{", "must be JSON"),
        ("json", "[" * 100_000, "must be JSON"),
        ("json", "[NaN]", "finite"),
        ("json", {"a": object()}, "object is no JSON value"),
        ("str", 3, "must be text"),
        ("str", "a\0b", "NUL"),
        ("str", "\ud800", "Unicode"),
        ("path", "", "must be a path"),
    ],
)
def test_what_has_the_wrong_type_is_refused(kind: str, value: Any, complaint: str) -> None:
    with pytest.raises(ParameterError, match="parameter 'x' ") as caught:
        resolve(params(x={"type": kind}), {"x": value})
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 200


def test_all_faults_come_at_once() -> None:
    declared = params(target={"help": "Folder to read"}, count=3, mode={"default": "fast", "choices": ["fast", "slow"]})
    with pytest.raises(ParameterError) as caught:
        resolve(declared, {"tagret": "x", "count": "many", "mode": "slwo"})
    assert str(caught.value).splitlines() == [
        "unknown parameter 'tagret'; did you mean 'target'?",
        "parameter 'target' has no value (Folder to read); give text with -p target=VALUE",
        "parameter 'count' must be a whole number, not 'many'",
        "parameter 'mode' must be one of fast, slow, not 'slwo'; did you mean 'slow'?",
        "parameters of this plan: target, count, mode",
    ]


def test_choices_are_compared_after_conversion_and_by_type() -> None:
    declared = params(n={"type": "int", "choices": [1, 2]}, j={"type": "json", "choices": [1, "a"]})
    assert resolve(declared, {"n": "2", "j": "a"}) == {"n": 2, "j": "a"}
    with pytest.raises(ParameterError, match="one of 1, a"):
        resolve(declared, {"n": 1, "j": True})


@given(VALUES)
def test_typed_values_are_taken_as_they_are(value: Any) -> None:
    assert resolve(params(x={"type": "json"}), {"x": value}, typed=True)["x"] is value


def test_typed_text_is_no_number() -> None:
    with pytest.raises(ParameterError, match="whole number"):
        resolve(params(x={"type": "int"}), {"x": "3"}, typed=True)
    assert resolve(params(x={"type": "path"}), {"x": PurePosixPath("a/b")}, typed=True) == {"x": "a/b"}


def test_values_that_json_cannot_hold() -> None:
    assert fault_of_value({"a": [1, "x", None, True, 2.5]}) is None
    assert "64 bits" in (fault_of_value([2**64]) or "")
    assert "finite" in (fault_of_value(float("inf")) or "")
    assert "set is no JSON value" in (fault_of_value({"a": {1}}) or "")
