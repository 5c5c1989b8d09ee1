"""Task ids: one grammar, safe as paths everywhere (C7: `tests/faults/test_inputs.py`)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.core.ids import (
    ID_PATTERN,
    MAX_ID,
    MAX_SEGMENT,
    NAME_PATTERN,
    agent_label,
    did_you_mean,
    fault_of_id,
    is_identifier,
    nearest,
)
from tests.plans import IDS

DEVICES = ("con", "prn", "aux", "nul")


@pytest.mark.parametrize(
    "good", ["T-01", "a", "9", "01-analysis/02-categorize-failures", "a.b", "x_y", "A/b/c", "console", "com", "a..b"]
)
def test_good_ids(good: str) -> None:
    assert fault_of_id(good) is None


def test_limits_count_the_whole_and_its_parts() -> None:
    assert fault_of_id("/".join(["a" * MAX_SEGMENT] * 2)) is None
    assert "80" in (fault_of_id("a" * (MAX_SEGMENT + 1)) or "")
    assert "200" in (fault_of_id("/".join(["abcdefghi"] * 21)) or "")
    assert fault_of_id("/".join(["abcdefghi"] * 20)) is None
    assert MAX_ID == 200


@given(IDS | st.text(max_size=12) | st.sampled_from(["con", "a/nul.x", "COM1", "lpt10", "a\n", "x/", "." * 3]))
def test_published_patterns_say_the_same_as_the_checks(text: str) -> None:
    assert (re.search(ID_PATTERN, text) is not None and len(text) <= MAX_ID) == (fault_of_id(text) is None)
    assert (re.search(NAME_PATTERN, text) is not None) == is_identifier(text)


@given(IDS)
def test_every_id_of_the_grammar_is_good_unless_it_names_a_device(task_id: str) -> None:
    stems = {part.partition(".")[0].lower() for part in task_id.split("/")}
    device = any(stem in DEVICES or re.fullmatch("(com|lpt)[0-9]", stem) for stem in stems)
    assert (fault_of_id(task_id) is None) is not device


def test_nearest_names() -> None:
    assert nearest("comand", ["command", "prompt"]) == "command"
    assert nearest("zzz", ["command", "prompt"]) is None
    assert did_you_mean("T-2", ["T-02", "T-10"]) == "; did you mean 'T-02'?"
    assert did_you_mean("zzz", ["a"]) == ""


def test_agents_are_called_as_s1_calls_them() -> None:
    assert [agent_label(number) for number in (1, 10, 123)] == ["Agent-01", "Agent-10", "Agent-123"]
