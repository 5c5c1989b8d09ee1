from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from orchestrator_nb.system.loop import library_loop, on_library_loop, submit
from tests.live_kernels import REPOSITORY


async def where() -> tuple[threading.Thread, bool]:
    return threading.current_thread(), on_library_loop()


async def fail() -> None:
    raise ValueError("told")


def test_what_is_handed_in_runs_on_one_loop_in_one_daemon_thread() -> None:
    first, second = submit(where()).result(10), submit(where()).result(10)
    assert first == second
    thread, on_it = first
    assert on_it
    assert thread.daemon
    assert thread is not threading.current_thread()
    assert library_loop().is_running()


def test_other_loops_are_not_it_and_errors_come_back() -> None:
    assert not on_library_loop()
    assert asyncio.run(where()) == (threading.current_thread(), False)
    with pytest.raises(ValueError, match="told"):
        submit(fail()).result(10)


FORKS = """
import os
from orchestrator_nb.system.loop import library_loop
library_loop()
pid = os.fork()
if not pid:
    loop = library_loop()
    loop.call_soon_threadsafe(os._exit, 0)
    __import__("threading").Event().wait(30)
    os._exit(1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_fork_has_a_loop_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], cwd=REPOSITORY, timeout=60, check=False)
    assert done.returncode == 0
