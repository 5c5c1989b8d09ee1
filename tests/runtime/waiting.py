"""Waiting for what another thread or process does, with a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator_nb.core.models import Plan
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.settings import Settings


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


RUNS = """
import sys
from pathlib import Path
from orchestrator_nb.core.models import Plan
from orchestrator_nb.runtime.orchestrator import Orchestrator
Orchestrator(workspace=Path(sys.argv[1])).run(Plan.model_validate_json(sys.argv[2])).wait()
"""


def run_killed(settings: Settings, plan: Plan, tag: str) -> None:
    """Run `plan` in a process that is killed when an event with this `tag` is in its log."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    words = [sys.executable, "-c", RUNS, str(settings.workspace), plan.model_dump_json(exclude_defaults=True)]
    with subprocess.Popen(words, env=environment) as process:
        until(lambda: any(f'"{tag}"' in log.read_text() for log in settings.workspace.glob("*/events.jsonl")), 60)
        process.kill()
