"""The tutorials in `notebooks/`: they run from first to last cell, do what they promise, and are clean in git."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tools import need

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TUTORIALS = [
    "01-first-run",
    "02-plans-in-python",
    "03-looking-at-graphs",
    "04-steering-and-resuming",
    "05-reading-results",
    "06-parameter-sweep",
    "07-reproduced-report",
    "08-coding-agents",
]


class Executed:
    """A tutorial that was run without a front end, as papermill runs it."""

    def __init__(self, notebook: Any) -> None:
        self.notebook = notebook

    def outputs(self, cell_id: str) -> list[Any]:
        """What a cell shows."""
        return list(next(cell for cell in self.notebook.cells if cell.id == cell_id).outputs)

    def text(self, cell_id: str) -> str:
        """What a cell says, in text."""
        return "\n".join(out.get("text") or out.data.get("text/plain", "") for out in self.outputs(cell_id))

    def kinds(self, cell_id: str) -> set[str]:
        """In which forms a cell shows something."""
        return {kind for out in self.outputs(cell_id) if "data" in out for kind in out.data}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tutorials' folder."""
    copy = tmp_path_factory.mktemp("tutorials") / "notebooks"
    shutil.copytree(NOTEBOOKS, copy, ignore=shutil.ignore_patterns(".orchestrator", "__pycache__"))
    return copy


@pytest.fixture(scope="module")
def execute(folder: Path) -> Callable[[str], Executed]:
    def executed(name: str) -> Executed:
        notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        client = NotebookClient(
            notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        path = os.pathsep.join(filter(None, [str(NOTEBOOKS.parent), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(folder / ".ipython")}
        client.execute(env=environment)  # raises what a cell raised
        return Executed(notebook)

    return executed


def test_first_run(execute: Callable[[str], Executed], folder: Path) -> None:
    done = execute("01-first-run")
    assert "5 of 5 tasks ended (5 completed)" in done.text("run")
    assert "text/html" in done.kinds("run")
    assert "'completed'" in done.text("status")
    assert "'bridge': {'bicycles': 39914" in done.text("totals")
    assert "| bridge | 39,914 | 2025-05-26 | 6 |" in done.outputs("final")[0].data["text/markdown"]
    assert "276 lines" in done.outputs("final")[0].data["text/markdown"]
    assert "image/png" in done.kinds("chart")
    assert "did you mean 'busy'?" in done.text("mistake")
    assert done.text("session") == "(True, 'completed')"
    assert list((folder / ".orchestrator").glob("*/final_output.md"))


def test_plans_in_python(execute: Callable[[str], Executed]) -> None:
    done = execute("02-plans-in-python")
    assert "Critical path" in done.text("more")
    assert "image/png" in done.kinds("more")
    assert "5 of 5 tasks ended (5 completed)" in done.text("start")
    assert 'On Sundays: {"bridge": 4368' in done.text("results")
    assert "is added to seasons (2 tasks)" in done.text("cell-two")
    assert done.outputs("orchestrate")[-1].data["text/plain"] == "91"
    assert "Hello: 2 tasks in 2 levels" in done.text("plan")
    assert "Hello, world" in done.text("hello")


def test_looking_at_graphs(execute: Callable[[str], Executed]) -> None:
    done = execute("03-looking-at-graphs")
    assert "13 tasks in 3 levels" in done.text("plan")
    assert "critical path: bridge/03 → add → report" in done.text("levels")
    assert "image/png" in done.kinds("plot")
    assert "image/png" in done.kinds("run")
    assert "- bridge: 35 busy days" in done.text("why")
    assert "'report' completed" in done.text("why")
    assert done.text("analyse") == "(12, 12, True)"
    assert "image/png" in done.kinds("magic")


def test_steering_and_resuming(execute: Callable[[str], Executed]) -> None:
    done = execute("04-steering-and-resuming")
    assert "'step-6' waits for" in done.text("look")
    stopped = done.text("stop-run")
    assert "stopped" in stopped.splitlines()
    assert "Paused" in stopped
    assert "Unpaused" in stopped
    assert "Stop requested: enough for today" in stopped
    assert "The run waits for a person: 'publish'" in done.text("resume")
    assert "TaskStarted" in done.text("pause-run")
    assert "May it be published?" in done.text("asked")
    assert "No such file" in done.text("failed")
    assert done.outputs("approve")[-1].data["text/plain"] == "('completed', 'The note, at last.', 'yes')"
    assert "8 of 8 tasks ended: 8 completed" in done.text("magics")


def test_reading_results(execute: Callable[[str], Executed]) -> None:
    done = execute("05-reading-results")
    assert "39914" in done.text("one")
    assert "result:   276" in done.text("facts")
    assert "bicycle_chart-1.png" in done.text("outputs")
    assert "(lines, totals, chart)" in done.text("frame")
    assert "image/png" in done.kinds("timeline")
    assert "before: {'bicycles': 21351, 'best day': '2025-05-18', 'busy days': 0}" in done.text("rerun")
    assert "now:    {'bicycles': 21351, 'best day': '2025-05-18', 'busy days': 20}" in done.text("rerun")
    assert "totals.busy" in done.text("compare")
    assert done.outputs("sessions")[-1].data["text/plain"] == "True"


def test_reproduced_report(execute: Callable[[str], Executed], folder: Path) -> None:
    done = execute("07-reproduced-report")
    assert done.text("run") == "'completed'"
    assert "differs  cells 5, 6" in done.text("differs")
    assert "no seed was set from outside" in done.text("differs")
    assert done.text("same").endswith("reproduced: everything agrees")
    assert "seed:     42" in done.text("recorded")
    assert "input file 'counts' has changed" in done.text("changed")
    assert "final_output.md  ok" in done.text("bicycles")
    assert "0 scripts, 1 picture" in done.text("write")
    assert "95 of 100 samples" in (folder / "report.html").read_text()
    assert "<h1>Bicycles" in (folder / "bicycles.html").read_text()


def test_a_parameter_sweep(execute: Callable[[str], Executed]) -> None:
    done = execute("06-parameter-sweep")
    assert "9 of 9 tasks ended" in done.text("sweep")
    gallery = done.outputs("sweep")[-1].data["text/html"]
    assert gallery.count("<img ") == 9
    assert "counter = park, window = 15" in gallery
    assert "completed" in done.text("frame")
    assert "counter" in done.text("pivot")
    assert "'index.html', 'pictures', 'results.csv'" in done.text("files-list").replace("\n", "").replace("  ", " ")
    mistakes = done.text("mistake")
    assert "did you mean 'bridge'?" in mistakes
    assert "did you mean 'window'?" in mistakes
    assert "row 3: parameter 'window' must be a whole number, not 2.5" in mistakes
    assert "15 of 15 tasks ended" in done.text("resume")
    failures = done.text("failures")
    assert "failed - ['counter_bridge-window_365'" in failures
    assert "a window of 365 days does not fit into 91 days" in failures
    attempts = [line.split()[1:] for line in failures.splitlines() if line.startswith(("bridge ", "harbour ", "park "))]
    assert attempts == [["1"] * 5] * 3
    assert done.outputs("table")[-1].data["text/plain"] == "['park/03-days.ipynb', 'bridge/05-days.ipynb']"


def test_coding_agents(execute: Callable[[str], Executed], folder: Path) -> None:
    need("bwrap", "git")
    done = execute("08-coding-agents")
    assert "3 of 3 tasks ended (3 completed)" in done.text("run")
    told = done.text("done")
    assert "'sum-up': 'Both are there.'" in told
    assert "One test, which passes." in told
    assert "Counts words." in told
    assert "your own files: ['words.py'] \n" in told
    assert "The run waits for a person: 'note'" in done.text("refused")
    assert "for one attempt" in done.text("asked")
    assert "written: False" in done.text("asked")
    assert done.outputs("granted")[-1].data["text/plain"] == "('completed', 'Noted.\\n')"
    assert "| gemini |" in done.outputs("table")[0].data["text/markdown"]
    assert "gemini cannot honour `budget` (these can: claude)" in done.text("mistake")
    assert done.text("hand").startswith("# Agent-01: review")
    assert "its result was imported by" in done.text("import")
    assert "The review says: Short and good." in done.text("import")


def test_there_is_a_test_for_every_tutorial() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb")) == TUTORIALS


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_output_and_in_form(path: Path) -> None:
    raw = json.loads(path.read_text("utf-8"))
    nbformat.validate(raw)
    assert (raw["nbformat"], raw["nbformat_minor"]) >= (4, 5)
    assert raw["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in raw["metadata"]
    code = [cell for cell in raw["cells"] if cell["cell_type"] == "code"]
    assert code
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    ids = [cell["id"] for cell in raw["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_is_short_and_its_links_lead_somewhere(name: str) -> None:
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
    assert 5 <= sum(cell["cell_type"] == "code" for cell in cells) <= 15
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    targets = [part.partition(")")[0] for part in text.split("](")[1:]]
    missing = [link for link in targets if not link.startswith("https://") and not (NOTEBOOKS / link).exists()]
    assert missing == []
