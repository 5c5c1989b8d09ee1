from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.human import answer_for, fault_of_schema
from orchestrator_nb.core.ports import Checkpoint
from orchestrator_nb.errors import AgentError
from tests.agents.lab import Lab

CHOICE = {"type": "object", "properties": {"go": {"type": "boolean"}}, "required": ["go"]}


def test_it_asks_until_it_is_answered(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    asked = lab.run(agent="human", prompt="Ship it?", parameters={"schema": CHOICE}).outcome
    assert asked == Checkpoint("Ship it?", CHOICE)
    assert lab.succeed(agent="human", prompt="Ship it?", parameters={"schema": CHOICE}, answer={"go": True}) == {
        "go": True
    }


def test_an_answer_without_a_form_is_text(tmp_path: Path) -> None:
    execution = Lab(tmp_path).run(agent="human", prompt="Why?", answer="because")
    assert (execution.outcome.value, execution.format) == ("because", "text")  # type: ignore[union-attr]


def test_an_answer_of_another_form_fails(tmp_path: Path) -> None:
    failure = Lab(tmp_path).fail(agent="human", prompt="?", parameters={"schema": CHOICE}, answer={"go": "maybe"})
    assert failure.kind == "answer"
    assert "'maybe' is not of type 'boolean' - at $.go" in failure.error


@pytest.mark.parametrize(
    ("schema", "answer", "value"),
    [
        ({"type": "integer"}, "3", 3),
        ({"type": "integer"}, 3, 3),
        ({"type": "string"}, "3", "3"),
        ({}, "3", "3"),
        (CHOICE, '{"go": false}', {"go": False}),
        ({"enum": ["a", "b"]}, "a", "a"),
    ],
)
def test_text_is_read_as_json_where_only_that_fits(schema: dict[str, Any], answer: Any, value: Any) -> None:
    assert answer_for(schema, answer) == value


@pytest.mark.parametrize("answer", ["three", "[", "[" * 100_000, None, 3.5])
def test_what_does_not_fit_is_refused(answer: Any) -> None:
    with pytest.raises(AgentError, match="does not have the form asked for"):
        answer_for({"type": "integer"}, answer)


def test_a_schema_never_fetches_anything() -> None:
    with pytest.raises(AgentError, match="refers to what is not in it"):
        answer_for({"$ref": "http://127.0.0.1:9/schema.json"}, 1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "asks nothing: say what in `prompt`"),
        ({"prompt": "?", "parameters": {"shema": {}}}, "did you mean 'schema'?"),
        ({"prompt": "?", "parameters": {"schema": [1]}}, "must be a JSON Schema: an object"),
        ({"prompt": "?", "parameters": {"schema": {"type": "strnig"}}}, "is no JSON Schema: 'strnig'"),
    ],
)
def test_a_bad_question_is_found_before_the_run(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    lab = Lab(tmp_path)
    assert words in (lab.preflight(agent="human", **fields) or "")
    assert lab.fail(agent="human", **fields).kind == "preflight"
    assert fault_of_schema(CHOICE) is None
