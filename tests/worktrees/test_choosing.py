from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator_nb.errors import GitUnusable, UnsupportedRepository, WorktreeError
from orchestrator_nb.worktrees.choosing import places_for, places_of
from orchestrator_nb.worktrees.copies import Copies
from orchestrator_nb.worktrees.places import Places
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.git_repositories import git, make_repository, write


def test_worktrees_in_git_and_copies_elsewhere(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo")
    write(tmp_path / "plain", {"a": "a"})
    places: Places = places_for(repository / "src", tmp_path / "one", "S1")
    assert isinstance(places, Worktrees)
    places = places_for(tmp_path / "plain", tmp_path / "two", "S1")
    assert isinstance(places, Copies)


def test_a_session_stays_with_what_it_began_with(tmp_path: Path) -> None:
    write(tmp_path / "plain", {"a": "a"})
    places_for(tmp_path / "plain", tmp_path / "session", "S1").open("one", 1, "A")
    make_repository(tmp_path / "plain", {})
    assert isinstance(places_for(tmp_path / "plain", tmp_path / "session", "S1"), Copies)
    assert isinstance(places_for(tmp_path / "plain", tmp_path / "other", "S1"), Worktrees)


def test_without_git_a_repository_is_refused_and_a_directory_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path / "repo")
    write(tmp_path / "plain", {"a": "a"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitUnusable, match=r"repo lies in a git repository, but git is not installed"):
        places_for(repository, tmp_path / "one", "S1")
    assert isinstance(places_for(tmp_path / "plain", tmp_path / "two", "S1"), Copies)


def test_a_repository_that_cannot_be_worked_in_gets_no_copies_instead(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "new")
    with pytest.raises(UnsupportedRepository, match="has no commit yet"):
        places_for(tmp_path / "new", tmp_path / "one", "S1")
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    with pytest.raises(UnsupportedRepository, match="is a bare repository"):
        places_for(tmp_path / "bare.git", tmp_path / "two", "S1")


def test_the_places_of_a_session_are_found_again(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo")
    write(tmp_path / "plain", {"a": "a"})
    for directory, name in ((repository / "src", "S1"), (tmp_path / "plain", "S2")):
        place = places_for(directory, tmp_path / name, name).open("one", 1, "A")
        found = places_of(tmp_path / name)
        assert found is not None
        assert [left.path for left in found.left_over()] == [place.path]
        assert found.open("one", 1, "A") == place
    (tmp_path / "S3").mkdir()
    assert places_of(tmp_path / "S3") is None
    shutil.rmtree(repository)
    with pytest.raises(WorktreeError, match="repo"):
        places_of(tmp_path / "S1")
