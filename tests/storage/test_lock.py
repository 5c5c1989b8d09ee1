from __future__ import annotations

import fcntl
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from orchestrator_nb.errors import SessionLocked, StorageError
from orchestrator_nb.storage.lock import Holder, SessionLock, holder, process_start_time


def test_holder_is_named_while_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with SessionLock(path).acquire():
        found = holder(path)
        assert found
        assert (found.pid, found.host) == (os.getpid(), os.uname().nodename)
        assert found.start_time == process_start_time(os.getpid()) > 0
        assert abs(found.since - time.time()) < 60
        assert str(found).startswith(f"process {os.getpid()} on {found.host}, since 20")
    assert holder(path) is None, "a lock file that nobody holds says nothing"


def test_lock_can_be_taken_again_after_release(tmp_path: Path) -> None:
    lock = SessionLock(tmp_path / "lock")
    for _ in range(3):
        with lock.acquire(), pytest.raises(SessionLocked, match=f"process {os.getpid()}"):
            SessionLock(lock.path).acquire(timeout=0)
        lock.release()


def test_waiting_ends_when_it_is_released(tmp_path: Path) -> None:
    first = SessionLock(tmp_path / "lock").acquire()
    told: list[Holder | None] = []

    def end(who: Holder | None) -> None:
        told.append(who)
        threading.Timer(0.1, first.release).start()

    with SessionLock(tmp_path / "lock").acquire(timeout=5, on_wait=end):
        assert len(told) == 1
        assert told[0]
        assert told[0].pid == os.getpid()


def test_holder_that_has_not_said_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with SessionLock(path).acquire():
        path.write_text("{half")
        found = holder(path)
        assert found
        assert found.pid == 0
        with pytest.raises(SessionLocked, match="is being run by another process"):
            SessionLock(path).acquire(timeout=0)


def test_looking_at_the_holder_takes_nothing_away(tmp_path: Path) -> None:
    """While one thread keeps asking, another can take and give back the lock."""
    path = tmp_path / "lock"
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            holder(path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(20):
            with SessionLock(path).acquire(timeout=5) as lock:
                lock.verify()
    finally:
        stop.set()
        asking.join()


def test_two_who_look_at_once_see_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    SessionLock(path).acquire().release()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert holder(path) is None


def test_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot lock .*/missing/lock: No such file"):
        SessionLock(tmp_path / "missing" / "lock").acquire(timeout=0)
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="ELOOP"):
        SessionLock(tmp_path / "link").acquire(timeout=0)
    with pytest.raises(StorageError, match="ELOOP"):
        holder(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_lock_that_is_not_held_is_not_in_place(tmp_path: Path) -> None:
    lock = SessionLock(tmp_path / "lock")
    with pytest.raises(StorageError):
        lock.verify()


def test_start_time_tells_processes_apart() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert process_start_time(process.pid) >= process_start_time(os.getpid()) > 0
    finally:
        process.kill()
        process.wait()
    assert process_start_time(process.pid) == 0
