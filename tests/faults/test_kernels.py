"""Runs inside real kernels: interrupts, cells that hold up the kernel, and places without anything to draw on.

ORCH_TEST_KERNELS names further interpreters, separated by colons, each with this package's dependencies and another
ipykernel: with ``-m slow`` they are put through the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.live_kernels import REPOSITORY, Execution, Kernel, started_kernel

OTHERS = [path for path in os.environ.get("ORCH_TEST_KERNELS", "").split(":") if path]
PYTHONS = [sys.executable, *(pytest.param(path, marks=pytest.mark.slow) for path in OTHERS)]

# -- F1: interrupts ----------------------------------------------------------------------------------------------------

LONG = """
import asyncio, sys, threading, time
from orchestrator_nb import PlanBuilder, Session, orchestrate
with open("busy.py", "w") as module:
    module.write("import time\\ndef sleeps() -> None:\\n    time.sleep(600)\\n")
from busy import sleeps

plan = PlanBuilder("Long")
agents = [plan.shell("sleep 600", id="command"), plan.task(sleeps, id="thread")()]
agents.append(plan.task(sleeps, id="process", isolate="process")())
ticks = [plan.simulated(duration=0.05, id=f"tick-{number}") for number in range(2000)]
for before, after in zip(ticks, ticks[1:]):
    before >> after
run = orchestrate(plan)

def settled():
    with run.state() as state:
        return sum(count for status, count in state.counts.items() if status.settled)

def in_wait(frame):
    return frame is not None and (frame.f_code.co_qualname == "Run.wait" or in_wait(frame.f_back))

def tell_when_it_blocks():
    while not in_wait(sys._current_frames()[threading.main_thread().ident]):
        time.sleep(0.005)
    print("waits", flush=True)

while not all(Session.open(run.path).task(agent).status == "running" for agent in ("command", "thread", "process")):
    time.sleep(0.01)
"""
BLOCKING = "threading.Thread(target=tell_when_it_blocks).start()\nrun.wait()"
AWAITING = "asyncio.get_running_loop().call_soon(print, 'waits')\nawait run"
LIVELY = """
import json
before, deadline = settled(), time.monotonic() + 20
while settled() <= before and time.monotonic() < deadline:
    time.sleep(0.01)
with run.state() as state:
    agents = [[state.tasks[name].status.value, state.tasks[name].attempt] for name in ("command", "thread", "process")]
print(json.dumps({"scheduler": settled() > before, "agents": agents, "status": run.status}))
"""


@pytest.fixture(scope="module", params=PYTHONS, ids=lambda python: Path(python).parents[1].name)
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with started_kernel(tmp_path_factory.mktemp("kernel"), request.param) as running:
        started = running.run(LONG)
        assert not started.error, started.error
        yield running
        running.run("run.halt()\nrun.wait()")


def interrupted(kernel: Kernel, cell: str) -> Execution:
    """A cell that is interrupted as soon as it says that it waits.

    ipykernel 7.0 to 7.3 now and then never begin a cell that follows another at once while threads are busy, with or
    without this package or an interrupt.
    """
    request = kernel.start(cell)
    heard, deadline = "", time.monotonic() + 20
    while "waits" not in heard:
        assert time.monotonic() < deadline, "the kernel never began the cell"
        message = kernel.client.get_iopub_msg(timeout=20)
        heard += message["content"]["text"] if message["msg_type"] == "stream" else ""
    kernel.manager.interrupt_kernel()
    return kernel.finish(request, 20)


def check_all_lives(kernel: Kernel) -> None:
    cell = kernel.run(LIVELY)
    assert not cell.error, cell.error
    assert json.loads(cell.stdout) == {"scheduler": True, "agents": [["running", 1]] * 3, "status": "running"}


def test_row_F1_interrupts_of_an_idle_kernel(kernel: Kernel) -> None:
    for _ in range(20):
        kernel.manager.interrupt_kernel()
        assert kernel.run("print('answers')").stdout == "answers\n"
    check_all_lives(kernel)


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_row_F1_interrupts_of_a_cell_that_waits(kernel: Kernel, cell: str) -> None:
    for _ in range(20):
        ended = interrupted(kernel, cell)
        assert "KeyboardInterrupt" in ended.error or "CancelledError" in ended.error, ended.error
        assert "The run goes on. To stop it: run.stop()" in ended.stdout
    check_all_lives(kernel)


# -- D6: what holds up the kernel --------------------------------------------------------------------------------------

WORST_GAP = """
ended = time.time()
times = [began, *(r.at for r in Session.open(run.path).records() if began < r.at < ended), ended]
print(max(after - before for before, after in zip(times, times[1:])))
"""
HOLDUPS = {
    "sleeps": "time.sleep(2)",
    "computes": "n = 0\nwhile time.time() < began + 2: n += 1",
    "waits for the run": "try: run.wait(2)\nexcept TimeoutError: pass",
}


@pytest.mark.parametrize("cell", HOLDUPS.values(), ids=HOLDUPS)
def test_row_D6_the_scheduler_goes_on_while_a_cell_blocks(kernel: Kernel, cell: str) -> None:
    held = kernel.run(f"began = time.time()\n{cell}\n{WORST_GAP}")
    assert not held.error, held.error
    assert float(held.stdout) <= 0.25


STANDSTILL = """
import ctypes
began = time.time()
ctypes.PyDLL(None).usleep(1_500_000)
while not any("interpreter lock" in warning.message for warning in Session.open(run.path).state.warnings):
    assert time.time() < began + 20
    time.sleep(0.05)
"""


def test_row_D6_a_call_that_keeps_the_interpreter_lock_is_reported(kernel: Kernel) -> None:
    held = kernel.run(STANDSTILL)
    assert not held.error, held.error
    check_all_lives(kernel)


# -- F10: nothing to draw on -------------------------------------------------------------------------------------------

TRIP = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Trip")
plan.simulated(id="first", duration=0.3, result="one") >> plan.simulated(id="second", result="two")
run = orchestrate(plan)
"""
QUESTION = """
plan = PlanBuilder("Question")
plan.human("Go?", id="ask") >> plan.simulated(id="after", result="done")
run = orchestrate(plan)
"""
CELLS = (TRIP, "print(run.wait().result_of('second'))", QUESTION, "run.approve('ask')\n_ = await run")
#: As CELLS, one statement each, for what reads from standard input.
LINES = TRIP.strip() + "\nprint(run.wait().result_of('second'))\nrun.show()\n"


def isolated(directory: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "IPYTHONDIR": str(directory / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(directory / ".config"),
        "JUPYTER_RUNTIME_DIR": str(directory / ".runtime"),
    }


def python(directory: Path, *arguments: str, text: str = "") -> str:
    """What an interpreter says, which takes every warning for an error."""
    command = [sys.executable, "-W", "error", *arguments]
    environment = isolated(directory)
    done = subprocess.run(
        command, cwd=directory, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def notebook(directory: Path) -> Path:
    path = directory / "in.ipynb"
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    document.metadata.kernelspec = {"name": "python3", "display_name": "Python", "language": "python"}
    nbformat.write(document, path)
    return path


def check_notebook(path: Path) -> None:
    """It can be read without a kernel, and nothing in it is a widget."""
    document = nbformat.read(path, 4)
    assert "widgets" not in document.metadata
    shown = [
        [sorted(output["data"]) if "data" in output else output["text"] for output in cell.outputs]
        for cell in document.cells
    ]
    static = [["text/html", "text/plain"], ["image/png", "text/plain"]]
    asked = "The run waits for a person: 'ask'. Answer with run.approve(TASK, ANSWER).\n"
    assert shown == [static, ["two\n"], [asked, *static], static]
    assert "2 of 2 tasks ended" in document.cells[3].outputs[0]["data"]["text/plain"]


def execute(path: Path, *arguments: str) -> None:
    """Run a notebook tool on it."""
    command = [sys.executable, "-m", *arguments]
    directory = path.parent
    subprocess.run(command, cwd=directory, env=isolated(directory), capture_output=True, timeout=60, check=True)


def test_row_F10_papermill(tmp_path: Path) -> None:
    execute(notebook(tmp_path), "papermill", "in.ipynb", "out.ipynb")
    check_notebook(tmp_path / "out.ipynb")


def test_row_F10_nbconvert(tmp_path: Path) -> None:
    execute(notebook(tmp_path), "nbconvert", "--execute", "--to", "html", "--output", "page.html", "in.ipynb")
    page = (tmp_path / "page.html").read_text()
    assert page.count("2 of 2 tasks ended") >= 2
    assert page.count("data:image/png;base64,") >= 3
    assert "widget-view" not in page


def test_row_F10_a_terminal_with_ipython(tmp_path: Path) -> None:
    options = ("--simple-prompt", "--no-banner", "--colors=nocolor")
    said = python(tmp_path, "-m", "IPython", *options, text=LINES + "await run\n%load_ext orchestrator_nb\n%status\n")
    assert "run.wait() waits for its end" in said
    assert "two" in said
    assert said.count("2 of 2 tasks ended") == 3
    assert "[[" not in said


def test_row_F10_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(LINES)
    said = python(tmp_path, "script.py")
    assert said.startswith("two\nTrip: Completed")
    assert "2 of 2 tasks ended" in said


def test_row_F10_an_interactive_interpreter(tmp_path: Path) -> None:
    said = python(tmp_path, "-q", "-i", text=LINES + "run\n")
    assert "2 of 2 tasks ended" in said
    assert said.rstrip().endswith("completed: 2 of 2 tasks>")
