"""Batches, run for real: rows become notebooks, what failed and what was killed goes on, folders are kept apart."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator_nb import Session
from orchestrator_nb.core import events as e
from orchestrator_nb.errors import CommandRefused, OrchestratorError, ParameterError
from orchestrator_nb.headless.batch import Batch, batch, memory_gb, options_of, plan_of, start
from orchestrator_nb.storage.log import read_records
from tests.headless.books import save, sweep

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    return tmp_path


def events(run: Any, kind: type[e.Event]) -> list[Any]:
    return [record.event for record in read_records(run.path / "events.jsonl") if isinstance(record.event, kind)]


def eventually(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
    return value


def test_a_batch_runs_every_row_and_fills_its_folder(here: Path) -> None:
    done = batch(
        sweep(here), grid={"x": "1..2", "model": ["a", "b"]}, params={"fail_at": 2}, jobs=2, output="out"
    ).wait()
    out = here / "out"
    assert done.status == "failed"
    assert done.done
    assert done.failed == ["x_2-model_a", "x_2-model_b"]
    names = ["x_1-model_a", "x_1-model_b", "x_2-model_a", "x_2-model_b"]
    assert sorted(path.stem for path in out.glob("*.ipynb")) == names
    assert sorted(path.stem for path in (out / "pictures").glob("*.png")) == names
    first, *_, last = done.results
    assert (first["run"], first["x"], first["model"], first["status"]) == ("x_1-model_a", 1, "a", "completed")
    assert (first["double"], first["label"], first["error"]) == (2, "a<1>", None)
    assert first["duration"] > 0
    assert last["status"] == "failed"
    assert last["error"].startswith("cell ")
    assert last["error"].endswith("AssertionError: 2 is bad")
    assert last["double"] == 4
    assert last["error_cell"] == "x_2-model_b.ipynb#papermill-error-cell"
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["double"] for row in rows] == ["2", "2", "4", "4"]
    assert rows[3]["picture"] == "pictures/x_2-model_b.png"
    page = (out / "index.html").read_text()
    assert page.count("<img ") == 4
    assert f"orchestrate retry x_2-model_a -s {done.id} &amp;&amp; orchestrate resume {done.id}" in page
    assert "assert x != fail_at" in page
    document = (out / "final_output.md").read_text()
    assert "| [x_1-model_a](x_1-model_a.ipynb) | 1 | a | ✅ | 2 |" in document
    assert "pictures/x_2-model_b.png" in document
    assert "- Runs completed: 2 of 4" in document
    frame = done.to_frame()
    assert list(frame.index) == names
    assert pd.api.types.is_integer_dtype(frame["double"])
    assert done.run.plan.merge.strategy == "table"
    assert len(events(done.run, e.TaskStarted)) == 4


def test_one_failed_run_alone_is_run_again_by_its_session(here: Path) -> None:
    done = batch(sweep(here), grid={"x": "1..3"}, params={"fail_at": 2}, output="out", max_failures=1, jobs=1).wait()
    assert [row["status"] for row in done.results] == ["completed", "failed", "blocked"]
    session = Session.open(done.id)
    session.tell("retry", task="x_2")
    again = Batch.of_run(session.resume()).wait()
    assert [row["status"] for row in again.results] == ["completed", "failed", "blocked"]
    assert [event.task for event in events(done.run, e.TaskStarted)] == ["x_1", "x_2", "x_2"]
    assert again.output == here / "out"
    assert again.results[0]["double"] == 2


def test_a_batch_goes_on_with_what_failed_and_what_is_new(here: Path) -> None:
    notebook = sweep(here)
    first = batch(notebook, grid={"x": "1..3"}, params={"fail_at": 3}, output="out", fail_fast=True, jobs=1).wait()
    assert [row["status"] for row in first.results] == ["completed", "completed", "failed"]
    again = batch(notebook, grid={"x": "1..4"}, params={"fail_at": 3}, output="out", resume=True, jobs=1).wait()
    assert again.id == first.id
    assert [row["status"] for row in again.results] == ["completed", "completed", "failed", "completed"]
    assert [event.task for event in events(again.run, e.TaskStarted)] == ["x_1", "x_2", "x_3", "x_3", "x_4"]
    changed = batch(notebook, grid={"x": "1..4"}, output="out", resume=True, jobs=2).wait()
    assert changed.status == "completed"
    assert len(events(changed.run, e.TaskStarted)) == 9  # fail_at is another one: all four are
    save(notebook, ("x: int = 1", "parameters"), "from orchestrator_nb.ipynb.scraps import record\nrecord('n', x)")
    other = batch(notebook, grid={"x": "3..4"}, output="out", resume=True).wait()
    assert [row["n"] for row in other.results] == [3, 4]
    assert "double" not in other.results[0]


def test_without_rows_a_batch_goes_on_with_its_own(here: Path) -> None:
    notebook = sweep(here)
    params = {"hold": str(here / "go"), "model": "$$ ${x}"}
    first = start(notebook, grid={"x": "1..2"}, params=params, output="out", jobs=1, timeout=60)
    eventually(lambda: events(first.run, e.TaskProgressed))
    first.halt()
    first.wait()
    assert first.status == "halted"
    assert (here / "out/results.csv").exists()
    (here / "go").touch()
    again = start(notebook, output="out", resume=True, jobs=2).wait()
    assert [row["status"] for row in again.results] == ["completed"] * 2
    assert [row["label"] for row in again.results] == ["$$ ${x}<1>", "$$ ${x}<2>"]
    assert again.run.plan["x_1"].timeout == 60
    assert again.run.plan.limits.max_parallel == 2


def test_c1_a_killed_batch_goes_on_without_repeating_what_finished(here: Path) -> None:
    sweep(here)
    program = (
        "from orchestrator_nb import batch\n"
        f"rows = [{{'x': 1}}, {{'x': 2, 'hold': {str(here / 'go')!r}}}]\n"
        "batch('sweep.ipynb', rows=rows, output='out', jobs=1).wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=here)
    try:
        eventually(lambda: list((here / "out").glob("*.ipynb")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (here / "go").touch()
    rows = [{"x": 1}, {"x": 2, "hold": str(here / "go")}]
    again = batch("sweep.ipynb", rows=rows, output="out", jobs=1, resume=True).wait()
    assert again.status == "completed"
    started = [(event.task, event.attempt) for event in events(again.run, e.TaskStarted)]
    assert sum(task == again.results[0]["run"] for task, _ in started) == 1
    assert [row["double"] for row in again.results] == [2, 4]


def test_f6_all_faults_of_all_rows_are_told_before_anything_starts(here: Path) -> None:
    rows = [{"x": 1}, {"x": "many"}, {"modell": "a"}, {"x": 2.5}]
    with pytest.raises(ParameterError) as caught:
        batch(sweep(here), rows=rows, output="out")
    told = str(caught.value)
    assert "row 2" in told
    assert "many" in told
    assert "row 3" in told
    assert "did you mean 'model'?" in told
    assert "row 4" in told
    assert not (here / "out").exists()
    assert not (here / ".orchestrator").exists()


def test_f10_folders_that_cannot_be_used_are_refused_with_a_remedy(here: Path) -> None:
    notebook = save(here / "n.ipynb", ("x = 1", "parameters"))
    (here / "file").write_text("")
    with pytest.raises(OrchestratorError, match="is no directory: choose another output folder"):
        batch(notebook, output="file")
    (here / "out").mkdir()
    (here / "out/x_1.ipynb").write_text("mine")
    with pytest.raises(CommandRefused, match=r"holds x_1\.ipynb already: replace what has the same name \(force\)"):
        batch(notebook, grid={"x": "1..2"}, output="out")
    with pytest.raises(CommandRefused, match="is the notebook itself"):
        batch(notebook, name="n", output=".", force=True)
    with pytest.raises(CommandRefused, match="exclude each other"):
        batch(notebook, output="out", force=True, resume=True)
    assert (here / "out/x_1.ipynb").read_text() == "mine"
    assert not (here / ".orchestrator").exists()


def test_f10_another_batch_is_replaced_only_when_asked_and_never_while_it_runs(here: Path) -> None:
    notebook = save(here / "n.ipynb", ("x = 1\nhold = ''", "parameters"), "import time\nwhile hold: time.sleep(0.01)")
    first = start(notebook, params={"hold": "yes"}, output="out")
    try:
        with pytest.raises(CommandRefused, match=f"belongs to session {first.id}, which is being run by"):
            batch(notebook, output="out", force=True)
    finally:
        first.halt()
        first.wait()
    with pytest.raises(CommandRefused, match=r"go on with it \(resume\), replace it \(force\)"):
        batch(notebook, output="out")
    second = batch(notebook, output="out", force=True).wait()
    assert second.status == "completed"
    assert json.loads((here / "out/batch.json").read_text())["session"] == str(second.run.path)


def test_a_batch_can_be_awaited(here: Path) -> None:
    notebook = save(here / "n.ipynb", ("x = 1", "parameters"), ("x + 1", "result"))

    async def main() -> Batch:
        return await batch(notebook, params={"x": 4})

    done = asyncio.run(main())
    assert done.results[0]["result"] == 5
    assert done.output == here / "n-runs"
    assert repr(done).endswith(f"completed: 1 of 1 run in {here / 'n-runs'}>")


def test_time_limits_and_retries_reach_every_run(here: Path) -> None:
    notebook = save(here / "n.ipynb", ("x = 1", "parameters"), "import time\ntime.sleep(60)")
    done = batch(notebook, grid={"x": "1..2"}, cell_timeout=1, jobs=2).wait()
    assert [row["status"] for row in done.results] == ["failed"] * 2
    assert "imeout" in Session.open(done.id).task("x_1").error


def test_what_counts_is_the_last_attempt(here: Path) -> None:
    mark = here / "seen"
    notebook = save(
        here / "n.ipynb",
        ("x = 1", "parameters"),
        f"from pathlib import Path\nfrom orchestrator_nb.ipynb.scraps import record\nseen = Path({str(mark)!r})",
        "record('seen', seen.exists())\nif not seen.exists():\n    seen.touch()\n    raise ValueError('first')",
    )
    started = start(notebook, retries=1, output="out")
    eventually(lambda: any(row["error"] for row in started.results))
    eventually((here / "out/n.ipynb").exists)
    assert "papermill-error-cell" in (here / "out/n.ipynb").read_text()
    [row] = started.wait().results
    assert (row["status"], row["attempts"], row["seen"], row["error"], row["error_cell"]) == (
        *("completed", 2, True, None, None),
    )
    assert "papermill-error-cell" not in (here / "out/n.ipynb").read_text()


def test_a_seed_makes_random_numbers_equal(here: Path) -> None:
    notebook = save(here / "n.ipynb", ("x = 1", "parameters"), ("import random\nrandom.random()", "result"))
    done = batch(notebook, grid={"x": "1..2"}, seed=7, output="out").wait()
    first, second = (row["result"] for row in done.results)
    assert first == second
    assert 0 < first < 1
    with pytest.raises(ParameterError, match="a seed is a whole number"):
        batch(notebook, seed=-1, output="other")


def test_options_are_the_plans() -> None:
    rows = {"a": {"x": 1}, "b": {"x": "$"}}
    plan = plan_of(
        Path("/n.ipynb"), rows, {"retries": 2, "memory": "500MB", "timeout": 5, "max_failures": 3, "seed": 7}
    ).build()
    task = plan["b"]
    assert task.parameters == {"x": "$$"}
    assert task.retry is not None
    assert task.retry.attempts == 3
    assert task.resources is not None
    assert task.resources.memory_gb == 0.5
    assert task.timeout == 5
    assert plan.limits.max_failures == 3
    assert options_of(plan) == {
        "jobs": plan.limits.max_parallel,
        "max_failures": 3,
        "timeout": 5,
        "retries": 2,
        "seed": 7,
        "memory": 0.5,
    }
    assert plan.limits.max_parallel == len(os.sched_getaffinity(0))
    with pytest.raises(OrchestratorError, match="fail_fast means max_failures=1, not 3"):
        plan_of(Path("/n.ipynb"), rows, {"fail_fast": True, "max_failures": 3})


@pytest.mark.parametrize(("given", "size"), [("500MB", 0.5), ("2GB", 2), ("2 gb", 2), (1.5, 1.5), ("3", 3), ("2G", 2)])
def test_memory_as_people_write_it(given: Any, size: float) -> None:
    assert memory_gb(given) == size


@pytest.mark.parametrize("given", ["much", "", "-1GB", "0", "nan", "5X"])
def test_f6_memory_that_makes_no_sense(given: str) -> None:
    with pytest.raises(OrchestratorError, match="write 500MB, 2GB, or a number of gigabytes"):
        memory_gb(given)


@pytest.mark.parametrize("name", ["no.ipynb", "file.py", "."])
def test_f7_there_must_be_a_notebook(here: Path, name: str) -> None:
    with pytest.raises(OrchestratorError):
        batch(name)
    assert list(here.iterdir()) == []
