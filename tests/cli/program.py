"""The real program, run as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "orchestrator_nb"]


def environment(**more: str) -> dict[str, str]:
    """The environment of the program: this one's, without settings and signs of CI."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORCH_") and name != "CI"}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **more}


def orchestrate(*args: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *args], check=False, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=60
    )


class Live:
    """``orchestrate run --json PLAN`` (or resume, or watch, of a session), running."""

    def __init__(
        self, subject: Path, *options: str, before: tuple[str, ...] = (), command: str = "run", cwd: Path | None = None
    ) -> None:
        self.cwd = cwd or subject.parent
        self.process = subprocess.Popen(
            [*PROGRAM, *before, command, str(subject), "--json", *options],
            cwd=self.cwd,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.lines: Iterator[dict[str, Any]] = map(json.loads, self.process.stdout)
        self.session = ""

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read lines until one is wanted; the launch record tells the session."""
        for line in self.lines:
            if line["type"] == "launch":
                self.session = line["session"]
            if wanted(line):
                return line
        raise AssertionError(f"it never came: {self.process.communicate(timeout=10)[1]}")

    def event(self, kind: str, task: str = "") -> dict[str, Any]:
        """Read until an event of this kind (of this task) has happened."""
        return self.until(
            lambda line: (
                line["type"] == "event"
                and line["event"]["type"] == kind
                and (not task or line["event"].get("task") == task)
            )
        )

    def end(self, timeout: float = 30) -> int:
        """Wait for its end; return its exit code as shells count it."""
        self.process.communicate(timeout=timeout)
        code = self.process.returncode
        return 128 - code if code < 0 else code

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def eventually(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """What `condition` returns once it is true; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
    return value


def write_plan(path: Path, **plan: Any) -> Path:
    """A plan file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    return path


def processes_of(session: str) -> list[int]:
    """Processes that a session's tasks left behind, told by their environment."""
    mark = f"ORCH_SESSION={session}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
