"""The commits that an agent made itself, taken out of a repository that nobody trusts.

git never works in that repository: its settings, hooks and index are not read. Its refs are read as the plain files
that they are, its objects are packed by a git of ours, checked one by one, and stored with the user's.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.errors import GitUnusable, OrchestratorError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees.furnishing import ALTERNATES, quoted
from orchestrator_nb.worktrees.git import LONG, Git

#: Refs, and bytes of one file of refs, that are read at most.
_MOST_REFS, _MOST_BYTES = 1000, 2**20
_MOST_OBJECTS = 1_000_000
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PACKED = re.compile(r"^([0-9a-f]{40}(?:[0-9a-f]{24})?) (refs/\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heads:
    """What a repository's refs name."""

    #: The commit that is checked out; "" if it cannot be told.
    head: str
    #: All others, by ref.
    others: dict[str, str]


def read_heads(git_dir: Path) -> Heads:
    """The ids that a repository's own files name. What is damaged, or no regular file, names nothing."""
    root = Root(git_dir)
    refs = {match[2]: match[1] for match in _PACKED.finditer(_text(root, "packed-refs"))}
    for name in _loose(git_dir):
        if _ID.fullmatch(found := _text(root, name).strip()):
            refs[name] = found
    head = _text(root, "HEAD").strip()
    if head.startswith("ref: "):
        head = refs.get(head.removeprefix("ref: ").strip(), "")
    others = dict(list(refs.items())[:_MOST_REFS])
    return Heads(head if _ID.fullmatch(head) else "", others)


def fault_of(git_dir: Path, alternates: bytes, limit: int) -> str:
    """Why a repository's objects cannot be read safely; "" if they can.

    It must be plain files and directories, of at most `limit` bytes, and borrow only the objects that we gave it.
    """
    if not _is_directory(git_dir) or not _is_directory(git_dir / "objects"):
        return "its .git is no longer the directory that it was"
    try:
        if Root(git_dir).read_bytes(f"objects/{ALTERNATES}", _MOST_BYTES) != alternates:
            return "it borrows objects of other repositories"
    except OrchestratorError:
        return "it no longer borrows the objects of your repository"
    size = count = 0
    pending = [git_dir / "objects"]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                count += 1
                if stat.S_ISDIR(found.st_mode):
                    pending.append(Path(entry.path))
                elif not stat.S_ISREG(found.st_mode):
                    return "its objects are not all regular files"
                size += found.st_size
                if size > limit or count > _MOST_OBJECTS:
                    return f"its objects have more than {limit} bytes, or are more than {_MOST_OBJECTS}"
    return ""


def take_over(git: Git, git_dir: Path, commits: list[str], base: str, limit: int) -> str:
    """Store the history from `base` to `commits` with the user's objects; returns what is wrong, "" if it is done.

    Call it only when `fault_of` finds nothing. Every object is checked as `git fsck --strict` does.
    """
    try:
        theirs = git.within(git_alternate_object_directories=os.fsdecode(quoted(git_dir / "objects")))
        for commit in commits:
            if theirs.word("cat-file", "-t", commit) != "commit":
                return f"{commit} is no commit"
        if _connected(git, commits, base):
            return ""
        wanted = "".join([*(f"{commit}\n" for commit in commits), f"^{base}\n"]).encode()
        pack = theirs.run("pack-objects", "--revs", "--stdout", "-q", "--thin", stdin=wanted, timeout=LONG)
        git.run(
            "index-pack", "--strict", "--stdin", "--fix-thin", f"--max-input-size={limit}", stdin=pack, timeout=LONG
        )
        return "" if _connected(git, commits, base) else "its history has gaps"
    except GitUnusable as error:
        return str(error)


def _connected(git: Git, commits: list[str], base: str) -> bool:
    """Whether everything that `commits` add to `base` is there."""
    arguments = ("rev-list", "--objects", "--quiet", *commits, f"^{base}")
    return git.ask(*arguments, ok=(0, 1, 128), timeout=LONG)[0] == 0


def _loose(git_dir: Path) -> list[str]:
    names: list[str] = []
    for directory, inner, files in os.walk(git_dir / "refs"):
        inner.sort()
        relative = Path(directory).relative_to(git_dir).as_posix()
        names += [f"{relative}/{name}" for name in sorted(files)]
        if len(names) > _MOST_REFS:
            break
    return names[:_MOST_REFS]


def _text(root: Root, name: str) -> str:
    try:
        return root.read_bytes(name, _MOST_BYTES).decode("utf-8", "replace")
    except OrchestratorError:
        return ""


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
