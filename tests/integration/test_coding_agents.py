"""Coding agents in whole runs: retries, consents, crashes, several at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator_nb import Orchestrator, Session
from orchestrator_nb.core import events as e
from orchestrator_nb.errors import AgentError
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.git_repositories import make_repository, users_own
from tests.runtime.waiting import asks, plan, statuses, until
from tests.system.sandbox.place import need

SOON = {"attempts": 3, "delay": 0.05, "when": "transient"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    return make_repository(tmp_path / "repository")


def task(name: str, *told: Any, **fields: Any) -> dict[str, Any]:
    return {"id": name, "agent": PUPPET, "prompt": steps(*told), **fields}


def start(repository: Path, *tasks: dict[str, Any]) -> Run:
    return Orchestrator(workspace=repository.parent / "sessions", grace=2.0).run(plan(*tasks), cwd=repository)


def attempts(run: Run) -> dict[str, int]:
    with run.state() as state:
        return {task.id: task.attempt for task in state.by_index}


def error(run: Run, name: str) -> str:
    with run.state() as state:
        return state.tasks[name].error


def test_several_write_at_once_each_in_a_place_of_its_own(repository: Path) -> None:
    before = users_own(repository)
    run = start(repository, *(task(f"t{n}", ("write", f"{n}.txt", f"{n}")) for n in range(4))).wait(60)
    assert run.status == "completed"
    for number in range(4):
        place = run.path / "worktrees" / "tasks" / f"t{number}" / "1"
        assert sorted(path.name for path in place.glob("?.txt")) == [f"{number}.txt", "a.txt"]
    assert users_own(repository) == before


def test_row_H13_the_records_of_the_run_are_out_of_reach(repository: Path) -> None:
    workspace = repository / ".orchestrator"
    reading = task("r", ("run", "ls -AR .orchestrator"), parameters={"level": "read"})
    writing = task("w", ("run", f"ls {workspace}; echo x >> {workspace}/x; find / -name events.jsonl 2>/dev/null"))
    made = Orchestrator(workspace=workspace, grace=2.0).run(plan(reading, writing), cwd=repository).wait(60)
    assert "attempts" in "".join(outputs(made, "r"))  # the way to its own HOME
    assert "events" not in "".join(outputs(made, "r"))
    assert "events.jsonl" not in "".join(outputs(made, "w"))
    assert not (workspace / "x").exists()


def outputs(run: Run, name: str) -> list[str]:
    """What the commands of an agent printed, as it was told."""
    records = map(json.loads, (run.path / "attempts" / name / "1" / "log").read_text().splitlines())
    contents = [record["message"]["content"][0] for record in records if record["type"] == "user"]
    return [part["content"] for part in contents]


def test_a_transient_error_is_tried_again_and_an_auth_error_is_not(repository: Path) -> None:
    always = {**SOON, "when": "any"}
    run = start(
        repository,
        task("busy", ("once", 429), ("say", "well"), retry=SOON),
        task("locked", ("fail", 401, "invalid x-api-key"), retry=always),
    ).wait(60)
    assert statuses(run) == {"busy": "completed", "locked": "failed"}
    assert attempts(run) == {"busy": 2, "locked": 1}
    assert "log in with the CLI" in error(run, "locked")


def test_transient_errors_are_tried_again_unasked(repository: Path) -> None:
    run = start(repository, task("busy", ("once", 529), ("say", "well")))
    until(lambda: statuses(run)["busy"] == "retrying", 20)
    run.halt()
    run.wait(20)


def test_a_consent_lets_it_go_on_and_is_in_the_log(repository: Path) -> None:
    told = ("write", f"{repository.parent}/shared/x.txt", "x")
    (repository.parent / "shared").mkdir()
    run = start(repository, task("t", told, parameters={"recovery": "ask"}))
    until(lambda: asks(run), 20)
    run.approve("t", by="a person")
    run.wait(60)
    assert run.status == "completed"
    events = [record.event for record in read_records(run.path / "events.jsonl")]
    (reached,) = [event for event in events if isinstance(event, e.CheckpointReached)]
    (approved,) = [event for event in events if isinstance(event, e.CheckpointApproved)]
    assert approved.subject_sha256 == reached.subject_sha256
    first, second = [event for event in events if isinstance(event, e.AgentStarted)]
    assert (first.granted, first.by) == ("", "")
    assert (second.granted, second.by) == (f"the directory {repository.parent}/shared", "a person")
    (denied,) = [event for event in events if isinstance(event, e.AgentDenied)]
    assert denied.remedy == second.granted
    assert f"the directory {repository.parent}/shared" in reached.question


def test_a_rejection_fails_the_task(repository: Path) -> None:
    run = start(repository, task("t", ("bash", "make"), parameters={"recovery": "ask"}))
    until(lambda: asks(run), 20)
    run.reject("t", "not now")
    run.wait(60)
    assert statuses(run) == {"t": "failed"}
    assert attempts(run) == {"t": 1}


COORDINATOR = """
import sys
from pathlib import Path
from orchestrator_nb import Orchestrator
from tests.runtime.waiting import plan
import json
task = json.loads(sys.argv[1])
Orchestrator(workspace=Path(sys.argv[2]), grace=2.0).run(plan(task), cwd=sys.argv[3]).wait()
"""


def test_a_crash_of_the_coordinator_ends_its_agents_and_they_go_on_with_their_sessions(repository: Path) -> None:
    sessions = repository.parent / "sessions"
    told = task("t", ("spend", 500, 20), ("write", "b.txt", "b"), ("leave",), ("stall",), ("report",))
    arguments = [sys.executable, "-c", COORDINATOR, json.dumps(told), str(sessions), str(repository)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(arguments, env=environment) as coordinator:
        until(lambda: any("wrote b.txt" in log.read_text() for log in sessions.glob("*/events.jsonl")), 30)
        coordinator.send_signal(signal.SIGKILL)
    run = Orchestrator(workspace=sessions).resume().wait(60)
    assert run.status == "completed"
    assert attempts(run) == {"t": 2}
    facts = json.loads(run.result_of("t"))
    assert facts["resumed"]
    assert "b.txt" in facts["files"]
    assert str(Session.open(run.path).usage) == "605 tokens in, 30 out, at least 0.2500 $"  # with what was told before
    mark = f"ORCH_SESSION={run.id}".encode()
    until(lambda: not [pid for pid in os.listdir("/proc") if pid.isdigit() and mark in _environment(pid)])


def _environment(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return b""


def test_what_finished_attempts_have_used_is_known_after_a_resume(repository: Path) -> None:
    run = start(repository, task("done", ("write", "b.txt", "b")), task("slow", ("spend", 500, 20), ("stall",)))
    until(lambda: run["done"].status == "completed" and run["slow"].usage.counted, 30)
    assert str(run["slow"].usage) == "500 tokens in, 20 out, cost unknown"
    run.halt()
    run.wait(20)
    again = Orchestrator(workspace=repository.parent / "sessions", grace=2.0).resume(run.id).wait(60)
    assert again.status == "completed"
    assert str(again["done"].usage) == "105 tokens in, 10 out, 0.2500 $"
    assert str(again["slow"].usage) == "605 tokens in, 30 out, at least 0.2500 $"
    assert (again["done"].changes, len(again["done"].commits)) == ({"b.txt": "added"}, 1)
    frame = again.to_frame()
    assert frame.loc["done", "cost"] == 0.25
    assert frame.loc["slow", "input_tokens"] == 605
    assert pd.isna(frame.loc["slow", "cost"])


def test_equal_results_give_equal_documents_that_say_who_did_what(repository: Path) -> None:
    tasks = [
        task("fix", ("run", "sleep 0.1"), ("write", "b.txt", "b"), ("say", "Fixed.")),
        task("wild", ("write", "c.txt", "c"), ("say", "Done."), parameters={"sandbox": "none"}),
    ]
    first, second = (start(repository, *tasks).wait(60) for _ in range(2))
    assert first.result == second.result
    assert first["fix"].commits != second["fix"].commits  # their hashes hold times: they are not in the document
    row = "| Agent-02 | wild | puppet | edit | ⚠️ **uncontained** (asked for) | `c.txt` (added) |"
    assert "| Agent-01 | fix | puppet | edit | bubblewrap | `b.txt` (added) |" in first.result
    assert row in first.result


def test_what_cannot_start_is_said_before_the_run(repository: Path) -> None:
    with pytest.raises(
        AgentError, match="task 't': parameter 'levle' of a puppet task is unknown; did you mean 'level'"
    ):
        start(repository, task("t", ("say", "x"), parameters={"levle": "read"}))


# -- reviews -----------------------------------------------------------------------------------------------------------

SEEN: list[dict[str, Any]] = []


def judge(subject: dict[str, Any]) -> dict[str, Any]:
    """A reviewer that stops changes of a login, and keeps what it was shown."""
    SEEN.append(subject)
    if "login.py" in subject["paths"]:
        return {"verdict": "reject", "findings": [{"message": "no", "severity": "critical", "file": "login.py"}]}
    return {"verdict": "approve"}


def test_changes_are_shown_to_reviewers_and_merged_only_if_they_let_them(repository: Path) -> None:
    SEEN.clear()
    review = {"reviewers": [{"function": "tests.integration.test_coding_agents:judge"}], "rework": 0}
    run = start(
        repository,
        task("good", ("write", "b.txt", "one\ntwo\n"), review=review),
        task(
            "bad", ("write", "login.py", "x\n"), review={**review, "when": "triggered", "sensitive_paths": ["login*"]}
        ),
        task("unseen", ("write", "c.txt", "c\n"), review={**review, "when": "triggered"}),
    ).wait(60)
    assert statuses(run) == {"good": "completed", "bad": "failed", "unseen": "completed"}
    shown = {subject["task"]: subject for subject in SEEN}
    assert set(shown) == {"good", "bad"}
    assert shown["good"]["paths"] == ["b.txt"]
    assert "+one\n+two\n" in shown["good"]["text"]
    records = [record.event for record in read_records(run.path / "events.jsonl")]
    triggers = {event.task: event.request.triggers for event in records if isinstance(event, e.ReviewRequested)}
    assert triggers == {"good": ("asked",), "bad": ("sensitive_paths",)}
    branch = f"orchestrator/{run.id}"
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", branch], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    assert {"b.txt", "c.txt"} <= set(listed.split())
    assert "login.py" not in listed
