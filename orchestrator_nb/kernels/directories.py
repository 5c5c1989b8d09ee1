"""The directories of kernels' sockets: made for one process, and removed by the next one if that was killed.

Each holds a file that says whose it is. What is swept belongs to this user and to a process of this machine that is
dead for certain; everything else, and all that is no plain directory, is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator_nb.errors import UnsafePath
from orchestrator_nb.system.processes import Identity, alive, boot_id, identity
from orchestrator_nb.system.reading import open_regular

__all__ = ["INTERVAL", "PREFIX", "make", "sweep", "sweep_at_times"]

PREFIX = "orch-"
#: The file that says whose a directory is.
OWNER = "owner.json"
#: Seconds that have to pass before a process looks again for what others have left.
INTERVAL = 300.0

_swept = -INTERVAL


def make() -> str:
    """A new directory of this process, for this user only. Raises `OSError`."""
    directory = tempfile.mkdtemp(prefix=PREFIX)
    if owner := _this_process():
        file = Path(directory, OWNER)
        file.touch(0o600)
        file.write_text(json.dumps(owner), "utf-8")
    return directory


def sweep_at_times() -> None:
    """Sweep where temporary files are, unless this process did so within the last `INTERVAL`."""
    global _swept  # noqa: PLW0603 - once a process
    now = time.monotonic()
    if now >= _swept + INTERVAL:
        _swept = now
        sweep(Path(tempfile.gettempdir()))


def sweep(place: Path) -> list[str]:
    """Remove the directories in `place` whose owners are dead; return their names. What cannot be removed is left."""
    with suppress(OSError), os.scandir(place) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX) and _is_orphan(entry)]
        for name in names:
            shutil.rmtree(place / name, ignore_errors=True)  # which follows no links, within it or as its name
        return names
    return []


def _is_orphan(entry: os.DirEntry[str]) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
        private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        if not (private and stat.S_ISDIR(status.st_mode)):
            return False
        with open_regular(Path(entry.path, OWNER)) as file:
            return _is_dead(json.loads(file.read(4096)))
    except (OSError, UnsafePath, ValueError, TypeError, KeyError):
        return False


def _is_dead(owner: dict[str, Any]) -> bool:
    """Whether the owner of a directory, as its file says, is dead: one that cannot be seen from here is not."""
    here = _this_process()
    if not here or owner["host"] != here["host"]:
        return False
    if owner["boot"] != here["boot"]:
        return True
    process = Identity(int(owner["pid"]), int(owner["started"]), owner["boot"])
    return bool(owner["pids"] == here["pids"] and not alive(process))


def _this_process() -> dict[str, Any]:
    """Who this process is; nothing where the system does not say."""
    me = identity(os.getpid())
    if me is None:
        return {}
    # two containers may share the directory, a name and a boot, but not the namespace that process ids are of
    pids = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    return {"host": socket.gethostname(), "boot": boot_id(), "pids": pids, "pid": me.pid, "started": me.start_time}
