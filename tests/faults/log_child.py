"""A small run made of the storage modules alone: `python log_child.py WORKSPACE`. Killed anywhere, it can go on.

Each task writes an output, promotes it, completes, and gets a status file. After each sync the number of the last
record that is promised to be safe goes into the file ``WORKSPACE.acks``: what a user was shown.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from orchestrator_nb.core.events import PlanAccepted, Record, SessionCreated, TaskCompleted, TaskStarted
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.storage.files import collect_outputs
from orchestrator_nb.storage.lock import SessionLock
from orchestrator_nb.storage.log import EventLog
from orchestrator_nb.storage.workspace import SessionDir, Workspace

TASKS = ("one", "two")
PLAN = b'{"title":"two tasks"}'
AT = 1_736_692_200.0
#: Looked for at the beginning of the work, so that a trace shows where it is.
MARK = "/the-work-begins-here"


def run(workspace: Path) -> None:
    """Begin the session, or go on with it."""
    session = SessionDir(workspace / "20250112-143000-ab12c")
    if not session.path.exists():
        Workspace(workspace).new_session(AT, "ab12c")
    with SessionLock(session.lock_path).acquire():
        session.sweep()
        _work(session, workspace.with_suffix(".acks"))


def _work(session: SessionDir, acks: Path) -> None:
    attempts = dict.fromkeys(TASKS, 0)
    done: set[str] = set()
    known: list[str] = []

    def on_record(record: Record) -> None:
        known.append(type(record.event).__name__)
        if isinstance(record.event, TaskStarted):
            attempts[record.event.task] = record.event.attempt
        elif isinstance(record.event, TaskCompleted):
            done.add(record.event.task)

    # An interval so long that only the scenario itself syncs: every call is then at the same place in each run.
    with EventLog.open(session.log_path, on_record=on_record, sync_interval=600) as log:

        def safe() -> None:
            log.sync()
            fd = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(fd, b"%d\n" % log.seq)
            os.close(fd)

        if "SessionCreated" not in known:
            log.append([SessionCreated(session.id, "0", 1)], AT)
            safe()
        if "PlanAccepted" not in known:
            log.append([PlanAccepted(1, session.blobs.put(PLAN), "two tasks", len(TASKS))], AT)
        safe()
        for task in TASKS:
            if task not in done:
                _one(session, log, task, attempts[task] + 1)
                safe()
            session.root.write_atomic(f"status/{task}.json", status(task))


def _one(session: SessionDir, log: EventLog, task: str, attempt: int) -> None:
    log.append([TaskStarted(task, attempt)], AT)
    place = session.attempt(task, attempt)
    session.root.write_atomic(f"{place}/out.txt", f"output of {task}")
    outputs = collect_outputs(session.root, place, ["out.txt"], limit=1000)
    assert not outputs.faults
    (artifact,) = outputs.artifacts
    final = f"{session.outputs(task)}/out.txt"
    session.root.promote(artifact.path, final)
    log.append([TaskCompleted(task, attempt, outputs=(type(artifact)(final, artifact.size, artifact.sha256),))], AT)


def status(task: str) -> str:
    """The derived file of a completed task."""
    return json.dumps({"task": task, "status": "completed", "padding": "x" * 200})


if __name__ == "__main__":
    os.path.exists(MARK)
    try:
        run(Path(sys.argv[1]))
    except OrchestratorError as error:
        sys.exit(f"{type(error).__name__}: {error}")
