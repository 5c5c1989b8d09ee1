"""Waiting for what another thread or process does, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from orchestrator_nb.core.models import Plan
from orchestrator_nb.runtime.run import Run


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for `condition`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def plan(*tasks: dict[str, Any], **fields: Any) -> Plan:
    """A plan of these tasks."""
    return Plan.model_validate({"tasks": list(tasks), **fields})


def statuses(run: Run) -> dict[str, str]:
    """What everyone may see of each task."""
    with run.state() as state:
        return {task.id: task.status.value for task in state.by_index}


def asks(run: Run) -> bool:
    """Whether a checkpoint is open."""
    with run.state() as state:
        return bool(state.open_checkpoints)
