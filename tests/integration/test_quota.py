"""Waiting for a vendor's quota in whole runs: seen, steered, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb import Orchestrator
from orchestrator_nb.core import events as e
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.limited import CODEX, GEMINI, told
from tests.agents.coding.puppet import PUPPET, steps
from tests.git_repositories import make_repository
from tests.runtime.waiting import plan, statuses, until
from tests.system.sandbox.place import need

ROOT = Path(__file__).parents[2]
#: A limit that does not end while a test runs.
LONG = 3600


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    return make_repository(tmp_path / "repository")


def limited(name: str, seconds: float, agent: str = PUPPET, **fields: Any) -> dict[str, Any]:
    """A task that meets a limit once, and has one attempt only."""
    prompt = steps(("limit", seconds), ("report",)) if agent == PUPPET else told(seconds)
    return {"id": name, "agent": agent, "prompt": prompt, "retry": {"attempts": 1}, **fields}


def start(repository: Path, *tasks: dict[str, Any], **more: Any) -> Run:
    return Orchestrator(workspace=repository.parent / "sessions", grace=2.0).run(plan(*tasks, **more), cwd=repository)


def task(run: Run, name: str) -> TaskState:
    with run.state() as state:
        return state.tasks[name]


def events(path: Path) -> list[e.AnyEvent]:
    return [record.event for record in read_records(path / "events.jsonl")]


def orchestrate(*arguments: str, cwd: Path) -> str:
    """What the command line says."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "orchestrator_nb", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize("agent", [PUPPET, CODEX, GEMINI], ids=["claude", "codex", "gemini"])
def test_each_vendors_limit_is_waited_for_and_its_session_gone_on_with(repository: Path, agent: str) -> None:
    begun = time.time()
    run = start(repository, limited("t", 2, agent), {"id": "other", "command": "true"})
    until(lambda: statuses(run) == {"t": "awaiting_quota", "other": "completed"}, 30)
    run.wait(60)
    assert run.status == "completed"
    (reached,) = [event for event in events(run.path) if isinstance(event, e.QuotaReached)]
    assert reached.vendor == agent
    assert begun + 1 <= reached.resets_at <= time.time()
    ended = task(run, "t")
    assert (ended.attempt, ended.failures, ended.quota_waits) == (2, 0, 1), "the one attempt that it has is not used up"
    assert json.loads(run.result_of("t"))["resumed"]


def test_who_would_sleep_until_the_limit_ends_is_ended_and_waited_for(repository: Path) -> None:
    run = start(repository, limited("t", -LONG, GEMINI))
    until(lambda: statuses(run)["t"] == "awaiting_quota", 30)
    (reached,) = [event for event in events(run.path) if isinstance(event, e.QuotaReached)]
    assert "it was about to sleep for 3600 s, and was ended" in reached.error
    assert LONG - 60 < reached.resets_at - time.time() < LONG
    run.retry("t")
    run.wait(60)
    assert run.status == "completed"
    assert task(run, "t").attempt == 2


def test_others_of_the_vendor_start_nothing_and_a_person_may_try_now(repository: Path) -> None:
    others = limited("b", LONG), {"id": "z", "command": "true"}
    run = start(repository, limited("a", LONG), *others, limits={"max_parallel": 1})
    until(lambda: statuses(run) == {"a": "awaiting_quota", "b": "awaiting_quota", "z": "completed"}, 30)
    assert task(run, "b").attempt == 0
    told = run.explain("b")
    assert told.headline.startswith("'b' waits for Puppet's quota until ")
    assert " (in 1 h 00 min)." in told.headline or " (in 59 min)." in told.headline
    assert run.waits.startswith("Waiting for Puppet's quota until ")
    assert not run.done
    run.retry("a", by="a person")
    until(lambda: task(run, "a").status == "completed", 30)
    until(lambda: task(run, "b").attempt == 1, 30)  # what one found out counts for all
    until(lambda: task(run, "b").status == "awaiting_quota", 30)
    run.cancel("b")
    run.wait(30)
    assert statuses(run) == {"a": "completed", "b": "cancelled", "z": "completed"}


@pytest.mark.parametrize("verb", ["stop", "halt"])
def test_a_wait_can_be_ended_and_looked_at_and_gone_on_with(repository: Path, verb: str) -> None:
    run = start(repository, limited("t", LONG))
    until(lambda: statuses(run)["t"] == "awaiting_quota", 30)
    getattr(run, verb)()
    run.wait(20)
    assert run.status == {"stop": "stopped", "halt": "halted"}[verb]
    session = str(run.path)
    shown = orchestrate("status", session, cwd=repository)
    assert "awaiting quota" in shown
    assert "Waits:   for Puppet's quota until " in shown
    assert "waits for Puppet's quota until " in orchestrate("explain", "t", "-s", session, cwd=repository)
    (quota,) = json.loads(orchestrate("status", session, "--json", cwd=repository))["quotas"]
    assert (quota["vendor"], quota["task"]) == (PUPPET, "t")
    orchestrate("retry", "t", "-s", session, cwd=repository)  # recorded for the next resume
    again = Orchestrator(workspace=repository.parent / "sessions").resume().wait(60)
    assert statuses(again) == {"t": "completed"}
    assert task(again, "t").attempt == 2


COORDINATOR = """
import json, sys
from pathlib import Path
from orchestrator_nb import Orchestrator
from tests.runtime.waiting import plan
Orchestrator(workspace=Path(sys.argv[2]), grace=2.0).run(plan(json.loads(sys.argv[1])), cwd=sys.argv[3]).wait()
"""


def killed_while_waiting(repository: Path, seconds: float) -> Path:
    """The session of a coordinator that was killed while its task waited for a limit of so many seconds."""
    sessions = repository.parent / "sessions"
    arguments = [sys.executable, "-c", COORDINATOR, json.dumps(limited("t", seconds)), str(sessions), str(repository)]
    with subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": str(ROOT)}) as coordinator:
        until(lambda: any("quota_reached" in log.read_text() for log in sessions.glob("*/events.jsonl")), 30)
        coordinator.send_signal(signal.SIGKILL)
    return sessions


def test_killed_while_it_waits_it_waits_on(repository: Path) -> None:
    sessions = killed_while_waiting(repository, LONG)
    run = Orchestrator(workspace=sessions).resume()
    until(lambda: run.waits, 20)
    assert statuses(run) == {"t": "awaiting_quota"}
    assert run.explain("t").headline.startswith("'t' waits for Puppet's quota until ")
    assert [event.attempt for event in events(run.path) if isinstance(event, e.TaskStarted)] == [1]
    run.retry("t")
    run.wait(60)
    assert json.loads(run.result_of("t"))["resumed"]


def test_killed_while_it_waits_it_starts_at_once_after_the_time(repository: Path) -> None:
    sessions = killed_while_waiting(repository, 1)
    log = next(sessions.glob("*/events.jsonl"))
    (reached,) = [event for event in events(log.parent) if isinstance(event, e.QuotaReached)]
    until(lambda: time.time() > reached.resets_at + 4, 20)
    run = Orchestrator(workspace=sessions).resume().wait(60)
    assert statuses(run) == {"t": "completed"}
    assert (task(run, "t").attempt, task(run, "t").failures) == (2, 0)
    assert json.loads(run.result_of("t"))["resumed"]
    after = [type(event) for event in events(run.path)]
    assert after.index(e.QuotaRestored) > after.index(e.QuotaReached)
