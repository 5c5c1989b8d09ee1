"""What must be true of the small run of `log_child` after any crash: read from its files, not from its opinion."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from orchestrator_nb.core.events import PlanAccepted, Record, TaskCompleted, TaskStarted
from orchestrator_nb.errors import SessionCorrupt
from orchestrator_nb.storage.files import TEMPORARY
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.storage.workspace import SessionDir
from tests.faults import log_child


def session_of(workspace: Path) -> SessionDir:
    return SessionDir(workspace / "20250112-143000-ab12c")


def acknowledged(workspace: Path) -> int:
    """The last record that was promised to be safe."""
    acks = workspace.with_suffix(".acks")
    return max(map(int, acks.read_text().split()), default=0) if acks.exists() else 0


def check_crashed(workspace: Path, acked: int, power_lost: bool = False) -> bool:
    """Check what a crash left. Returns whether the log was refused as damaged (only ever after a power loss)."""
    session = session_of(workspace)
    if not session.log_path.exists():
        assert acked == 0
        return False
    records: list[Record] = []
    refused = False
    try:
        for record in read_records(session.log_path):
            records.append(record)
    except SessionCorrupt as error:
        if not power_lost:
            raise
        refused = True
        # The remedy that the message names: what follows the damage was never acknowledged.
        cut = re.search(r"truncate -s (\d+) ", str(error))
        assert cut
        with open(session.log_path, "r+b") as file:
            file.truncate(int(cut[1]))
    assert len(records) >= acked, "an acknowledged event is lost"
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    _check_facts(session, records)
    if not power_lost:  # an un-synced file may be empty after a power loss: derived files are rebuilt
        for name in session.root.names("status"):
            text = session.root.read_bytes(f"status/{name}", 10_000).decode()
            assert text == log_child.status(name.removesuffix(".json")), "a torn projection"
    return refused


def check_finished(workspace: Path) -> None:
    """Check that a resume went to the end and repeated nothing."""
    session = session_of(workspace)
    records = list(read_records(session.log_path))
    _check_facts(session, records)
    completed = [record.event.task for record in records if isinstance(record.event, TaskCompleted)]
    assert sorted(completed) == sorted(log_child.TASKS), "a task was lost, or completed twice"
    for task in log_child.TASKS:
        status = session.root.read_bytes(f"status/{task}.json", 10_000).decode()
        assert status == log_child.status(task)
    left = [*session.path.glob(f"{TEMPORARY}*"), *session.path.glob(f"*/{TEMPORARY}*")]
    assert not left, "half-written files were left"


def _check_facts(session: SessionDir, records: list[Record]) -> None:
    """No attempt after its task completed, and every file that an event names is the one it names."""
    done: set[str] = set()
    for record in records:
        if isinstance(record.event, TaskStarted):
            assert record.event.task not in done, "a completed task was run again"
        elif isinstance(record.event, TaskCompleted):
            done.add(record.event.task)
            for artifact in record.event.outputs:
                data = (session.path / artifact.path).read_bytes()
                assert len(data) == artifact.size
                assert hashlib.sha256(data).hexdigest() == artifact.sha256
        elif isinstance(record.event, PlanAccepted):
            assert json.loads(session.blobs.get(record.event.plan)) == json.loads(log_child.PLAN)
