"""Writes a golden log of the present format: `python -m tests.golden.make DIRECTORY`.

A golden log is made once, when the format is new, and never changed: every later release must read it
(`tests/faults/test_log.py`, row A12). `records.json` holds the same records without checksums.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.events import AnyEvent, Artifact
from orchestrator_nb.storage.log import EventLog

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
FILE = Artifact("outputs/build/report.json", 4096, SHA)

#: One of each kind, some with all their fields, in an order that a session could have written.
EVENTS: tuple[AnyEvent, ...] = (
    e.SessionCreated(
        session="20250112-143000-ab12c",
        version="0.1.0",
        format=1,
        parent="20250111-090000-zz9zz",
        fork_task="build",
    ),
    e.PlanAccepted(
        revision=1,
        plan=Artifact(f"blobs/{SHA}", 812, SHA),
        title="Überprüfung – 代码审查 🔍",
        tasks=3,
        params={"target": "src", "n": 3, "ratio": 0.5, "deep": {"list": [1, None, True, '\u2028 " \\ \n']}},
        base="/home/user/project",
        cwd="/home/user/project",
        source="plan.yaml",
    ),
    e.RunStarted(run=1, pid=4242, host="host", settings={"max_parallel": 10, "durability": "group"}),
    e.TaskStarted(task="scan", attempt=1, batch=1, fingerprint=SHA),
    e.ProcessStarted(task="scan", attempt=1, pid=4243, start_time=123456, boot_id="0b1c2d3e", containment="reaper"),
    e.TaskProgressed(task="scan", attempt=1, message="cell 2", done=2, total=5),
    e.TaskCompleted(task="scan", attempt=1, duration=1.25, value={"files": 12, "ok": True}),
    e.TaskStarted(task="build", attempt=1, batch=2),
    e.TaskFailed(
        task="build",
        attempt=1,
        error="exit code 2\nlast line",
        kind="exit_code",
        duration=0.5,
        exit_code=2,
        transient=True,
        commits=("abc123", "def456"),
    ),
    e.TaskRetryScheduled(task="build", delay=5.0, fallback=True),
    e.RunPaused(by="user"),
    e.RunUnpaused(by="user"),
    e.TaskStarted(task="build", attempt=2, batch=3, fallback=True),
    e.AttemptInterrupted(
        task="build", attempt=2, reason="the run was killed", proven_dead=False, survivors=(4250, 4251)
    ),
    e.StopRequested(by="user", reason="lunch"),
    e.RunEnded(run=1, reason="stopped"),
    e.RunStarted(run=2, pid=5000, host="host", resumed=True),
    e.TaskStarted(task="build", attempt=3),
    e.TaskCompleted(
        task="build",
        attempt=3,
        duration=2.0,
        result=FILE,
        format="report",
        outputs=(FILE,),
        exit_code=1,
        reused_from="20250111-090000-zz9zz",
    ),
    e.TaskStarted(task="ask", attempt=1),
    e.CheckpointReached(
        checkpoint="ask-1",
        task="ask",
        attempt=1,
        question="Deploy?",
        subject_sha256=SHA,
        answer_schema={"type": "object"},
    ),
    e.CheckpointRejected(checkpoint="ask-1", subject_sha256=SHA, reason="not on Friday", by="user"),
    e.CheckpointApproved(checkpoint="ask-1", subject_sha256=SHA, by="user", answer={"yes": True}),
    e.TaskFailureSettled(task="ask", strategy="skip"),
    e.TaskBlocked(task="deploy", blocked_by="ask"),
    e.TaskSkipped(task="notify", reason="no longer needed"),
    e.TaskCancelled(task="cleanup", by="user", reason="by hand"),
    e.TaskReset(task="ask", by="user"),
    e.WarningRaised(message="the disk is nearly full", task="build"),
    e.HaltRequested(by="user", reason="smoke"),
    e.ResultsMerged(strategy="structured", document=Artifact("final_output.md", 100, SHA), missing=("notify",)),
    e.RunEnded(run=2, reason="halted", message="by the user"),
)


def main(directory: Path) -> None:
    directory.mkdir(parents=True)
    records = []
    with EventLog.open(directory / "events.jsonl") as log:
        for number, event in enumerate(EVENTS):
            records += log.append([event], 1_736_692_200.0 + number / 8)
    lines = b",\n".join(map(msgspec.json.encode, records))
    (directory / "records.json").write_bytes(b"[\n" + lines + b"\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
