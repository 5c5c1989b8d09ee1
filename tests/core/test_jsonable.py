from __future__ import annotations

import datetime
import decimal
import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.core.jsonable import MAX_DEPTH, fault_of_json


class Colour(enum.StrEnum):
    RED = "red"


class Name(str):
    __slots__ = ()


@dataclass
class Point:
    x: int


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_values_pass_and_come_back_equal(value: Any) -> None:
    assert fault_of_json(value) is None
    assert msgspec.json.decode(msgspec.json.encode(value)) == value
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1, 2), "result is of type tuple: return a list"),
        ({"a": [0, {3}]}, "result['a'][1] is of type set: return sorted(...)"),
        (float("nan"), "result is nan, which JSON cannot hold: return None"),
        ([float("inf")], "result[0] is inf"),
        (2**64, "more than 64 bits: return str(...)"),
        ("\ud800", "half a surrogate pair"),
        ({"\ud800": 1}, "keys of an object must be text"),
        ({0: 1}, "has the key 0: the keys of an object must be text"),
        (b"x", "return text (.decode())"),
        (np.float64(1.5), "return .item()"),
        (np.int32(1), "return .item()"),
        (np.arange(3), "return .tolist()"),
        (Colour.RED, "return .value"),
        (Name("x"), "return str(...)"),
        (Path("x"), "return str(...)"),
        (datetime.date(2025, 1, 1), "return .isoformat()"),
        (decimal.Decimal(1), "str(...) or float(...)"),
        (Point(1), "dataclasses.asdict(...)"),
        ((x for x in (1,)), "return list(...)"),
        (object(), "a Report, or the Path of a declared output"),
        (nested(MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels deep"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_anything_else_is_named_with_its_place_and_the_remedy(value: Any, words: str) -> None:
    assert words in (fault_of_json(value) or "")


def test_a_data_frame_is_told_how_to_become_json() -> None:
    pandas = pytest.importorskip("pandas")
    assert "to_dict('records')" in (fault_of_json(pandas.DataFrame({"a": [1]})) or "")


def test_the_deepest_value_that_is_allowed_passes() -> None:
    assert fault_of_json(nested(MAX_DEPTH)) is None
