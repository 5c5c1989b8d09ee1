"""Durations as people write them: ``90s``, ``15m``, ``1h30m``, ``2d``, or a number of seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema


def seconds_of(given: Any) -> Any:
    """Seconds in ``90s``, ``15m``, ``1h30m``, ``2d``, or in a number of seconds. Raises `ValueError` for other text."""
    if not isinstance(given, str):
        return given
    if not re.search(DURATION_PATTERN, given):
        raise ValueError(f"'{given}' is no duration: write 90s, 15m, 1h, 1h30m, 2d, or a number of seconds")
    parts = re.findall(r"([\d.]+)([dhms]?)", given)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART = r"\d{1,%d}(\.\d{1,3})?"
DURATION_PATTERN = (
    rf"^(?=.*[1-9])({_PART % 7}|(?=.)({_PART % 2}d)?({_PART % 3}h)?({_PART % 4}m)?({_PART % 6}s)?)(?![\s\S])"
)
#: In seconds; what the pattern allows is less.
LONGEST_DURATION = 365 * 86_400

#: Seconds, which may be written with a unit.
Duration = Annotated[
    float,
    Strict(),
    Field(gt=0, le=LONGEST_DURATION),
    BeforeValidator(seconds_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_DURATION},
                {"type": "string", "pattern": DURATION_PATTERN},
            ]
        }
    ),
]
