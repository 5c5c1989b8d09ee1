"""What happens to budgets, in the past tense (`core.events`). Money is in US dollars.

A scope is `run`, ``agent KIND`` or ``task ID``; a thing is `money`, `tokens`, `time` or `attempts`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator_nb.core.event import Event

Thing = Literal["money", "tokens", "time", "attempts"]


class Reserved(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What was kept free for an attempt when it started."""

    #: US dollars.
    money: float = 0.0
    tokens: int = 0


class BudgetChanged(Event, frozen=True, tag="budget_changed"):
    """Other limits are in force from now on; what is None stays as it is. A question about them is answered by it."""

    scope: str
    money: float | None = None
    tokens: int | None = None
    #: Seconds.
    time: float | None = None
    attempts: int | None = None
    by: str = ""


class BudgetWarned(Event, frozen=True, tag="budget_warned"):
    """So much of a limit is used that people were warned of it: once for each limit."""

    scope: str
    thing: Thing
