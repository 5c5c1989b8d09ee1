"""Worktrees where there is git, copies where there is none."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator_nb.errors import GitUnusable
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees.copies import Copies
from orchestrator_nb.worktrees.directories import disk
from orchestrator_nb.worktrees.git import Git
from orchestrator_nb.worktrees.repository import find_repository
from orchestrator_nb.worktrees.worktrees import Worktrees

#: The file that names the directory in which the session's plan works.
_DIRECTORY = "directory"


def places_for(directory: Path, session_dir: Path, session: str) -> Worktrees | Copies:
    """The places of a session whose plan works in `directory`: worktrees in a git repository, else copies.

    A session that has begun with one stays with it.

    Raises:
        UnsupportedRepository: It is a repository in which agents cannot work: the message says why.
        GitUnusable: It is a repository, but git is missing, too old or fails.
        WorktreeError: `directory` is none.
    """
    root = session_dir.absolute() / "worktrees"
    with disk("make", root):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not Root(root).exists(_DIRECTORY):
        Root(root).write_atomic(_DIRECTORY, os.fsencode(directory.absolute()), sync=True)
    if (root / "git").is_dir():
        return Worktrees(directory, session_dir, session)
    if (root / "steps").is_dir() or not _in_a_repository(directory, root / "home"):
        return Copies(directory, session_dir, session)
    return Worktrees(directory, session_dir, session)


def places_of(session_dir: Path) -> Worktrees | Copies | None:
    """The places of a session that is on disk; None if it has none. For whoever holds the session's lock.

    Raises as `places_for` does: such as when the directory in which the plan worked is gone.
    """
    root = Root(session_dir.absolute() / "worktrees")
    if not root.path.is_dir() or not root.exists(_DIRECTORY):
        return None
    return places_for(Path(os.fsdecode(root.read_bytes(_DIRECTORY, 2**16))), session_dir, session_dir.name)


def _in_a_repository(directory: Path, home: Path) -> bool:
    above = (directory.absolute(), *directory.absolute().parents)
    if not any((parent / ".git").exists() or (parent / "HEAD").exists() for parent in above):
        return False
    with disk("make", home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return find_repository(directory, Git.find(home)) is not None
    except GitUnusable as error:
        raise type(error)(f"{directory} lies in a git repository, but {error}") from error
