from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from orchestrator_nb.core.durations import LONGEST_DURATION, Duration, seconds_of


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("90", 90),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_seconds(given: Any, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "h", "1x", "-1h", "1 h", "0s", "1h\n", "1m1h", "1000h", 0, -1, True, None, 10**9]
)
def test_what_is_no_duration(given: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(given)


def test_the_message_says_what_to_write() -> None:
    with pytest.raises(
        ValueError, match="'soon' is no duration: write 90s, 15m, 1h, 1h30m, 2d, or a number of seconds"
    ):
        seconds_of("soon")
    assert seconds_of("99d999h9999m999999s") < LONGEST_DURATION
