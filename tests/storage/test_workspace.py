from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from orchestrator_nb.errors import SessionNotFound, StorageError
from orchestrator_nb.storage.files import TEMPORARY
from orchestrator_nb.storage.workspace import SessionDir, Workspace

NOON = 1_736_683_200.0  # 2025-01-12 12:00:00 UTC


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "project" / ".orchestrator")


def test_nothing_is_made_before_the_first_session(workspace: Workspace) -> None:
    assert workspace.sessions() == []
    with pytest.raises(SessionNotFound, match=r"there are no sessions in .*orchestrate run PLAN"):
        workspace.find()
    assert not workspace.path.exists()


def test_new_session(workspace: Workspace) -> None:
    session = workspace.new_session(NOON, "ab12c")
    assert session.id == "20250112-120000-ab12c"
    assert session.control.is_dir()
    assert (workspace.path / ".gitignore").read_text() == "*\n"
    assert os.readlink(workspace.path / "latest") == session.id
    with pytest.raises(StorageError, match=f"there is a session {session.id} .* already"):
        workspace.new_session(NOON, "ab12c")


def test_ids_are_unique_and_sort_by_time(workspace: Workspace) -> None:
    made = [workspace.new_session(NOON + second).id for second in range(5)]
    made += [workspace.new_session().id for _ in range(5)]
    assert len(set(made)) == 10
    assert all(re.fullmatch(r"\d{8}-\d{6}-[a-z0-9]{5}", session_id) for session_id in made)
    assert [session.id for session in workspace.sessions()] == sorted(made)
    assert sorted(made)[:5] == made[:5]


def test_ignore_file_of_a_person_is_kept(workspace: Workspace) -> None:
    workspace.path.mkdir(parents=True)
    (workspace.path / ".gitignore").write_text("mine")
    workspace.new_session()
    assert (workspace.path / ".gitignore").read_text() == "mine"


def test_latest_is_the_session_made_last(workspace: Workspace) -> None:
    workspace.new_session(NOON + 60, "bbbbb")
    older = workspace.new_session(NOON, "aaaaa")
    assert workspace.find() == workspace.find("latest") == older


@pytest.mark.parametrize("link", [None, "nowhere", "../elsewhere"])
def test_latest_without_a_good_link_is_the_newest(link: str | None, workspace: Workspace) -> None:
    newest = workspace.new_session(NOON + 60, "bbbbb")
    workspace.new_session(NOON, "aaaaa")
    (workspace.path / "latest").unlink()
    if link:
        (workspace.path / "latest").symlink_to(link)
    assert workspace.find() == newest


def test_sessions_are_found_by_their_beginning(workspace: Workspace) -> None:
    first = workspace.new_session(NOON, "aaaaa")
    second = workspace.new_session(NOON, "aabbb")
    assert workspace.find(first.id) == first
    assert workspace.find("20250112-120000-aab") == second
    with pytest.raises(SessionNotFound, match=f"'20250112' begins the ids of 2 sessions: {first.id}, {second.id}"):
        workspace.find("20250112")
    with pytest.raises(SessionNotFound, match=f"did you mean '{first.id}'"):
        workspace.find("20250112-120000-aaaab")
    for name in "", "zzz":
        with pytest.raises(SessionNotFound, match=f"there is no session '{name}' in .*the latest is {second.id}"):
            workspace.find(name)


def test_only_sessions_count(workspace: Workspace) -> None:
    session = workspace.new_session(NOON, "aaaaa")
    (workspace.path / "notes").mkdir()
    (workspace.path / "20250112-120000-bbbbb").touch()
    (workspace.path / "20250112-120000-ccccc").symlink_to("/")
    assert workspace.sessions() == [session]


def test_place_that_cannot_be_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=f"cannot make {tmp_path / 'file'}"):
        Workspace(tmp_path / "file" / "w").new_session()
    with pytest.raises(StorageError, match=f"cannot read {tmp_path / 'file'}"):
        Workspace(tmp_path / "file").sessions()
    (tmp_path / "w" / "latest").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot replace .*/latest: Is a directory"):
        Workspace(tmp_path / "w").new_session()
    assert not list((tmp_path / "w").glob(f"{TEMPORARY}*"))


def test_places_in_a_session(tmp_path: Path) -> None:
    session = SessionDir(tmp_path / "20250112-120000-ab12c")
    assert session.log_path == session.path / "events.jsonl"
    assert session.lock_path == session.path / "lock"
    assert session.root.path == session.blobs.root.path == session.path
    assert session.attempt("build", 2) == "attempts/build/2"
    assert session.outputs("build") == "outputs/build"
    assert session.result(2, "md") == "results/agent-02-result.md"


def test_tasks_in_folders_keep_their_folders(tmp_path: Path) -> None:
    """As S2 lays them out; that no id is a folder of another one is checked with the plan."""
    session = SessionDir(tmp_path)
    assert session.attempt("a/1", 1) == "attempts/a/1/1"
    assert session.outputs("a/b") == "outputs/a/b"


def test_sweep_leaves_other_processes_and_attempts_alone(workspace: Workspace) -> None:
    session = workspace.new_session()
    names = ["", "status", "blobs", "control", "attempts", "outputs"]
    for name in names:
        (session.path / name).mkdir(exist_ok=True)
        (session.path / name / f"{TEMPORARY}1").touch()
    (session.path / "file").touch()
    session.sweep()
    left = [name for name in names if (session.path / name / f"{TEMPORARY}1").exists()]
    assert left == ["control", "attempts", "outputs"]
