"""Lives that end with SIGKILL around a click on a button: what was said to be done must be in the log, and no more.

    python -m tests.faults.clicks WORKSPACE MODE SEED [SEED ...]

prints one JSON line a seed, as `tests.faults.lives` does, whose harness it uses.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.jupyter.controls import Controls
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from tests.faults.lives import history, live, settings

#: Seconds for what a life waits for.
_PATIENCE = 20.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def controls_of(run: Run, told: Path) -> Controls:
    """The buttons of a run; whatever they say is kept in the file `told` the moment it is said."""
    controls: Controls = view_of(run).controls
    fd = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    controls.told.observe(lambda change: os.write(fd, f"{change['new']}\n".encode()), "value")
    return controls


def die(after: float) -> None:
    """Be killed, after so many seconds."""
    until_ = time.monotonic() + after
    while time.monotonic() < until_:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def asked(run: Run) -> bool:
    with run.state() as state:
        return bool(state.open_checkpoints)


def approve(folder: Path, seed: int) -> dict[str, Any]:
    """Killed between the click on Approve and after its event."""
    ledger, told, workspace = folder / "ledger", folder / "told", folder / "sessions"
    question = {"id": "q", "agent": "human", "prompt": "Go?"}
    after = {"id": "after", "command": f"echo after >> '{ledger}'", "dependencies": ["q"]}
    orchestrator = Orchestrator(settings(workspace))

    def click() -> None:
        controls = controls_of(orchestrator.run(Plan.model_validate({"tasks": [question, after]}), cwd=folder), told)
        until(lambda: controls.questions.slots and controls.questions.slots[0].children)
        controls.questions.slots[0].children[0].approve.click()
        die(random.Random(seed).uniform(0, 0.02))

    live(click, _PATIENCE)
    approved = any(isinstance(record.event, e.CheckpointApproved) for record in history(workspace))
    early = ledger.exists() and not approved

    def go_on() -> None:
        run = orchestrator.resume()
        until(lambda: run.done or asked(run))
        if not run.done:
            run.halt()
        run.wait()

    live(go_on, None)
    approvals = sum(isinstance(record.event, e.CheckpointApproved) for record in history(workspace))
    return {
        "seed": seed,
        "approved": approved,
        "said_but_not_done": "accepted" in told.read_text() and not approved,
        "phantoms": int(early) + approvals - int(approved) + int(ledger.exists() and not approvals),
        "status": Session.open(None, settings(workspace)).status,
    }


def halt(folder: Path, seed: int) -> dict[str, Any]:
    """Killed between the confirmed click on Halt and after its event."""
    told, workspace = folder / "told", folder / "sessions"
    tasks = [{"id": f"t{number}", "command": "sleep 0.01", "retry": 1} for number in range(200)]
    plan = Plan.model_validate(
        {"tasks": [{"id": "slow", "command": "sleep 60"}, *tasks], "limits": {"max_parallel": 2}}
    )
    orchestrator = Orchestrator(settings(workspace))

    def click() -> None:
        run = orchestrator.run(plan, cwd=folder)
        controls = controls_of(run, told)
        until(lambda: not controls.buttons["halt"].disabled)
        controls.buttons["halt"].click()
        until(lambda: controls.confirmation is not None)
        assert controls.confirmation is not None
        controls.confirmation.yes.click()
        die(random.Random(seed).uniform(0, 0.04))

    live(click, _PATIENCE)
    events = [record.event for record in history(workspace)]
    halted = next((at for at, event in enumerate(events) if isinstance(event, e.HaltRequested)), None)
    return {
        "seed": seed,
        "halted": halted is not None,
        "said_but_not_done": "accepted" in told.read_text() and halted is None,
        "started_after": sum(isinstance(event, e.TaskStarted) for event in events[halted or len(events) :]),
        "status": Session.open(None, settings(workspace)).status,
    }


MODES: dict[str, Callable[[Path, int], dict[str, Any]]] = {"approve": approve, "halt": halt}


def main(workspace: str, mode: str, *seeds: str) -> None:
    """Live through the seeds."""
    from orchestrator_nb.agents.human import answer_for
    from orchestrator_nb.projections.rendering import markdown_html

    markdown_html("x"), answer_for({}, "x")  # what they import is imported once, not in each life
    for seed in seeds:
        folder = Path(workspace, seed)
        folder.mkdir(parents=True)
        print(json.dumps(MODES[mode](folder, int(seed))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
