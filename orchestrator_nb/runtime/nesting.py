"""Nested runs: a run that a task's process starts (``orchestrate run`` in a command, `orchestrate` in a notebook).

It finds in its environment which attempt it belongs to (`ORCH_SESSION_DIR`, `ORCH_TASK_ID`, `ORCH_ATTEMPT`), may use no
more than is left of the budgets of that attempt, and leaves a note in the attempt's directory. When the attempt ends,
or when it is ruled on after a crash, what such runs have used is read from their own logs, and counts as used by the
attempt. Not seen are runs started by a function in a thread of the run itself, and those of contained coding agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ledger import RUN
from orchestrator_nb.core.tasks import RUNNING
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.policies.budget import left_for
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.nested_spending import Note
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.workspace import SessionDir


def enter(engine: Engine, environ: Mapping[str, str], *, limited: bool) -> None:
    """Make the run that `engine` is about to begin one of the attempt that `environ` names, if there is one that runs.

    Args:
        engine: Of a session whose plan is in force.
        environ: The environment.
        limited: Whether the limits in force are the caller's, not those of an earlier attempt that it belonged to.
    """
    directory, task, number = (environ.get(name, "") for name in ("ORCH_SESSION_DIR", "ORCH_TASK_ID", "ORCH_ATTEMPT"))
    if not directory or not number.isdigit() or Path(directory) == engine.directory.path:
        return
    try:
        parent = Session(SessionDir(Path(directory)), engine.settings)
        state = parent.state
    except (OSError, OrchestratorError):  # it is gone
        return
    attempt = state.tasks.get(task)
    if attempt is None or attempt.status is not RUNNING or attempt.attempt != int(number):
        return
    own = engine.state.ledger
    limits = dict(own.limits[RUN].most) if limited and RUN in own.limits else {}
    used, changed = own.accounts[RUN], {}
    for thing, left in left_for(state.ledger, task, state.at).items():
        most = used.used(thing, engine.state.at) + left
        if most < limits.get(thing, float("inf")):
            changed[thing] = most / 1e9 if thing == "money" else most if thing == "time" else int(most)
    note = msgspec.json.encode(Note(str(engine.directory.path), engine.state.seq))
    place = f"{parent.directory.attempt(task, int(number))}/nested/{engine.directory.id}.json"
    parent.directory.root.write_atomic(place, note, sync=True)
    if changed:
        by = f"task '{task}' of session {parent.id}"
        engine.record(msgspec.structs.replace(e.BudgetChanged(RUN, by=by), **changed))
