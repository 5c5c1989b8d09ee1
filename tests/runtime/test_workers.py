from __future__ import annotations

from pathlib import Path

import pytest

import orchestrator_nb
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.runtime.workers import WorkerManager
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.git_repositories import make_repository
from tests.runtime.waiting import until
from tests.system.sandbox.place import need


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerManager:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    make_repository(tmp_path / "repository")
    return WorkerManager(workspace=tmp_path / "sessions", grace=1.0)


def test_a_worker_is_launched_watched_and_waited_for(manager: WorkerManager, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    told = steps(("write", f"{tmp_path}/other/x.txt", "costs $5"), ("say", "costs $5"))
    worker = manager.launch(PUPPET, told, [tmp_path / "repository", tmp_path / "other"])
    assert worker.name == "puppet-1"
    assert worker.wait(60).status == "succeeded"
    assert worker.result == "costs $5"
    assert (worker.state.used, worker.state.refused) == ("105 tokens in, 10 out, 0.2500 $", ())
    assert (tmp_path / "other" / "x.txt").read_text() == "costs $5"
    assert manager.get_worker_status("puppet-1").session == worker.run.path
    assert manager.workers == (worker,)


def test_a_worker_is_stopped(manager: WorkerManager, tmp_path: Path) -> None:
    worker = manager.launch(PUPPET, steps(("stall",)), [tmp_path / "repository"])
    until(lambda: worker.state.pid, 20)
    assert worker.state.status == "running"
    assert manager.stop_worker("puppet-1").status == "stopped"
    assert manager.stop_worker("puppet-1").pid is None


def test_a_worker_that_asks_is_granted_it(manager: WorkerManager, tmp_path: Path) -> None:
    worker = manager.launch(PUPPET, steps(("bash", "echo hi > x.txt")), [tmp_path / "repository"])
    until(lambda: worker.state.status == "asking", 20)
    assert "level `full`" in worker.state.question
    assert "Bash echo hi > x.txt: " in worker.state.refused[0]
    manager.grant("puppet-1")
    assert worker.wait(60).status == "succeeded"


def test_a_worker_at_its_accounts_limit_says_so_and_can_be_stopped(manager: WorkerManager, tmp_path: Path) -> None:
    worker = manager.launch(PUPPET, steps(("limit", 3600)), [tmp_path / "repository"])
    until(lambda: worker.state.status == "limited", 20)
    assert "You've hit your 5-hour limit" in worker.state.error
    assert manager.stop_worker("puppet-1").status == "stopped"


def test_a_worker_that_cannot_be_and_one_that_is_not(manager: WorkerManager, tmp_path: Path) -> None:
    with pytest.raises(OrchestratorError, match="which is no directory"):
        manager.launch(PUPPET, "x", [tmp_path / "repository", tmp_path / "nowhere"])
    with pytest.raises(CommandRefused, match="there is no worker 'claude-1'"):
        manager.get_worker_status("claude-1")


def test_the_names_of_S3_are_public() -> None:
    for name in ("WorkerManager", "PermissionRecoveryEngine", "AgentEvent", "AgentState"):
        assert name in orchestrator_nb.__all__
        assert getattr(orchestrator_nb, name) is not None
    for method in ("launch_claude", "launch_codex", "launch_gemini", "stop_worker", "get_worker_status"):
        assert callable(getattr(orchestrator_nb.WorkerManager, method))
