from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator_nb.worktrees.places import Place
from orchestrator_nb.worktrees.snapshot import Limits
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.git_repositories import git, make_repository, tree, users_own, write

NOT_TAKEN = "the agent's own commits could not be taken over"


@pytest.fixture
def places(tmp_path: Path) -> Worktrees:
    return Worktrees(make_repository(tmp_path / "repo"), tmp_path / "session", "S1")


@pytest.fixture
def place(places: Worktrees) -> Place:
    """A place in which the agent made one commit, and left one file beside."""
    made = places.open("T-01", 1, "Agent-01")
    write(made.path, {"mine.txt": "1\n"})
    git(made.path, "add", "-A")
    git(made.path, "commit", "-qm", "mine")
    write(made.path, {"rest.txt": "2\n"})
    return made


def test_own_commits_are_kept_and_the_rest_is_a_last_one(places: Worktrees, place: Place) -> None:
    collected = places.collect(place, "Do it")
    repository = places.repository.top
    assert len(collected.commits) == 2
    assert git(repository, "log", "--reverse", "--format=%s", f"{place.base}..{collected.work}") == "mine\nDo it"
    assert (
        git(repository, "log", "-1", "--format=%an <%ae>", collected.work) == "Agent-01 <agent-01@orchestrator.invalid>"
    )
    assert git(repository, "fsck", "--strict", "--connectivity-only") == ""
    assert collected.notes == ()
    assert git(place.path, "status", "--short") == ""


def test_an_agent_commits_under_its_label_by_itself(places: Worktrees) -> None:
    place = places.open("T-02", 1, 'Agent "02"')
    assert git(place.path, "config", "--local", "user.name") == "Agent 02"


def test_commits_that_are_not_checked_out_are_kept_aside(places: Worktrees, place: Place) -> None:
    git(place.path, "stash", "-q", "-u")
    git(place.path, "checkout", "-q", "-b", "side")
    write(place.path, {"side.txt": "3\n"})
    git(place.path, "add", "-A")
    git(place.path, "commit", "-qm", "side")
    side, stash = git(place.path, "rev-parse", "side"), git(place.path, "rev-parse", "stash")
    git(place.path, "checkout", "-q", "-")
    git(place.path, "pack-refs", "--all")
    places.collect(place)
    kept = places.repository.refs("refs/orchestrator/S1/tasks/T-01/1/own").values()
    assert {side, stash} <= set(kept)
    assert git(places.repository.top, "show", f"{side}:side.txt") == "3"


def test_a_history_of_its_own_is_kept_aside(places: Worktrees, place: Place) -> None:
    git(place.path, "checkout", "-q", "--orphan", "fresh")
    git(place.path, "commit", "-qm", "fresh")
    fresh = git(place.path, "rev-parse", "HEAD")
    collected = places.collect(place)
    assert collected.notes == (
        "the agent's history does not build upon the commit that it was given: it is kept aside",
    )
    assert git(places.repository.top, "rev-parse", f"{collected.work}^") == place.base
    assert fresh in places.repository.refs("refs/orchestrator/S1/tasks/T-01/1/own").values()
    assert sorted(change.path for change in collected.changes) == ["mine.txt", "rest.txt"]


def git_file(place: Place, tmp_path: Path) -> None:
    shutil.move(place.path / ".git", tmp_path / "elsewhere")
    (place.path / ".git").write_text(f"gitdir: {tmp_path}/elsewhere\n")


def git_link(place: Place, tmp_path: Path) -> None:
    shutil.move(place.path / ".git", tmp_path / "elsewhere")
    (place.path / ".git").symlink_to(tmp_path / "elsewhere")


def git_gone(place: Place, tmp_path: Path) -> None:
    shutil.rmtree(place.path / ".git")


def git_pipe(place: Place, tmp_path: Path) -> None:
    git_gone(place, tmp_path)
    os.mkfifo(place.path / ".git")


def head_pipe(place: Place, tmp_path: Path) -> None:
    (place.path / ".git/HEAD").unlink()
    os.mkfifo(place.path / ".git/HEAD")


def borrowed(place: Place, tmp_path: Path) -> None:
    secret = make_repository(tmp_path / "secret")
    (place.path / ".git/objects/info/alternates").write_text(f"{secret}/.git/objects\n")


def linked_objects(place: Place, tmp_path: Path) -> None:
    shutil.move(place.path / ".git/objects/pack", tmp_path / "pack")
    (place.path / ".git/objects/pack").symlink_to(tmp_path / "pack")


def pipe_for_object(place: Place, tmp_path: Path) -> None:
    path = next(path for path in (place.path / ".git/objects").glob("??/*"))
    path.unlink()
    os.mkfifo(path)


def broken_object(place: Place, tmp_path: Path) -> None:
    for path in (place.path / ".git/objects").glob("??/*"):
        path.chmod(0o600)
        path.write_bytes(b"no object")


def lost_objects(place: Place, tmp_path: Path) -> None:
    head = git(place.path, "rev-parse", "HEAD")
    lost = git(place.path, "rev-parse", "HEAD^{tree}")
    assert head != lost
    (place.path / ".git/objects" / lost[:2] / lost[2:]).unlink()


def forged_head(place: Place, tmp_path: Path) -> None:
    (place.path / ".git/HEAD").write_text("ref: ../../../../secret\n")


def forged_tree(place: Place, tmp_path: Path) -> None:
    """A commit whose tree holds a ``.git`` directory, which a careless checkout would run."""
    blob = git(place.path, "hash-object", "-w", "rest.txt")
    (tmp_path / "tree").write_bytes(b"100755 post-checkout\0" + bytes.fromhex(blob))
    hooks = git(place.path, "hash-object", "-w", "-t", "tree", "--literally", str(tmp_path / "tree"))
    (tmp_path / "tree").write_bytes(b"40000 .git\0" + bytes.fromhex(hooks))
    top = git(place.path, "hash-object", "-w", "-t", "tree", "--literally", str(tmp_path / "tree"))
    git(place.path, "update-ref", "HEAD", git(place.path, "commit-tree", top, "-p", place.base, "-m", "evil"))


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (git_file, ""),
        (git_link, f"{NOT_TAKEN}: its .git is no longer the directory that it was"),
        (git_gone, ""),
        (git_pipe, ""),
        (head_pipe, ""),
        (borrowed, f"{NOT_TAKEN}: it borrows objects of other repositories"),
        (linked_objects, f"{NOT_TAKEN}: its objects are not all regular files"),
        (pipe_for_object, f"{NOT_TAKEN}: its objects are not all regular files"),
        (broken_object, f"{NOT_TAKEN}: git "),
        (lost_objects, f"{NOT_TAKEN}: git "),
        (forged_head, ""),
        (forged_tree, f"{NOT_TAKEN}: git index-pack failed"),
    ],
)
def test_a_damaged_repository_loses_its_history_but_no_file(
    places: Worktrees, place: Place, tmp_path: Path, damage: Callable[[Place, Path], None], note: str
) -> None:
    damage(place, tmp_path)
    before = users_own(places.repository.top)
    collected = places.collect(place)
    assert sorted(change.path for change in collected.changes) == ["mine.txt", "rest.txt"]
    assert git(places.repository.top, "show", f"{collected.work}:mine.txt") == "1"
    assert [text for text in collected.notes if text.startswith(note or NOT_TAKEN)] == list(
        collected.notes[-1:] if note else ()
    )
    assert users_own(places.repository.top) == before
    assert git(places.repository.top, "fsck", "--strict", "--connectivity-only") == ""
    (found,) = places.left_over()
    assert found.clean == (NOT_TAKEN not in "".join(collected.notes)), found


def test_H2_what_an_agent_plants_in_its_repository_is_told_and_never_run(
    places: Worktrees, place: Place, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    (place.path / ".git/hooks").mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        (place.path / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (place.path / ".git/hooks" / hook).chmod(0o755)
    for setting in ("core.fsmonitor", "filter.x.clean", "filter.x.smudge", "core.sshCommand", "core.pager"):
        git(place.path, "config", setting, f"touch {ran}")
    git(place.path, "config", "core.worktree", str(tmp_path))
    write(
        place.path,
        {".gitattributes": "* filter=x\n", ".git/info/attributes": "* filter=x\n", ".git/info/exclude": "*\n"},
    )
    collected = places.collect(place)
    assert not ran.exists()
    assert collected.notes[:2] == (
        "the agent changed .git/config of its worktree; that was not used",
        "the agent made .git/hooks in its worktree; they were not run",
    )
    assert [change.path for change in collected.control_files] == [".gitattributes"]
    assert {change.path for change in collected.changes} == {".gitattributes", "mine.txt", "rest.txt"}
    assert git(place.path, "status", "--short") == ""
    assert not ran.exists()
    assert "hooks" not in tree(place.path / ".git", git_too=True)


def test_a_history_that_is_too_large_stays_where_it_is(tmp_path: Path) -> None:
    places = Worktrees(make_repository(tmp_path / "repo"), tmp_path / "session", "S1", Limits(history=1000))
    place = places.open("T-01", 1, "Agent-01")
    (place.path / "big").write_bytes(os.urandom(5000))
    git(place.path, "add", "-A")
    git(place.path, "commit", "-qm", "big")
    (place.path / "big").unlink()
    git(place.path, "commit", "-qam", "small again")
    assert places.collect(place).notes == (
        f"{NOT_TAKEN}: its objects have more than 1000 bytes, or are more than 1000000",
    )
    (found,) = places.left_over()
    assert (found.clean, found.reason) == (False, "it has commits that were not collected")
