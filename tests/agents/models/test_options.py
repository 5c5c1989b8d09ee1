"""Options of model tasks."""

from __future__ import annotations

import pytest

from orchestrator_nb.agents.models.options import NAMES, options_of
from orchestrator_nb.errors import AgentError


def test_names_are_as_plans_call_them() -> None:
    assert set(NAMES) == {
        "model", "instructions", "settings", "schema", "tools", "corrections", "env", "base_url", "stall",
    }  # fmt: skip
    assert options_of({"model": "a:b"}).tools == ()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "needs to know which"),
        ({"model": "a:b", "shema": {}}, "did you mean 'schema'?"),
        ({"model": "a:b", "stall": 0}, "parameter 'stall' of a model task"),
        ({"model": "a:b", "tools": ["shell"]}, "parameter 'tools' of a model task"),
    ],
)
def test_wrong_ones_are_named(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(AgentError, match=words.replace("?", r"\?")):
        options_of(parameters)
