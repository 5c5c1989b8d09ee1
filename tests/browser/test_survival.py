"""A run outlives its page, its cell and its kernel."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator_nb import Session

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

Opening = Callable[..., "Notebook"]

PLAN = """
from orchestrator_nb import PlanBuilder, Session, orchestrate
plan = PlanBuilder("Long")
first = plan.simulated(title="First", result="kept")
slow = plan.shell("echo $$ > \\"$ORCH_OUTPUTS/../pid\\"; echo begun; sleep 600", id="slow")
first >> slow
"""


def begun(page: Notebook, cell: int = 0) -> None:
    node = page.output(cell).locator("rect[data-task='slow'][data-status='running']").first
    node.wait_for()


def process(page: Notebook) -> int:
    """The process of the slow task."""
    found: list[Path] = []

    def written() -> bool:
        found[:] = [path for path in page.lab.root.glob(".orchestrator/latest/attempts/slow/*/pid") if path.read_text()]
        return bool(found)

    page.until(written, "the command has begun")
    return int(max(found, key=lambda path: path.stat().st_mtime).read_text())


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return not re.search(r"^State:\s+Z", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return False


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_row_F2_a_kernel_ends_its_processes_and_a_new_one_goes_on(notebook: Opening, how: str) -> None:
    page = notebook([PLAN + "run = orchestrate(plan)\nimport os; print(os.getpid())", "", "Session.latest().show()"])
    page.run(0)
    begun(page)
    pid = process(page)
    if how == "restart":
        page.restart()
    else:
        kernel = int(re.findall(r"\d+", page.text(0))[-1])
        os.kill(kernel, signal.SIGKILL)
        page.until(lambda: not alive(kernel), "the kernel is gone")
        page.page.get_by_role("button", name="Ok").click()  # "appears to have died. It will restart automatically"
        page.ready()
    page.until(lambda: not alive(pid), "no process outlives the kernel")
    cell = page.add("from orchestrator_nb import Session\nSession.latest().show()")
    page.run(cell)
    output = page.output(cell)
    output.locator("rect[data-task='First'][data-status='completed']").first.wait_for()
    output.get_by_text("nterrupted").first.wait_for()
    output.get_by_role("button", name="Resume").first.click()
    page.until(lambda: bool(list(page.lab.root.glob(".orchestrator/latest/attempts/slow/2/pid"))), "it runs again")
    last = page.add("s = Session.latest(); print(s.task('First').attempt, s.task('slow').attempt, s.status)")
    page.run(last)
    assert page.text(last).strip() == "1 2 running"
    output.get_by_role("button", name="Halt").first.click()
    output.get_by_role("button", name="Halt now").click()
    output.get_by_text("halted").first.wait_for()


def test_a_run_of_another_kernel_is_watched_and_stopped_from_afar(notebook: Opening, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(PLAN + "run = orchestrate(plan)\nprint(run.path, flush=True)\nrun.wait()\nprint(run.status)")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        path = run.stdout.readline().strip()
        page = notebook([f"from orchestrator_nb import Session\nSession.open({path!r}).show()"])
        page.run(0)
        begun(page)
        page.output(0).get_by_role("button", name="Halt").first.click()
        page.output(0).get_by_role("button", name="Halt now").click()
        assert run.stdout.read().strip() == "halted"
        page.output(0).get_by_text("halted").first.wait_for()


#: Ends when there is a file `go`, and notes in a file `freed` when no view of a run is left in the kernel.
SHORT = """
import gc, threading, time
from pathlib import Path
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Short")
plan.shell("until [ -e go ]; do sleep 0.1; done; rm go; echo made", id="only")
run = orchestrate(plan)

def watch():
    time.sleep(1)
    while any(type(thing).__name__ == "View" for thing in gc.get_objects()):
        time.sleep(0.2)
        gc.collect()
    Path("freed").touch()

threading.Thread(target=watch, daemon=True).start()
"""


def started(page: Notebook) -> None:
    for name in ("go", "freed"):
        (page.lab.root / name).unlink(missing_ok=True)
    page.run(0)
    page.output(0).locator("rect[data-task='only'][data-status='running']").first.wait_for()


def end(page: Notebook) -> None:
    """Let the run come to its end."""
    session = Session.open(page.lab.root / ".orchestrator/latest")
    (page.lab.root / "go").touch()
    page.until(lambda: session.status == "completed", "the run is over")


def kinds(page: Notebook) -> list[list[list[str]]]:
    """What the file holds of each output of each cell."""
    return [[sorted(shown.get("data", ())) for shown in cell["outputs"]] for cell in page.save()["cells"]]


def test_a_run_that_ends_after_its_page_was_reloaded_settles_there_and_in_the_file(notebook: Opening) -> None:
    page = notebook([SHORT, "display(run.view.graph)", "display(run.view.progress)", "run"])  # Out holds no part
    started(page)
    for cell in (1, 2, 3):
        page.run(cell)
    page.save()
    page.reload()
    page.output(0).locator("rect[data-task='only']").first.wait_for()
    end(page)
    for cell in (0, 3):
        page.output(cell).get_by_text("final_output.md").first.wait_for()
    page.page.wait_for_function("() => !document.querySelector('.jp-Notebook .orchestrator')")
    whole, graph = ["text/html", "text/plain"], ["image/png", "text/plain"]
    assert kinds(page) == [[whole, graph], [graph], [whole], [whole, graph]]
    page.until((page.lab.root / "freed").exists, "the view is gone from the kernel")


def test_a_run_that_ends_while_its_page_is_gone_is_freed_and_settles_when_that_is_opened_again(
    notebook: Opening,
) -> None:
    page = notebook([SHORT])
    started(page)
    page.save()
    page.page.goto("about:blank")
    end(page)
    page.until((page.lab.root / "freed").exists, "the view is gone from the kernel")
    page.open()
    page.output(0).get_by_text("final_output.md").first.wait_for()
    assert kinds(page) == [[["text/html", "text/plain"], ["image/png", "text/plain"]]]


def test_what_a_page_showed_that_is_gone_is_freed_when_something_else_is_shown(notebook: Opening) -> None:
    page = notebook([SHORT, "display(run.view.graph)"])
    started(page)
    end(page)
    page.output(0).get_by_text("final_output.md").first.wait_for()
    page.run(1)
    page.output(1).locator("rect[data-task='only']").first.wait_for()
    page.page.goto("about:blank")
    page.open()
    page.run(page.add("plan = PlanBuilder('Other')\nplan.simulated(title='One')\norchestrate(plan).wait().status"))
    page.until((page.lab.root / "freed").exists, "the views are gone from the kernel")
