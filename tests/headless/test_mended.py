from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.errors import CommandRefused, ParameterError
from orchestrator_nb.headless.batch import batch
from orchestrator_nb.headless.mended import failed_runs
from tests.headless.books import save, sweep
from tests.runtime.waiting import until


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_failed_runs_of_a_live_batch_go_on_when_their_notebook_is_mended(here: Path) -> None:
    book = sweep(here)
    grid = {"x": "1..2"}
    started = batch(book, grid=grid, params={"fail_at": 2}, keep_kernel_on_error="10m", jobs=2, output="out")
    until(lambda: started.run.waits, 120)
    assert repr(started).startswith(f"<Batch {started.id} running")
    same = {"grid": grid, "params": {"fail_at": 2}, "output": "out"}
    for given in ({"output": "out"}, same, {**same, "keep_kernel_on_error": 600}, {**same, "jobs": 2}):
        session, names = failed_runs(book, **given)  # type: ignore[arg-type]
        assert (session.path, names) == (started.run.path, ["x_2"])
    for other in ({"grid": {"x": "1..3"}}, {"keep_kernel_on_error": "1h"}, {"cell_timeout": 5}):
        with pytest.raises(CommandRefused, match="was started with other rows or options"):
            failed_runs(book, **{**same, **other})  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="y"):
        failed_runs(book, grid={"y": "1..3"}, output="out")
    with pytest.raises(CommandRefused, match="exclude each other"):
        failed_runs(book, output="out", force=True)
    cells = book.read_text()
    book.write_text(cells.replace("assert x != fail_at", "assert x"))
    started.run.retry("x_2", from_failed_cell=True)
    started.wait(120)
    assert [(row["status"], row["attempts"], row["double"]) for row in started.results] == [
        ("completed", 1, 2),
        ("completed", 2, 4),
    ]
    assert (here / "out/index.html").exists()
    with pytest.raises(CommandRefused, match=r"no live kernel .*: orchestrate batch .*sweep.ipynb -o out --resume"):
        failed_runs(book, output="out")


def test_a_folder_without_a_batch_has_no_live_kernel(here: Path) -> None:
    book = save(here / "book.ipynb", "1")
    with pytest.raises(CommandRefused, match="no batch is being run for book-runs"):
        failed_runs(book)
