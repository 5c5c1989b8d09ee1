"""A process that takes locks and opens logs on request: reads one command a line, answers each with one line."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator_nb.core.events import WarningRaised
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.storage.lock import SessionLock, holder
from orchestrator_nb.storage.log import EventLog, read_records

held: dict[str, SessionLock | EventLog] = {}


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def acquire(path: str, timeout: str, at: str = "0") -> str:
    """Take the lock; with `at`, try at that moment of the monotonic clock."""
    while time.monotonic() < float(at):
        pass
    lock = SessionLock(Path(path))
    lock.acquire(float(timeout), on_wait=lambda who: say("waiting", who.pid if who else 0))
    held[path] = lock
    return "won"


def open_log(path: str) -> str:
    log = EventLog.open(Path(path))
    held[path] = log
    return f"open {log.seq}"


def let_go(path: str) -> str:
    lock = held.pop(path)
    assert isinstance(lock, SessionLock)
    lock.release()
    return "released"


def reopen(lock: str, log: str) -> str:
    """Open and close the same files in every way there is."""
    for path in lock, log:
        os.close(os.open(path, os.O_RDWR))
        Path(path).read_bytes()
    who = holder(Path(lock))
    seen = len(list(read_records(Path(log))))
    return f"{who.pid if who else None} {seen}"


def start_sleeper() -> str:
    """A program that inherits every descriptor that may be inherited."""
    return str(subprocess.Popen(["sleep", "60"], close_fds=False).pid)


def fork() -> str:
    return str(os.fork() or _sleep())


def fork_twice() -> str:
    """A daemon: its parent is gone at once."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            _sleep()
        os._exit(0)
    os.wait()
    return os.read(reader, 20).decode()


def fork_multiprocessing() -> str:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    return str(process.pid)


def fork_and_use(lock: str, log: str) -> str:
    """What a forked child may do with the log and the lock."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        answer = "appended"
        try:
            event_log, session_lock = held[log], held[lock]
            assert isinstance(event_log, EventLog)
            assert isinstance(session_lock, SessionLock)
            event_log.close()
            session_lock.release()
            event_log.append([WarningRaised("from the child")], 1.0)
        except OrchestratorError as error:
            answer = str(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 1000).decode()


def _sleep() -> int:
    time.sleep(60)
    os._exit(0)


COMMANDS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        acquire,
        open_log,
        let_go,
        reopen,
        start_sleeper,
        fork,
        fork_twice,
        fork_multiprocessing,
        fork_and_use,
    )
}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = line.split()
        try:
            say(COMMANDS[name](*arguments))
        except OrchestratorError as error:
            say(type(error).__name__, error)
