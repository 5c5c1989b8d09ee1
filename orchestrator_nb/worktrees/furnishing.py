"""A ``.git`` of our making: a repository of its own for one place, with the user's objects borrowed.

An agent may do with it what it likes (commit, reset, plant hooks): it is no part of the user's repository, and it is
never used by the coordinator, which reads the files of the place with a repository of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.worktrees.repository import Repository

#: Where a place's repository names the objects that it borrows.
ALTERNATES = "info/alternates"


@dataclass(frozen=True, slots=True)
class Furniture:
    """What a ``.git`` is made with."""

    #: The branch that is checked out, and the commit that it names; "" for a repository without any.
    branch: str
    head: str
    #: Name and address of whoever commits there.
    author: tuple[str, str]
    #: Extra patterns of what git ignores.
    exclude: bytes = b""
    #: The index that fits the files; it is copied with its time, by which git knows which files to look at again.
    index: Path | None = None


def furnish(git_dir: Path, repository: Repository, furniture: Furniture) -> None:
    """Make the directory `git_dir`; it must not exist. Raises `OSError`."""
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        Path(git_dir, name).mkdir(parents=True, mode=0o700)
    files = {
        "HEAD": f"ref: refs/heads/{furniture.branch or 'none'}\n".encode(),
        "config": configuration(repository, furniture.author).encode(),
        "info/exclude": repository.exclude + furniture.exclude,
        f"objects/{ALTERNATES}": alternates(repository.objects),
    }
    if repository.attributes:
        files["info/attributes"] = repository.attributes
    if repository.shallow:
        files["shallow"] = repository.shallow
    if furniture.head:
        files[f"refs/heads/{furniture.branch}"] = f"{furniture.head}\n".encode()
    for name, content in files.items():
        path = git_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if furniture.index is not None:
        shutil.copy2(furniture.index, git_dir / "index")


def configuration(repository: Repository, author: tuple[str, str]) -> str:
    """The file ``config`` of a place's repository."""
    core: Mapping[str, str] = {
        "repositoryformatversion": "1" if repository.object_format != "sha1" else "0",
        "bare": "false",
        **repository.settings,
    }
    lines = ["[core]", *(f"\t{name} = {value}" for name, value in core.items())]
    if repository.object_format != "sha1":
        lines += ["[extensions]", f"\tobjectformat = {repository.object_format}"]
    name, address = author
    lines += ["[user]", f'\tname = "{name}"', f"\temail = {address}", "[gc]", "\tauto = 0"]
    return "\n".join(lines) + "\n"


def alternates(objects: Path) -> bytes:
    """What the file ``objects/info/alternates`` says of objects that are borrowed."""
    return quoted(objects) + b"\n"


def quoted(path: Path) -> bytes:
    """A path as git reads it in a list of object directories: quoted where it could be taken for more than one."""
    raw = os.fsencode(path)
    if not set(raw) & set(b':"\\\n#'):
        return raw
    escaped = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
