"""JSON in prose: the objects that an agent's answer holds, wherever they stand in it.

Agents are asked for nothing but JSON and write a sentence before it, a fence around it, an afterthought below. What is
looked for is where objects begin and end; whether one is sound JSON is for `json_reader` to say, which is stricter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """One object: ``text[start:end]``."""

    start: int
    end: int
    #: Its value as far as it is needed to tell what it is: all numbers are 0.
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """What begins like an object and is none."""

    start: int
    #: Where reading it stopped.
    stopped: int
    message: str
    too_deep: bool = False


def objects_in(text: str) -> tuple[list[Found], list[Broken]]:
    """The outermost JSON objects in `text`, and what begins like one. In time linear in `text`.

    What lies within the readable beginning of a broken object is part of that one, never an object by itself: of a
    plan that is cut off its last task is not a plan.
    """
    found: list[Found] = []
    broken: list[Broken] = []
    position = text.find("{")
    while position >= 0:
        try:
            value, end = _DECODER.raw_decode(text, position)
            found.append(Found(position, end, value))
        except json.JSONDecodeError as error:
            end = max(position + 1, error.pos)
            broken.append(Broken(position, error.pos, error.msg))
        except RecursionError:
            broken.append(Broken(position, len(text), "", too_deep=True))
            break
        position = text.find("{", end)
    return found, broken


def _zero(_: str) -> int:
    return 0


_DECODER = json.JSONDecoder(parse_int=_zero, parse_float=_zero, parse_constant=_zero)
