"""Kernels that are kept after a failed cell, and gone on in: real runs with real kernels."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.events import ProcessStarted
from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import CommandRefused, RunError
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.system.processes import identity
from tests.headless.books import save
from tests.runtime.waiting import statuses, until

PARAMETERS = ("x: int = 1", "parameters")
#: What would take hours: each execution of it leaves a line.
HOURS = """
import os, pathlib
with open(os.environ["COUNT"], "a") as file:
    print("executed", file=file)
pathlib.Path(os.environ["ORCH_OUTPUTS"], "early.txt").write_text("early")
state = [x] * 3
print("hours")
"""
BAD, GOOD = "print('so far')\nstate.apend(4)", "state.append(4)\nprint('mended')"
LAST = ("state", "result")


class Lab:
    """A workspace with one notebook."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.book = directory / "book.ipynb"
        monkeypatch.setenv("COUNT", str(directory / "count"))
        self.settings = Settings(workspace=directory / "sessions", grace=1.0)

    def write(self, *cells: tuple[str, str] | str) -> None:
        save(self.book, PARAMETERS, *cells)

    def start(self, *tasks: str, limits: Any = None, **fields: Any) -> Run:
        """A run of the notebook, by each of the tasks."""
        fields = {"notebook": str(self.book), "parameters": {"x": 7}, "keep_kernel_on_error": "1h", **fields}
        plan = {"tasks": [{"id": task, **fields} for task in tasks or ("T",)], "limits": limits or {}}
        return Orchestrator(self.settings).run(Plan.model_validate(plan))

    def executed(self) -> int:
        """How often the hours were spent."""
        return len((self.directory / "count").read_text().splitlines())


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def waits(run: Run) -> None:
    until(lambda: run.waits or run.done, 120)
    assert run.waits, error(run)


def error(run: Run, task: str = "T") -> str:
    with run.state() as state:
        return state.tasks[task].error


def message(run: Run) -> str:
    with run.state() as state:
        return state.tasks["T"].message


def pid_of(run: Run, task: str = "T") -> int:
    """The notebook's process: the kernel is below it."""
    started = [record.event for record in read_records(run.path / "events.jsonl")]
    return next(event.pid for event in started if isinstance(event, ProcessStarted) and event.task == task)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> None:
    until(lambda: identity(pid) is None, 20)


@pytest.mark.parametrize("mode", ["auto", "cold"])
def test_a_mended_notebook_goes_on_in_its_kernel(lab: Lab, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_KERNEL_MODE", mode)
    lab.write(HOURS, BAD, LAST)
    run = lab.start(outputs=["early.txt", "late.txt"])
    waits(run)
    assert list(run.kept_kernels) == ["T"]
    assert f"orchestrate retry T --from-failed-cell -s {run.path}" in run.waits
    assert "AttributeError: 'list' object has no attribute 'apend'" in error(run)
    assert f"orchestrate retry T --from-failed-cell -s {run.path}" in error(run)
    process = pid_of(run)
    late = "import os, pathlib; pathlib.Path(os.environ['ORCH_OUTPUTS'], 'late.txt').write_text('late')"
    lab.write(HOURS, "inserted = len(state)", GOOD, late, LAST)
    run.retry("T", from_failed_cell=True)
    run.wait(120)
    assert run.status == "completed"
    assert lab.executed() == 1
    assert run.result_of("T") == [7, 7, 7, 4]
    assert [(run.path / "outputs/T" / name).read_text() for name in ("early.txt", "late.txt")] == ["early", "late"]
    gone(process)
    book = json.loads((run.path / "outputs/T/book.ipynb").read_bytes())
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 5, 6, 7, 8]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells] == ["completed"] * 7
    assert [output["text"] for output in (cells[2]["outputs"][0], cells[4]["outputs"][0])] == [
        ["hours\n"],
        ["mended\n"],
    ]
    (step,) = book["metadata"]["orchestrator"]["provenance"]["went_on"]
    assert (step["attempt"], step["cell"]) == (2, 3)
    assert step["before"] != step["after"] == book["metadata"]["orchestrator"]["provenance"]["notebook"]["sha256"]
    assert book["metadata"]["orchestrator"]["kernel"]["why"].endswith("; kept after a failed cell")
    assert (run.path / "attempts/T/2/log").read_text() == "mended\n"
    told = (run.path / "events.jsonl").read_text()
    assert '"from_failed_cell":true' in told


def test_only_what_comes_after_may_be_changed(lab: Lab) -> None:
    lab.write(HOURS, BAD, LAST)
    run = lab.start()
    waits(run)
    lab.write(HOURS + "\nextra = 1", GOOD, LAST)
    run.retry("T", from_failed_cell=True)
    waits(run)
    assert error(run).startswith("cell 3 was executed as 'import os, pathlib' … and is not there as it was")
    assert f"Or run all of it again: orchestrate retry T -s {run.path}" in error(run)
    assert "What was executed" not in error(run)
    (lab.book).write_text("{")  # saved halfway
    run.retry("T", from_failed_cell=True)
    until(lambda: statuses(run)["T"] == "failed")
    assert "book.ipynb" in error(run)
    waits(run)
    lab.write(HOURS, GOOD, BAD.replace("apend", "again"))  # another cell fails
    run.retry("T", from_failed_cell=True)
    waits(run)
    assert "has no attribute 'again'" in error(run)
    lab.write(HOURS, GOOD, LAST)
    run.retry("T", from_failed_cell=True)
    run.wait(120)
    assert run.result_of("T") == [7, 7, 7, 4]
    assert lab.executed() == 1
    book = json.loads((run.path / "outputs/T/book.ipynb").read_bytes())
    steps = book["metadata"]["orchestrator"]["provenance"]["went_on"]
    assert [(step["attempt"], step["cell"]) for step in steps] == [(4, 3), (5, 4)]


def test_a_kernel_that_died_meanwhile_is_told_and_ends_the_waiting(lab: Lab) -> None:
    lab.write(HOURS, BAD, LAST)
    run = lab.start("T", "U")
    waits(run)
    assert sorted(run.kept_kernels) == ["T", "U"]
    (kernel,) = children(pid_of(run))
    os.kill(kernel, signal.SIGKILL)
    until(lambda: list(run.kept_kernels) == ["U"], 20)
    with pytest.raises(CommandRefused, match=f"it has died meanwhile. .*: orchestrate retry T -s {run.path}"):
        run.retry("T", from_failed_cell=True)
    os.kill(pid_of(run, "U"), signal.SIGKILL)
    run.wait(20)
    assert run.status == "failed"
    with pytest.raises(RunError, match="kernels that were kept have ended with it"):
        run.retry("T", from_failed_cell=True)
    with pytest.raises(CommandRefused, match=r"has no live kernel: .* && orchestrate resume"):
        Session.open(run.path, lab.settings).tell("retry", task="T", from_failed_cell=True)


def test_a_kernel_killed_while_it_goes_on_is_a_failure_as_any(lab: Lab) -> None:
    lab.write(HOURS, BAD, LAST)
    run = lab.start()
    waits(run)
    (kernel,) = children(pid_of(run))
    lab.write(HOURS, "import time; time.sleep(1000)")
    run.retry("T", from_failed_cell=True)
    until(lambda: "time.sleep(1000)" in message(run), 30)
    os.kill(kernel, signal.SIGKILL)
    run.wait(60)
    assert run.status == "failed"
    assert error(run).startswith("the notebook's kernel died")
    assert f"To run the whole notebook again: orchestrate retry T -s {run.path}" in error(run)


def test_its_time_is_up(lab: Lab) -> None:
    lab.write(BAD)
    run = lab.start(keep_kernel_on_error=0.2)
    run.wait(120)
    assert run.status == "failed"
    assert "Its kernel is kept until" in error(run)
    assert run.kept_kernels == {}


def test_a_plain_retry_starts_anew_and_ends_what_was_kept(lab: Lab) -> None:
    lab.write(HOURS, BAD, LAST)
    run = lab.start()
    waits(run)
    process = pid_of(run)
    lab.write(HOURS, GOOD, LAST)
    run.retry("T")
    run.wait(120)
    assert run.status == "completed"
    assert lab.executed() == 2
    gone(process)


def test_going_on_that_was_taken_back_is_forgotten(lab: Lab) -> None:
    lab.write(HOURS, BAD, LAST)
    run = lab.start()
    waits(run)
    run.pause()
    run.retry("T", from_failed_cell=True)
    run.cancel("T")
    run.resume()
    assert run.waits
    lab.write(HOURS, GOOD, LAST)
    run.retry("T")
    run.wait(120)
    assert run.status == "completed"
    assert lab.executed() == 2


def test_nothing_is_kept_without_the_option(lab: Lab) -> None:
    lab.write(BAD)
    run = lab.start(keep_kernel_on_error=None)
    run.wait(120)
    assert run.status == "failed"
    assert "kernel is kept" not in error(run)
    assert "keeps_kernel" not in json.loads((run.path / "attempts/T/1/request.json").read_bytes())


def test_a_kept_kernel_has_the_memory_of_its_task(lab: Lab) -> None:
    flag = lab.directory / "grow"
    grow = f"""
import pathlib, threading, time
def grow():
    while not pathlib.Path({str(flag)!r}).exists():
        time.sleep(0.05)
    globals()["hoard"] = bytearray(1_500_000_000)
threading.Thread(target=grow, daemon=True).start()
"""
    lab.write(grow, BAD)
    run = lab.start(resources={"memory_gb": 1})
    waits(run)
    flag.touch()
    run.wait(60)
    assert run.status == "failed"


def test_a_cell_that_took_too_long_is_interrupted_before_the_kernel_is_kept(lab: Lab) -> None:
    lab.write(HOURS, "import time\ntime.sleep(1000)", LAST)
    run = lab.start(cell_timeout=2)
    waits(run)
    lab.write(HOURS, GOOD, LAST)
    run.retry("T", from_failed_cell=True)
    until(lambda: run.done or run.waits, 60)
    assert error(run) == ""
    assert run.result_of("T") == [7, 7, 7, 4]
    assert lab.executed() == 1


def test_no_more_kernels_are_kept_than_run_at_once_and_stop_ends_them(lab: Lab) -> None:
    lab.write(BAD)
    run = lab.start("T", "U", limits={"max_parallel": 1})
    waits(run)
    assert list(run.kept_kernels) == ["T"]
    assert "Its kernel is not kept: 1 are kept already" in error(run, "U")
    process = pid_of(run)
    run.stop()
    run.wait(20)
    assert run.status == "failed"
    gone(process)


def test_failing_fast_keeps_the_kernel_and_going_on_lets_the_others_start(lab: Lab) -> None:
    lab.write(HOURS, "if x == 7: boom", LAST)
    run = lab.start("T", "U", limits={"max_parallel": 1, "max_failures": 1})
    waits(run)
    assert statuses(run) == {"T": "failed", "U": "blocked"}
    lab.write(HOURS, GOOD, LAST)
    run.retry("T", from_failed_cell=True)
    run.wait(120)
    assert statuses(run) == {"T": "completed", "U": "completed"}
    assert lab.executed() == 2
