from __future__ import annotations

import typing

import msgspec
import pytest

from orchestrator_nb.agents.coding import vocabulary as v


def test_every_event_has_a_tag_of_its_own_and_a_line() -> None:
    kinds = typing.get_args(v.AgentEvent)
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds) == 14
    assert all(kind.__struct_fields__[0] == "line" for kind in kinds)


def test_events_are_frozen_and_read_back() -> None:
    denial = v.PermissionDenied(3, "Write", "/x", "no", "directory", "event", "t1", "/x")
    assert msgspec.json.decode(msgspec.json.encode(denial), type=v.AgentEvent) == denial
    with pytest.raises(AttributeError):
        denial.line = 4  # type: ignore[misc]


def test_an_unknown_price_is_none() -> None:
    assert v.Usage(1, 5, 5).cost is None
    assert b"cost" not in msgspec.json.encode(v.Usage(1, 5, 5))


def test_long_texts_are_shortened_in_their_middle() -> None:
    text = "a" * 6000 + "b" * 6000
    short = v.shortened(text)
    assert len(short) < v.LONGEST + 100
    assert short.startswith("aaa")
    assert short.endswith("bbb")
    assert "4000 characters left out" in short
    assert v.shortened("as it is") == "as it is"
