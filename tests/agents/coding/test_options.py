from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.coding.options import NAMES, Options, options_of
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Level


def test_the_defaults_write_contained_and_are_asked_nothing() -> None:
    options = options_of({}, "claude")
    assert (options.level, options.network, options.containment, options.recovery) == ("edit", True, None, "never")
    assert options.allowed == ()


def test_options_are_called_as_plans_call_them() -> None:
    assert "schema" in NAMES
    assert "answer_schema" not in NAMES
    assert options_of({"schema": {"type": "object"}}, "codex").answer_schema == {"type": "object"}


@pytest.mark.parametrize(("given", "network"), [("on", True), ("off", False), (True, True), (False, False)])
def test_the_network_is_on_or_off(given: Any, network: bool) -> None:
    assert options_of({"network": given}, "claude").network is network


def test_directories_begin_where_the_plan_does() -> None:
    options = Options(directories=("data", "/srv/data"))
    assert options.granted(Path("/plan")) == (Path("/plan/data"), Path("/srv/data"))


def test_a_list_of_what_may_be_granted() -> None:
    assert options_of({"recovery": ["full", "data"], "sandbox": "landlock"}, "claude").allowed == ("full", "data")
    assert options_of({"sandbox": "landlock"}, "claude").containment is Level.LANDLOCK


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"turnlimit": 3}, "parameter 'turnlimit' of a claude task is unknown; did you mean 'turn_limit'?"),
        ({"turn_limit": 0}, "parameter 'turn_limit' of a claude task"),
        ({"budget": -1}, "parameter 'budget' of a claude task"),
        ({"sandbox": "docker"}, "parameter 'sandbox' of a claude task"),
        ({"env": ["A-B"]}, "parameter 'env' of a claude task"),
        ({"recovery": ["edti"]}, "`recovery` of a claude task names 'edti'; did you mean 'edit'?"),
    ],
)
def test_what_is_unknown_or_wrong_is_named(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(AgentError) as caught:
        options_of(parameters, "claude")
    assert words in str(caught.value)


def test_values_that_are_not_known_yet_are_passed_over() -> None:
    assert options_of({"level": "${params.level}", "turn_limit": 2}, "claude", starting=False).turn_limit == 2
    with pytest.raises(AgentError, match="level"):
        options_of({"level": "${params.level}"}, "claude")
