"""What only works on a file system of one's own: run in a mount namespace, which takes all mounts with it.

`python disk_child.py small DIRECTORY` fills a disk of 64 KiB; `python disk_child.py read-only SESSION WHAT` writes
where nothing can be written. Both print what the library said.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator_nb.core.events import AnyEvent, Record, WarningRaised
from orchestrator_nb.errors import StorageError
from orchestrator_nb.storage.inbox import Inbox
from orchestrator_nb.storage.lock import SessionLock
from orchestrator_nb.storage.log import EventLog, read_records
from orchestrator_nb.storage.workspace import SessionDir, Workspace

AT = 1_736_692_200.0

WRITES: dict[str, Callable[[SessionDir], object]] = {
    "session": lambda session: Workspace(session.path).new_session(),
    "log": lambda session: EventLog.open(session.log_path),
    "lock": lambda session: SessionLock(session.lock_path).acquire(),
    "blob": lambda session: session.blobs.put(b"plan"),
    "file": lambda session: session.root.write_atomic("status/x.json", b"{}"),
    "request": lambda session: Inbox(session).post("stop"),
}


def fill_small_disk(disk: Path) -> None:
    """Write until the disk is full: the torn piece is cut off, the log is dead, and with space it goes on."""
    mount("-t", "tmpfs", "-o", "size=64k", "none", str(disk))
    path, ballast = disk / "events.jsonl", disk / "ballast"
    events: list[AnyEvent] = [WarningRaised(f"{number} " + "x" * 700) for number in range(5)]
    ballast.write_bytes(bytes(20_000))
    accepted: list[Record] = []
    log = EventLog.open(path, sync_interval=600)

    def fill() -> None:
        while True:
            accepted.extend(log.append(events, AT))

    say(refusal(fill))
    assert path.read_bytes().endswith(b"\n"), "a torn piece was left"
    for action in (lambda: log.append(events, AT), log.sync):
        say(refusal(action))
    log.close()
    assert list(read_records(path)) == accepted
    ballast.unlink()
    with EventLog.open(path) as log:
        assert log.seq == len(accepted) > 0
        accepted += log.append(events, AT)
    assert list(read_records(path)) == accepted


def write_read_only(session: Path, what: str) -> None:
    """Try to write into a session on a read-only file system."""
    mount("--bind", str(session), str(session))
    mount("-o", "remount,ro,bind", str(session))
    say(refusal(lambda: WRITES[what](SessionDir(session))))


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def refusal(action: Callable[[], object]) -> str:
    try:
        action()
    except StorageError as error:
        return str(error)
    return "it was allowed"


def say(words: str) -> None:
    sys.stdout.write(words + "\n")


if __name__ == "__main__":
    kind, place, *rest = sys.argv[1:]
    if kind == "small":
        fill_small_disk(Path(place))
    else:
        write_read_only(Path(place), *rest)
