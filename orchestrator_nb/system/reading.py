"""Reading files that a task may have put something else in the place of."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from orchestrator_nb.errors import UnsafePath


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without ever waiting.

    Raises `UnsafePath` for a link, pipe, device or socket, `FileNotFoundError` where there is nothing.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsafePath(f"{path} cannot be read as a regular file: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UnsafePath(f"{path} is not a regular file")
    return os.fdopen(fd, "rb")


def read_ends(path: Path, limit: int) -> tuple[bytes, int]:
    """The content of a regular file, and how many bytes were left out in its middle to keep within `limit`.

    The place of what was left out is marked by a line that says so.
    """
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= limit:
            return file.read(limit), 0
        head = file.read(limit * 3 // 4)
        file.seek(size - limit // 4)
        tail = file.read(limit // 4)
    left_out = size - len(head) - len(tail)
    return head + f"\n[... {left_out} bytes left out ...]\n".encode() + tail, left_out
