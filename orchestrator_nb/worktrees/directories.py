"""Directories that agents wrote in: looking at them, and removing them, without following a link."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator_nb.storage.files import TEMPORARY
from orchestrator_nb.storage.remedies import refused


def is_directory(path: Path) -> bool:
    """Whether it is a directory itself: a link to one is none."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def free_name(path: Path) -> Path:
    """A name beside `path` that nothing has: ``2.aside``, ``2.aside.2``, ..."""
    found, number = path.with_name(f"{path.name}.aside"), 1
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.name}.aside.{number}")
    return found


def discard(path: Path) -> None:
    """Remove a directory so that it is gone at once for everybody, and half removed under another name only.

    Raises `StorageError`.
    """
    gone = path.with_name(f"{path.name}{_DISCARDED}")
    remove_tree(gone)
    with disk("remove", path):
        path.rename(gone)
    remove_tree(gone)


def sweep(directories: Iterable[Path]) -> None:
    """Remove what was half made or half discarded in these directories when we were killed. Raises `StorageError`."""
    for directory in directories:
        for rest in directory.glob("*"):
            if rest.name.endswith((".new", _DISCARDED)) or rest.name.startswith(TEMPORARY):
                remove_tree(rest)


_DISCARDED = ".old"


def remove_tree(path: Path) -> None:
    """Remove a directory, or whatever is there by that name; directories that are locked against us are opened first.

    Raises `StorageError`.
    """
    with disk("remove", path):
        if not is_directory(path):
            path.unlink(missing_ok=True)
            return
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: Path) -> None:
    """Give ourselves the rights to remove what is in a directory."""
    found = path.lstat()
    if found.st_mode & stat.S_IRWXU != stat.S_IRWXU and found.st_uid == os.geteuid():
        path.chmod(stat.S_IRWXU)
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _open_up(Path(entry.path))


@contextmanager
def disk(action: str, path: Path) -> Iterator[None]:
    """Say what the system refused as a `StorageError` with a remedy."""
    try:
        yield
    except OSError as error:
        raise refused(action, error.filename or path, error) from error
