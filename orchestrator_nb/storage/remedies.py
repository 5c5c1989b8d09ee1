"""What the operating system refused, said so that people know where and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from orchestrator_nb.errors import StorageError

_REMEDIES = {
    errno.ENOSPC: "free some disk space, then resume",
    errno.EDQUOT: "your disk quota is used up: free some space, then resume",
    errno.EROFS: "the file system is read-only: choose another place (setting 'workspace')",
    errno.EACCES: "check who owns it and its permissions",
    errno.EPERM: "check who owns it and its permissions",
    errno.EIO: "the disk or its connection is failing: check the system's log before you resume",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENOENT: "was it moved or deleted?",
    errno.EISDIR: "a directory is in its place: move that away",
    errno.ENOTEMPTY: "a directory is in its place: move that away",
}


def refused(action: str, path: Path | str, error: OSError) -> StorageError:
    """The error to raise when the system refused to `action` (a verb: ``write``) the file at `path`."""
    name = errno.errorcode.get(error.errno or 0, "unknown")
    reason = os.strerror(error.errno) if error.errno else str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    return StorageError(f"cannot {action} {path}: {reason} ({name})" + (f"; {remedy}" if remedy else ""))
