"""YAML as a plan needs it: what is text stays text, nothing can blow up, every fault has its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from orchestrator_nb.planning.marks import MAX_DEPTH, Unreadable
from orchestrator_nb.planning.yaml_reader import read_yaml
from tests.plans import PLANS, VALUES


def value(text: str) -> Any:
    found, _, problems = read_yaml(text)
    assert not problems
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-1", -1),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-0.5E-2", -0.005),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("''", ""),
        ('"1"', "1"),
        ("'true'", "true"),
        ("|\n  1\n", "1\n"),
        ("123456789012345678901", "123456789012345678901"),
    ],
)
def test_plain_scalars_are_what_json_has(text: str, expected: Any) -> None:
    if expected == text:
        assert "64 bits" in read_yaml(f"a: {text}")[2][0].message
    else:
        found = value(f"a: {text}")["a"]
        assert found == expected
        assert type(found) is type(expected)


def test_nothing_is_null_and_keys_are_text() -> None:
    assert value("a:\nno: 1\n012: 2\n1: 3\ntrue: 4\n2025-01-01: 5") == {
        "a": None, "no": 1, "012": 2, "1": 3, "true": 4, "2025-01-01": 5,
    }  # fmt: skip


@given(PLANS | VALUES)
@settings(max_examples=40)
def test_json_is_yaml(data: Any) -> None:
    assert read_yaml(json.dumps(data))[0] == data


@pytest.mark.parametrize(
    "text", ["no", "012", "1_000", "12:30:45", "2025-01-01", "0x1F", ".inf", ".5", "+1", "1.", "0o7"]
)
def test_everything_else_is_text(text: str) -> None:
    assert value(f"a: {text}") == {"a": text}


def test_marks_lead_to_lines() -> None:
    _, marks, _ = read_yaml("a: 1\nb:\n  - x\n  - c: 2\n    d: [3,\n      4]\n")
    places = {("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "d"): 5, ("b", 1, "d", 1): 6}
    assert {path: marks.at(path).line for path in places} == places
    assert marks.at(("b", 1, "d", 1)).column == 7
    assert marks.at(("b", 9, "x")).line == 2  # the nearest thing around


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: &x 1", "the anchor &x is not allowed", 1),
        ("a: 1\nb: *x", "the alias *x is not allowed", 2),
        ("a: !!str 1", "the tag tag:yaml.org,2002:str is not allowed", 1),
        ("a: !own [1]", "the tag !own is not allowed", 1),
        ("a: ! x", "the tag ! is not allowed", 1),
        ("a: 1\n<<: {b: 1}", "merge keys (<<) are not allowed", 2),
        ("a: 1\nb: 2\na: 3", "the key 'a' is doubled", 3),
        ("a: 1e999", "numbers must be finite", 1),
        ("a:\n  &k b: 1", "the anchor &k is not allowed", 2),
    ],
)
def test_what_is_refused_where_it_stands(text: str, message: str, line: int) -> None:
    problems = read_yaml(text)[2]
    assert [problem.line for problem in problems] == [line]
    assert message in problems[0].message
    assert problems[0].remedy


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "is empty", 0),
        ("# nothing", "is empty", 0),
        ("a: 1\n---\nb: 2", "more than one document", 2),
        ("? [a]\n: 1", "cannot be a key", 1),
        ("a: 1\n*x : 2", "an alias cannot be a key", 2),
        ("a: b: c", "mapping values are not allowed", 1),
        ("a: [1", "is not YAML", 2),
        ("a:\n\t- b", "is not YAML", 2),
        ("a: 1\nb: \x07", "character that YAML does not allow", 2),
        ("[" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels", 1),
    ],
)
def test_where_reading_stops(text: str, message: str, line: int) -> None:
    with pytest.raises(Unreadable) as caught:
        read_yaml(text)
    assert message in caught.value.problem.message
    assert caught.value.problem.line == line


def test_depth_is_allowed_up_to_the_limit() -> None:
    assert value("[" * MAX_DEPTH + "]" * MAX_DEPTH)
