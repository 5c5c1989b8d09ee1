from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.errors import UnsupportedRepository
from orchestrator_nb.worktrees.git import Git
from orchestrator_nb.worktrees.repository import Repository, find_repository
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.git_repositories import git, make_repository, users_own, write


def find(directory: Path, tmp_path: Path) -> Repository | None:
    return find_repository(directory, Git.find(tmp_path / "home"))


def test_the_checkout_is_found_from_within(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "a repo")
    found = find(top / "src", tmp_path)
    assert found is not None
    assert (found.top, found.prefix, found.objects) == (top, "src", top / ".git/objects")
    assert found.ref("HEAD") == git(top, "rev-parse", "HEAD")
    assert found.ref("refs/heads/nothing") == ""


def test_outside_of_git_there_is_none(tmp_path: Path) -> None:
    assert find(tmp_path, tmp_path) is None


def test_a_bare_repository_is_refused_by_name(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    with pytest.raises(UnsupportedRepository, match=r"bare\.git is a bare repository: clone it"):
        find(tmp_path / "bare.git", tmp_path)


def test_the_inside_of_a_git_directory_is_refused_by_name(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "repo")
    with pytest.raises(UnsupportedRepository, match=r"is inside of a \.git: go to the checkout"):
        find(top / ".git" / "refs", tmp_path)


def test_a_repository_without_a_commit_is_refused_by_name(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(UnsupportedRepository, match=r"has no commit yet.*git commit --allow-empty"):
        find(tmp_path, tmp_path)


def test_a_sparse_checkout_is_refused_by_name(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "repo")
    git(top, "sparse-checkout", "set", "src")
    with pytest.raises(UnsupportedRepository, match="checked out sparsely: git sparse-checkout disable"):
        find(top, tmp_path)
    git(top, "sparse-checkout", "disable")
    assert find(top, tmp_path) is not None


def test_a_partial_clone_is_refused_by_name(tmp_path: Path) -> None:
    source = make_repository(tmp_path / "source")
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{source}", "partial")
    with pytest.raises(UnsupportedRepository, match="is a partial clone, which would fetch while agents work"):
        find(tmp_path / "partial", tmp_path)


def test_unmerged_files_are_refused_by_name(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "repo")
    git(top, "checkout", "-q", "-b", "other")
    write(top, {"a.txt": "other\n"})
    git(top, "commit", "-qam", "other")
    git(top, "checkout", "-q", "main")
    write(top, {"a.txt": "main\n"})
    git(top, "commit", "-qam", "main")
    git(top, "merge", "other", ok=False)
    with pytest.raises(UnsupportedRepository, match="has unmerged files: finish the merge, or abort it"):
        find(top, tmp_path)


def shallow(tmp_path: Path) -> Path:
    source = make_repository(tmp_path / "source")
    write(source, {"a.txt": "2\n"})
    git(source, "commit", "-qam", "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{source}", "clone")
    return tmp_path / "clone"


def linked(tmp_path: Path) -> Path:
    git(make_repository(tmp_path / "source"), "worktree", "add", "-q", str(tmp_path / "linked"))
    return tmp_path / "linked"


def submodule(tmp_path: Path) -> Path:
    source = make_repository(tmp_path / "source")
    outer = make_repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(source), "inner")
    return outer / "inner"


def of_sha256(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    return make_repository(tmp_path / "new")


def borrowing(tmp_path: Path) -> Path:
    make_repository(tmp_path / "source")
    git(tmp_path, "clone", "-q", "--shared", "source", "borrows : some")
    return tmp_path / "borrows : some"


@pytest.mark.parametrize("make", [shallow, linked, submodule, of_sha256, borrowing])
def test_other_kinds_of_checkouts_are_worked_in(tmp_path: Path, make: object) -> None:
    assert callable(make)
    top: Path = make(tmp_path)
    places = Worktrees(top, tmp_path / "session", "S1")
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"new.txt": "new\n"})
    git(place.path, "add", "new.txt")
    git(place.path, "commit", "-qm", "mine")
    work = places.collect(place).work
    assert git(top, "show", f"{work}:new.txt") == "new"
    assert git(top, "log", "--format=%s", "-1", work) == "mine"


def test_the_users_hooks_filters_and_aliases_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H11: what is set in a repository, or for a user, does not run programs when agents work there."""
    top = make_repository(
        tmp_path / "repo", {"a.txt": "a\n", ".gitattributes": "*.txt filter=evil diff=evil merge=evil\n"}
    )
    home = tmp_path / "users-home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = touch {tmp_path}/ran-global\n\tpager = touch {tmp_path}/ran-pager\n"
    )
    monkeypatch.setenv("HOME", str(home))
    for name in ("clean", "smudge", "process"):
        git(top, "config", f"filter.evil.{name}", f"touch {tmp_path}/ran-{name}; cat")
    git(top, "config", "diff.evil.textconv", f"touch {tmp_path}/ran-textconv; cat")
    git(top, "config", "merge.evil.driver", f"touch {tmp_path}/ran-merge; false")
    git(top, "config", "core.fsmonitor", f"touch {tmp_path}/ran-fsmonitor")
    for hook in ("reference-transaction", "post-checkout", "post-index-change", "pre-commit", "post-commit"):
        path = top / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{hook}\n")
        path.chmod(0o755)
    write(top, {"new.md": "dirty"})
    before = {name: content for name, content in users_own(top).items() if "index" not in name}
    for ran in tmp_path.glob("ran-*"):  # the user's own git ran them
        ran.unlink()
    places = Worktrees(top, tmp_path / "session", "S1")
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"a.txt": "changed\n"})
    collected = places.collect(place)
    assert [change.path for change in collected.changes] == ["a.txt"]
    assert collected.notes == ("a.txt: git's filter was not run, the file is committed as it is",)
    assert places.base.dirty
    assert list(tmp_path.glob("ran-*")) == []
    assert {name: content for name, content in users_own(top).items() if "index" not in name} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to somebody else")
def test_a_repository_of_somebody_else_is_trusted_only_if_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = make_repository(tmp_path / "repo")
    for path in (top, top / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UnsupportedRepository, match=r"belongs to another user; if you trust it: git config --global"):
        find(top, tmp_path)
    write(tmp_path, {".gitconfig": f"[safe]\n\tdirectory = {top}\n"})
    place = Worktrees(top, tmp_path / "session", "S1").open("T-01", 1, "Agent-01")
    assert (place.path / "a.txt").exists()
