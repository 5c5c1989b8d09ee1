"""What the tests of processes share: commands, and a look at who is alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system import _proc
from tests.system import coordinator, hostile

ROOT = Path(__file__).parents[2]
PYTHON = [sys.executable, "-I", "-S"]
HOSTILE = str(hostile.__file__)


class Lab:
    """A directory for logs, and a token that marks every process of a test: in its environment or its arguments."""

    def __init__(self, place: Path, token: str) -> None:
        self.place = place
        self.token = token
        self.before = set(_proc.children(os.getpid()))
        self._logs = 0

    def command(self, *argv: str, env: dict[str, str] | None = None, **more: object) -> Command:
        """A command of this test's, with a log of its own."""
        self._logs += 1
        environment = {"PATH": os.environ["PATH"], "ORCH_SESSION": self.token, "ORCH_TASK_ID": "task"}
        environment |= {"ORCH_ATTEMPT": "1"} | (env or {})
        log = self.place / f"log-{self._logs}"
        return Command(argv=argv, **{"cwd": self.place, "env": environment, "log": log} | more)  # type: ignore[arg-type]

    def python(self, code: str, *arguments: str, **more: object) -> Command:
        """A command that runs some Python."""
        return self.command(*PYTHON, "-c", code, *arguments, **more)  # type: ignore[arg-type]

    def coordinate(self, *argv: str, prefix: tuple[str, ...] = (), count: int = 1) -> Coordinator:
        """Another process that runs commands under supervision."""
        return Coordinator(self, argv, prefix, count)

    def alive(self) -> list[int]:
        """Every living process of this test but this one, even those that fork and exit every few milliseconds."""
        mark = self.token.encode()
        seen: dict[int, int] = {}
        strangers = {os.getpid()}
        for turn in range(10):
            for pid in sorted(set(_proc.all_pids()) - strangers - seen.keys(), reverse=True):
                if mark in _proc.read(f"/proc/{pid}/cmdline") or mark in _proc.read(f"/proc/{pid}/environ"):
                    seen[pid] = turn
                else:
                    strangers.add(pid)
            time.sleep(0.001)
        return [pid for pid, turn in seen.items() if turn > 6 or _proc.living([pid])]

    def left(self) -> list[int]:
        """What the test has left behind: living processes, and children of this one, zombies included."""
        return self.alive() + [pid for pid in _proc.children(os.getpid()) if pid not in self.before]


class Coordinator:
    """`coordinator` as a child, ready to be killed."""

    def __init__(self, lab: Lab, argv: tuple[str, ...], prefix: tuple[str, ...], count: int) -> None:
        program = [*prefix, sys.executable, str(coordinator.__file__), lab.token, str(lab.place), str(count), *argv]
        self.process = subprocess.Popen(
            program, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        self.pid = int(words[0])
        self.supervisor = int(words[1])
        self.containment = words[2]
        self.pids = [int(word) for word in words[3:]]

    def reapers(self) -> list[int]:
        return _proc.children(self.supervisor)

    def end(self) -> None:
        """Take note of its end."""
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


def open_lab(place: Path) -> Iterator[Lab]:
    """The lab of one test, which leaves no process behind (for a fixture)."""
    lab = Lab(place, uuid.uuid4().hex)
    yield lab
    try:
        wait_until(lambda: not lab.left())
    finally:
        for pid in lab.alive():  # only of a test that failed
            os.kill(pid, signal.SIGKILL)


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait until it is true, and return how long that took; fail if it does not become true."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds, f"not true after {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - begin
