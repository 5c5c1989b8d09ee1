"""Processes that are forked for a user's process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator_nb.core.commands import Command
from orchestrator_nb.kernels.pool import Fork, pool
from orchestrator_nb.system.preloading import CannotFork
from tests.kernels.waiting import wait_for
from tests.live_kernels import REPOSITORY

SLEEP = "import pathlib, sys, time\npathlib.Path(sys.argv[1]).touch()\ntime.sleep(600)\n"


def command(place: Path, source: str, *preload: str) -> Command:
    program = place / "program.py"
    program.write_text(source)
    argv = (sys.executable, "-P", str(program), str(place / "begun"))
    return Command(argv=argv, cwd=place, env=dict(os.environ), log=place / "log", preload=("json", *preload))


def spawn(place: Path, source: str, *preload: str) -> Fork:
    return asyncio.run(pool().spawn(command(place, source, *preload)))


def ended(fork: Fork) -> int | None:
    """Its exit code, once it has ended."""
    asyncio.run(asyncio.wait_for(fork.ended(), 30))
    return fork.poll()


def test_there_is_one_pool_a_process() -> None:
    assert pool() is pool()


def test_a_command_runs_in_a_fork_and_its_end_is_told(tmp_path: Path) -> None:
    fork = spawn(tmp_path, "import sys\nprint('json' in sys.modules)\nraise SystemExit(3)\n", "no_such_module")
    assert ended(fork) == 3
    assert (tmp_path / "log").read_text() == "True\n"
    assert fork.refused == {"no_such_module": "is not installed"}


def test_a_signal_goes_to_its_group_and_never_to_who_has_its_number_later(tmp_path: Path) -> None:
    fork = spawn(tmp_path, SLEEP)
    wait_for((tmp_path / "begun").exists)
    assert fork.poll() is None
    fork.send_signal(signal.SIGTERM)
    assert ended(fork) == -signal.SIGTERM
    fork.send_signal(signal.SIGKILL)
    fork.kill()
    assert fork.poll() == -signal.SIGTERM


def test_it_is_ended_with_what_it_started(tmp_path: Path) -> None:
    source = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nopen('child', 'w').write(str(child.pid))\n"
    fork = spawn(tmp_path, source + SLEEP)
    wait_for((tmp_path / "begun").exists)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    fork.kill()
    assert ended(fork) == -signal.SIGKILL
    assert psutil.wait_procs([child], timeout=10)[1] == []


def test_what_cannot_be_forked_is_refused(tmp_path: Path) -> None:
    wrong = Command(argv=("sleep", "1"), cwd=tmp_path, env={}, log=tmp_path / "log", preload=())
    with pytest.raises(CannotFork, match="it is not run by the interpreter of this process"):
        asyncio.run(pool().spawn(wrong))


ENDS = """
import sys
from pathlib import Path
from tests.kernels.test_pool import SLEEP, spawn
from tests.kernels.waiting import wait_for
place = Path(sys.argv[1])
fork = spawn(place, SLEEP)
wait_for((place / "begun").exists)
print(fork.pid)
"""


def test_all_ends_with_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert not psutil.pid_exists(int(done.stdout))
