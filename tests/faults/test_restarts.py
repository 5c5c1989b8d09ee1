"""Row F2: a kernel that is restarted, shut down or killed leaves no process behind, and a new one goes on."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live_kernels import Kernel, started_kernel

START = """
import os
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Long")
first = plan.simulated(title="First", result="kept")
slow = plan.shell("cd $ORCH_OUTPUTS/..; (sleep 600 & echo $! > child); echo $$ > pid; sleep 600", id="slow")
first >> slow
run = orchestrate(plan)
print(os.getpid())
"""
GO_ON = """
from orchestrator_nb import Session
run = Session.latest().resume(jobs=2)
"""


def alive(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        return not re.search(r"^State:\s+Z", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return False


def until(condition: Callable[[], bool], what: str, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def written(directory: Path, attempt: int) -> list[int]:
    """The processes of an attempt: the command and its own child."""
    folder = directory / ".orchestrator" / "latest" / "attempts" / "slow" / str(attempt)
    files = [folder / "child", folder / "pid"]
    until(lambda: all(file.exists() and file.read_text() for file in files), f"attempt {attempt} has begun")
    return [int(file.read_text()) for file in files]


def end(kernel: Kernel, pid: int, how: str) -> None:
    if how == "killed":
        os.kill(pid, 9)
    elif how == "shut down":
        kernel.client.shutdown()
    else:
        kernel.manager.restart_kernel(now=False)


def lives(directory: Path, how: str) -> None:
    with started_kernel(directory) as kernel:
        pid = int(kernel.run(START).stdout.split()[-1])
        processes = written(directory, 1)
        end(kernel, pid, how)
        until(lambda: not any(map(alive, processes)), "no process outlives its kernel by 10 seconds", 12)
    with started_kernel(directory) as kernel:
        assert "error" not in kernel.run(GO_ON).error.lower()
        processes = written(directory, 2)
        told = kernel.run("print(run['First'].result, len(run['First'].attempts))").stdout.split()
        assert told == ["kept", "1"]
        assert kernel.run("run.halt(); run.wait(); print(run.status)").stdout.strip() == "halted"
        until(lambda: not any(map(alive, processes)), "a halted run leaves no process")


@pytest.mark.parametrize("how", ["killed", "shut down", "restarted"])
def test_row_F2_nothing_is_left_and_nothing_is_lost(tmp_path: Path, how: str) -> None:
    lives(tmp_path, how)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", ["killed", "shut down", "restarted"])
def test_row_F2_twenty_times(tmp_path: Path, how: str) -> None:
    for number in range(20):
        directory = tmp_path / str(number)
        directory.mkdir()
        lives(directory, how)
