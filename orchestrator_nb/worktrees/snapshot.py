"""The files of a directory as a tree of git, whatever was planted in it, with an index of ours."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.worktrees.git import LONG, Git, joined, split
from orchestrator_nb.worktrees.own_commits import read_heads
from orchestrator_nb.worktrees.places import LeftOut

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken over from a place, in bytes; files beyond are left out, by name."""

    #: One file.
    file: int = 100 * MIB
    #: All changed files together.
    total: int = 2048 * MIB
    #: The repository that an agent made of its own commits.
    history: int = 512 * MIB


@dataclass(frozen=True, slots=True)
class Recorded:
    """A tree, and what of the directory is not in it."""

    tree: str
    left_out: tuple[LeftOut, ...]
    #: Files that a filter (LFS) should have kept: they are in the tree as they are.
    unfiltered: tuple[str, ...]


def record(git: Git, top: Path, limits: Limits, of_the_user: bool = False) -> Recorded:
    """Write the files below `top` as a tree; what is ignored is not in it.

    `git` has a repository, an index and objects of ours, and `top` as work tree. Repositories inside of it are taken
    as files, without their ``.git``. In the user's own checkout (`of_the_user`) they are left out, and so are changed
    files that a filter keeps, since the filter is not run.

    Raises:
        GitUnusable: git fails, such as on a pipe in the place of ``.gitignore``.
    """
    survey = _Survey(git, top, limits, of_the_user)
    survey.look()
    git.run("update-index", "-z", "--force-remove", "--stdin", stdin=joined(survey.gone), timeout=LONG)
    update = ("update-index", "-z", "--add", "--replace", "--stdin")
    git.run(*update, stdin=joined(survey.taken), timeout=LONG)
    survey.look_again()
    return Recorded(git.word("write-tree"), tuple(survey.left_out), tuple(survey.unfiltered))


class _Survey:
    """The differences between the index and the files, and what becomes of each."""

    def __init__(self, git: Git, top: Path, limits: Limits, of_the_user: bool) -> None:
        self.git, self.top, self.limits, self.of_the_user = git, top, limits, of_the_user
        self.taken: list[str] = []
        self.gone: list[str] = []
        self.left_out: list[LeftOut] = []
        self.unfiltered: list[str] = []
        self._room = limits.total
        self._parents: dict[str, bool] = {"": True}

    def look(self) -> None:
        """Sort what differs into `taken`, `gone` and `left_out`."""
        tracked = self._changed()
        untracked: list[str] = []
        for path in self._untracked():
            if path.endswith("/"):
                untracked += self._nested(path)
            else:
                untracked.append(path)
        filtered = self._filtered([*tracked, *untracked])
        for path in tracked:
            self._sort(path, filtered.get(path, ""), tracked=True)
        for path in untracked:
            self._sort(path, filtered.get(path, ""), tracked=False)
        if not self.of_the_user:
            self._look_into_submodules()

    def look_again(self) -> None:
        """Add to `left_out` what still differs: names that git refuses, and files that go on changing."""
        known = {item.path for item in self.left_out}
        for path in self._untracked():
            if not path.endswith("/") and path not in known:
                self.left_out.append(LeftOut(path, "git refuses the name"))
        for path in self._changed():
            if path not in known:
                self.left_out.append(LeftOut(path, "it changed while it was being read"))
        if not self.of_the_user:
            self._look_for_repositories()

    def _changed(self) -> list[str]:
        return split(self.git.run("diff-files", "-z", "--name-only", "--ignore-submodules=all", timeout=LONG))

    def _untracked(self) -> list[str]:
        return split(self.git.run("ls-files", "-z", "--others", "--exclude-standard", timeout=LONG))

    def _sort(self, path: str, kept_by: str, tracked: bool) -> None:
        try:
            found = (self.top / path).lstat() if self._in_the_tree(path) else None
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if self.of_the_user and kept_by and found is not None:
            self.left_out.append(LeftOut(path, f"the filter {kept_by!r} keeps it: its committed state is used"))
        elif found is None or stat.S_ISDIR(found.st_mode):
            if tracked:
                self.gone.append(path)
        elif reason := self._fault(path, found):
            self.left_out.append(LeftOut(path, reason))
            if not stat.S_ISREG(found.st_mode):
                self.gone.append(path)
        else:
            self._room -= found.st_size
            self.taken.append(path)
            if kept_by:
                self.unfiltered.append(path)

    def _fault(self, path: str, found: os.stat_result) -> str:
        """Why a file cannot be taken; "" if it can."""
        if stat.S_ISLNK(found.st_mode):
            return ""
        if not stat.S_ISREG(found.st_mode):
            return "it is no regular file (a pipe, a socket or a device)"
        if found.st_size > self.limits.file:
            return f"it has {found.st_size} bytes, more than the {self.limits.file} that one file may have"
        if found.st_size > self._room:
            return f"the changed files have more than {self.limits.total} bytes together"
        try:
            os.close(os.open(self.top / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return ""

    def _in_the_tree(self, path: str) -> bool:
        """Whether the way to `path` goes through directories only, not through a link."""
        parent = path.rpartition("/")[0]
        if parent not in self._parents:
            try:
                directory = stat.S_ISDIR((self.top / parent).lstat().st_mode)
            except OSError:
                directory = False
            self._parents[parent] = directory and self._in_the_tree(parent)
        return self._parents[parent]

    def _nested(self, path: str) -> Iterable[str]:
        """The files of a repository inside of the tree."""
        if self.of_the_user:
            self.left_out.append(LeftOut(path, "it is a repository of its own"))
            return []
        files = list(_files(self.top, path.rstrip("/")))
        ignored = self.git.run("check-ignore", "-z", "--no-index", "--stdin", stdin=joined(files), ok=(0, 1))
        dropped = set(split(ignored))
        return [file for file in files if file not in dropped]

    def _filtered(self, paths: list[str]) -> dict[str, str]:
        """The paths that a filter keeps, with its name."""
        if not paths:
            return {}
        said = self.git.run("check-attr", "-z", "--stdin", "filter", stdin=joined(paths), timeout=LONG)
        fields = [os.fsdecode(item) for item in said.split(b"\0")]
        facts = zip(fields[::3], fields[2::3], strict=False)
        return {path: value for path, value in facts if value not in ("unspecified", "unset", "set", "")}

    def _look_for_repositories(self) -> None:
        """Repositories that were made below the top: their history is nowhere else."""
        parents = {path.rpartition("/")[0] for path in split(self.git.run("ls-files", "-z"))}
        directories = {
            "/".join(path.split("/")[: depth + 1]) for path in parents for depth in range(path.count("/") + 1)
        }
        for directory in sorted(directories - {""}):
            if not os.path.lexists(self.top / directory / ".git"):
                continue
            heads = read_heads(self.top / directory / ".git")
            if heads.head or heads.others:
                reason = "a repository of its own: its files are taken over, its history is not"
                self.left_out.append(LeftOut(f"{directory}/.git", reason))

    def _look_into_submodules(self) -> None:
        for entry in split(self.git.run("ls-files", "-z", "--stage")):
            if entry.startswith("160000 "):
                path = entry.partition("\t")[2]
                directory = self.top / path
                if self._in_the_tree(f"{path}/x") and next(directory.iterdir(), None) is not None:
                    self.left_out.append(LeftOut(path, "it is a submodule: what is written into one is not taken"))


def _files(top: Path, directory: str) -> Iterator[str]:
    """What is no directory below `directory`, without any ``.git``; links are not followed."""
    with os.scandir(top / directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{directory}/{entry.name}"
            if entry.name.lower() == ".git":
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(top, path)
            else:
                yield path
