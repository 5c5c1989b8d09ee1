"""Notebooks that misbehave, and kernels that are killed in each state (F7, B5-B7, E4, E5 with kernels)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from tests.kernels.books import notebook, run, text
from tests.kernels.waiting import wait_for
from tests.live_kernels import REPOSITORY

MODES = ["cold", "fork"]
PID = "import os\nopen('pid.tmp', 'w').write(str(os.getpid())); os.rename('pid.tmp', 'pid')\n"


def kernels() -> set[int]:
    """The kernels below this process."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if "kernel.json" in " ".join(process.cmdline()):
                found.add(process.pid)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_F7_a_kernel_killed_while_it_starts(mode: str, tmp_path: Path) -> None:
    run(tmp_path, "1", mode=mode)  # the fork server runs
    before = kernels()
    seen: set[int] = set()

    def kill() -> None:
        wait_for(lambda: kernels() - before)
        seen.update(kernels() - before)
        for pid in seen:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises((RuntimeError, DeadKernelError), match=r"[Kk]ernel died"):
        run(tmp_path, "import time; time.sleep(60)", mode=mode)
    killer.join()
    assert seen
    assert kernels() <= before


@pytest.mark.parametrize("mode", MODES)
def test_F7_a_kernel_killed_while_it_runs(mode: str, tmp_path: Path) -> None:
    def kill() -> None:
        wait_for((tmp_path / "pid").exists)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(DeadKernelError):
        run(tmp_path, "'first'", PID + "import time; time.sleep(60)", mode=mode, cwd=tmp_path)
    killer.join()
    saved = nbformat.read(tmp_path / "book.out.ipynb", 4)
    assert text(saved.cells[0]) == "'first'"


@pytest.mark.parametrize("mode", MODES)
def test_F7_a_kernel_killed_while_it_is_idle(mode: str, tmp_path: Path) -> None:
    """Between two cells; the one that is sent to it finds nobody."""
    cells = ("import os, threading\nthreading.Timer(0.01, os._exit, (1,)).start()", "import time; time.sleep(60)")
    with pytest.raises(DeadKernelError):
        run(tmp_path, *cells, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_F7_a_kernel_killed_while_its_notebook_is_saved(mode: str, tmp_path: Path) -> None:
    """The file is a pipe, and the notebook larger than what a pipe holds: who saves it waits for its reader."""
    pipe = tmp_path / "book.out.ipynb"
    os.mkfifo(pipe)
    saved: list[bytes] = []
    killed, over = threading.Event(), threading.Event()

    def read() -> None:
        while not over.is_set():
            with pipe.open("rb") as file:
                head = file.read(4000)
                if b'"status": "completed"' in head and not killed.is_set():
                    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
                    killed.set()
                saved.append(head + file.read())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with pytest.raises(DeadKernelError):
            run(tmp_path, PID + "print(200_000 * 'x')", "import time; time.sleep(60)", mode=mode, cwd=tmp_path)
    finally:
        over.set()
        while reader.is_alive():
            with suppress(OSError):  # nobody reads it just now
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            reader.join(0.01)
    assert killed.is_set()
    last = nbformat.reads([whole for whole in saved if whole][-1].decode(), 4)
    assert text(last.cells[0]) == 200_000 * "x" + "\n"
    assert text(last.cells[1]) == ""


@pytest.mark.parametrize("mode", MODES)
def test_F7_A2_a_kernel_that_forks_and_leaves_children_leaves_none(mode: str, tmp_path: Path) -> None:
    cell = "import os, subprocess, sys\npid = os.fork()\nif not pid:\n    os.execvp('sleep', ['sleep', '600'])\n" \
           "child = subprocess.Popen(['sleep', '600'])\npid, child.pid"  # fmt: skip
    executed = run(tmp_path, cell, mode=mode)
    pids = [int(word) for word in text(executed.cells[0]).strip("()").split(",")]
    wait_for(lambda: not [pid for pid in pids if psutil.pid_exists(pid)], 10)


@pytest.mark.parametrize("mode", MODES)
def test_B5_a_cell_that_hangs_ends_with_its_time_and_its_kernel(mode: str, tmp_path: Path) -> None:
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt: pass"
    )
    before = kernels()
    with pytest.raises(CellTimeoutError):
        run(tmp_path, stubborn, mode=mode, execution_timeout=1)
    assert kernels() <= before


@pytest.mark.parametrize("mode", MODES)
def test_F7_a_kernel_that_closes_its_sockets(mode: str, tmp_path: Path) -> None:
    """It lives, and can neither answer nor be asked."""
    with pytest.raises(DeadKernelError):
        run(tmp_path, "get_ipython().kernel.shell_stream.socket.close(); 1", "2", mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_E4_bytes_that_are_no_text(mode: str, tmp_path: Path) -> None:
    executed = run(
        tmp_path,
        "import os\nos.write(1, bytes(range(256)))\nprint('\\0\\ud800'.encode('utf-8', 'replace'));",
        mode=mode,
    )
    nbformat.validate(executed)
    assert "ABC" in text(executed.cells[0])


BIG = """
import json, resource, sys
from pathlib import Path
from tests.kernels.books import execute
executed = execute(Path(sys.argv[1]), sys.argv[2], output_limit=1_000_000)
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, len(json.dumps(executed))]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_E5_a_gigabyte_of_output_is_bounded(mode: str, tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", "for _ in range(1000): print(999_999 * 'x', flush=True)", "'then'")
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(path), mode], capture_output=True, text=True, check=True, timeout=100,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    memory, size = json.loads(done.stdout)
    assert size < 3_000_000
    assert memory < 700


def test_B7_many_notebooks_leave_nothing_behind(tmp_path: Path) -> None:
    run(tmp_path, "1", mode="fork")
    process = psutil.Process()
    files, threads = process.num_fds(), process.num_threads()
    children = len(process.children(recursive=True))
    for _ in range(10):
        run(tmp_path, "1", mode="fork")
    assert process.num_fds() <= files
    assert process.num_threads() <= threads
    assert len(process.children(recursive=True)) <= children
