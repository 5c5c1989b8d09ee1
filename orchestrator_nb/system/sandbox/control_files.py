"""Files by which a directory tells programs what to do: git, coding agents, editors, Python, shells.

An agent that may write in a directory could plant them there, for others to obey outside the sandbox. Some are
*locked*: read-only where they exist, and directories of them are made, empty, where they do not, so that nobody can
make them (an empty directory means nothing to git or to a tool). All others are *watched*: what appeared, changed or
went is listed afterwards, for somebody to look at. Watched are those further down, and all where the level of
containment cannot lock (Landlock).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

#: Directories that are locked, and made where they are missing. A `.git` alone is not: it would make a repository.
LOCKED_DIRECTORIES = (
    ".agents",
    ".claude",
    ".codex",
    ".cursor",
    ".devcontainer",
    ".gemini",
    ".husky",
    ".idea",
    ".vscode",
)
#: What is locked where it exists; where it does not, its appearance is noticed.
LOCKED = (*LOCKED_DIRECTORIES, ".direnv", ".envrc", ".git", ".gitconfig", ".mcp.json")
#: What is watched besides, at any depth and in any case: agents may have good reasons to change it.
WATCHED = (
    *(".gitattributes", ".githooks", ".gitmodules", ".pre-commit-config.yaml"),
    *(".aider.conf.yml", ".claude.json", ".cursorrules", ".orchestrator", ".zed"),
    *("AGENTS.md", "AGENTS.override.md", "CLAUDE.local.md", "CLAUDE.md", "GEMINI.md"),
    *(".circleci", ".github", ".gitlab-ci.yml", "Jenkinsfile", "azure-pipelines.yml"),
    *(".ipython", ".jupyter", ".pdbrc", ".pypirc", ".pythonrc", "pip.conf"),
    *("conftest.py", "sitecustomize.py", "usercustomize.py"),
    *(".cargo", ".npmrc", ".pnpmfile.cjs", ".yarnrc", ".yarnrc.yml"),
    *(".bash_profile", ".bashrc", ".env", ".netrc", ".profile", ".ssh", ".zshenv", ".zshrc"),
)
_NAMES = frozenset(name.lower() for name in (*LOCKED, *WATCHED))
_PATTERN = re.compile(r"\.env\..+|.+\.pth|.+\.code-workspace|jupyter_.*config\.(?:py|json)")
#: Of a repository, what git obeys; its objects and refs are data.
_OF_GIT = ("HEAD", "commondir", "config", "config.worktree", "gitdir", "hooks", "info", "modules", "worktrees")
#: Entries of a tree that are looked at, and bytes of a file.
MOST_ENTRIES, MOST_BYTES = 500_000, 4 << 20

Kind = Literal["appeared", "changed", "went", "not compared"]


@dataclass(frozen=True, slots=True, order=True)
class ControlChange:
    """A control file that is not as it was."""

    path: Path
    #: `not compared`: the tree has too many entries, those under `path` were not looked at.
    kind: Kind

    def __str__(self) -> str:
        """For people: ``src/conftest.py appeared``."""
        return f"{self.path} {self.kind}"


def is_control_name(name: str, more: Collection[str] = ()) -> bool:
    """Whether programs obey a file or directory of this name, and what is in it; `more` are names besides ours."""
    lower = name.lower()
    return lower in _NAMES or name in more or _PATTERN.fullmatch(lower) is not None


def locked(directory: Path) -> list[Path]:
    """The control files and directories at the top of a directory that can be locked: those that are there.

    A symbolic link cannot be locked. What it leads to is, where that lies in the directory; the link is watched.
    """
    found = []
    top = directory.resolve()
    for name in LOCKED:
        path = top / name
        if path.is_symlink():
            path = path.resolve()
            if not path.is_relative_to(top) or path == top:
                continue
        if path.exists():
            found.append(path)
    return found


@dataclass(frozen=True, slots=True)
class ControlGuard:
    """The control files of some directories as they were when a process was let in. Blocking: for threads.

    Use: ``guard = ControlGuard.begin(policy.writable)``, then contain and run, then ``changes = guard.end()``.
    """

    directories: tuple[Path, ...]
    before: dict[Path, str]
    #: Empty directories that were made, so that nobody else makes them.
    made: tuple[Path, ...]
    unseen: frozenset[Path] = field(default_factory=frozenset)
    #: Names that are watched besides `LOCKED` and `WATCHED`.
    more: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def begin(cls, directories: Sequence[Path], more: Collection[str] = ()) -> ControlGuard:
        """Look at the control files, then make the directories that are missing; `more` are names to watch besides."""
        tops, more = tuple(directory.resolve() for directory in directories), frozenset(more)
        before, unseen = _look(tops, more)
        made = []
        for top in tops:
            for name in LOCKED_DIRECTORIES:
                try:
                    (top / name).mkdir()
                except OSError:
                    continue  # it is there, as whatever; or nobody can make it
                made.append(top / name)
        return cls(tops, before, tuple(made), frozenset(unseen), more)

    def end(self) -> tuple[ControlChange, ...]:
        """Take away what was made and is still empty; say what is not as it was, in the order of the paths."""
        for path in self.made:
            try:
                path.rmdir()
            except OSError:
                continue  # something is in it, and so is reported, or it is gone
        after, unseen = _look(self.directories, self.more)
        changes = [ControlChange(path, "not compared") for path in self.unseen | unseen]
        for path in self.before.keys() | after.keys():
            if path not in self.before:
                changes.append(ControlChange(path, "appeared"))
            elif path not in after:
                changes.append(ControlChange(path, "went"))
            elif self.before[path] != after[path]:
                changes.append(ControlChange(path, "changed"))
        return tuple(sorted(changes))


def _look(tops: Sequence[Path], more: Collection[str]) -> tuple[dict[Path, str], set[Path]]:
    """Control files below these directories with what they are; and directories that there was no time to look into."""
    found: dict[Path, str] = {}
    unseen: set[Path] = set()
    left = MOST_ENTRIES
    waiting = [(top, False) for top in tops]
    while waiting:
        directory, inside = waiting.pop()
        if left <= 0:
            unseen.add(directory)
            continue
        for entry in _entries(directory):
            left -= 1
            path = Path(entry.path)
            control = inside or is_control_name(entry.name, more)
            is_directory = entry.is_dir(follow_symlinks=False)
            if control:
                found[path] = _mark(path)
            if is_directory and entry.name == ".git":
                waiting += _parts_of_git(path, found)
            elif is_directory:
                waiting.append((path, control))
    return found, unseen


def _parts_of_git(repository: Path, found: dict[Path, str]) -> Iterator[tuple[Path, bool]]:
    """What git obeys in a repository: its files are marked, its directories are to be looked into."""
    for name in _OF_GIT:
        path = repository / name
        if os.path.lexists(path) and name != "HEAD":
            found[path] = _mark(path)
        if path.is_dir() and not path.is_symlink():
            yield path, True


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []


def _mark(path: Path) -> str:
    """What a file is, so that any change of it shows: kind, mode, and target or content. Links are not followed."""
    try:
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            return f"link {path.readlink()}"
        if not stat.S_ISREG(facts.st_mode):
            return f"{stat.filemode(facts.st_mode)}"
        if facts.st_size > MOST_BYTES:
            return f"{facts.st_mode} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            return f"{facts.st_mode} {sha256(file.read(MOST_BYTES)).hexdigest()}"
    except OSError as error:
        return f"unreadable: {error.errno}"
