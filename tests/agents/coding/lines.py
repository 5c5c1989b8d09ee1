"""Hand-made lines of the CLIs' streams, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from orchestrator_nb.agents.coding.cli import Clis
from orchestrator_nb.agents.coding.vocabulary import AgentEvent
from tests.agents.coding.recorded import read

E = TypeVar("E")


def events(name: str, *records: Any) -> list[AgentEvent]:
    """What the CLI `name` says by these records, one a line."""
    return read(Clis().get(name), [b"".join(json.dumps(record).encode() + b"\n" for record in records)])


def of(kind: type[E], seen: Sequence[object]) -> list[E]:
    """The events of one kind."""
    return [event for event in seen if isinstance(event, kind)]
