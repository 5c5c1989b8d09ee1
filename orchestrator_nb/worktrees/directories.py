"""Directories that agents wrote in: looking at them, and removing them, without following a link."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator_nb.storage.remedies import refused


def is_directory(path: Path) -> bool:
    """Whether it is a directory itself: a link to one is none."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


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
