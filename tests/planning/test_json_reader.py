"""JSON, strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from orchestrator_nb.planning.json_reader import json_marks, read_json
from orchestrator_nb.planning.marks import MAX_DEPTH, Unreadable
from orchestrator_nb.planning.yaml_reader import read_yaml
from tests.plans import PLANS, VALUES


@given(PLANS | VALUES)
@settings(max_examples=40)
def test_reads_what_json_writes_and_marks_it_as_the_yaml_reader_does(data: Any) -> None:
    text = json.dumps(data, indent=1)
    assert read_json(text) == (data, [])
    _, marks, _ = read_yaml(text)
    assert json_marks(text) == marks


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ('{"a": 1,\n "a": 2}', "the key 'a' is doubled", 2),
        ('{"a":\n NaN}', "a: numbers must be finite", 1),
        ('{"a": [1,\n Infinity]}', "a[1]: numbers must be finite", 2),
        ("[1e999]", "[0]: numbers must be finite", 1),
        ('{"a": 18446744073709551616}', "64 bits", 1),
        ('{"a": ' + "1" * 5000 + "}", "64 bits", 1),
        ('{"a": "\\ud800"}', "valid Unicode", 1),
        ('{"a": "\\u0000"}', "NUL", 1),
        ('{"\\udfff": 1}', "valid Unicode", 1),
    ],
)
def test_what_is_refused_where_it_stands(text: str, message: str, line: int) -> None:
    problems = read_json(text)[1]
    assert [(problem.line, message in problem.message) for problem in problems] == [(line, True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("{'a': 1}", "is not JSON"),
        ("[1,]", "is not JSON"),
        ("[1] x", "is not JSON"),
        ("[" * 100_000, "levels deep"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "levels deep"),
        ("[" + "1," * 200_000 + "1]", "holds more than"),
    ],
)
def test_where_reading_stops(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_json(text)
    assert message in caught.value.problem.message


def test_commas_in_text_are_no_values() -> None:
    text = json.dumps([", " * 400_000])
    assert read_json(text)[1] == []
