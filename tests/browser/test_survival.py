"""A run outlives its page, its cell and its kernel."""

from __future__ import annotations

import json
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


def test_a_run_that_ends_while_its_page_is_closed_settles_when_it_is_shown_again(notebook: Opening) -> None:
    code = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Short")
plan.simulated(title="Only", duration=4, result="made")
run = orchestrate(plan)
"""
    page = notebook([code, "run"])
    page.run(0)
    page.output(0).locator("rect[data-task='Only']").first.wait_for()
    page.save()
    page.page.goto("about:blank")
    page.page.wait_for_timeout(5000)
    page.open()
    page.run(1)
    page.output(1).get_by_text("final_output.md").first.wait_for()
    assert "widget-view" not in json.dumps(page.save()["cells"][1])
