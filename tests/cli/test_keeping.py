"""Batches that keep the kernels of failed notebooks, from two terminals."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
from pathlib import Path

from tests.cli.program import PROGRAM, Live, environment, eventually, orchestrate, processes_of
from tests.headless.books import save


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def hours(folder: Path, cell: str) -> Path:
    """A notebook whose first cell leaves a line each time that it is executed."""
    spend = "with open(f'spent-{x}', 'a') as file:\n    print('hours', file=file)\nstate = x * 10"
    return save(folder / "book.ipynb", ("x: int = 1", "parameters"), spend, cell, "state")


def test_a_mended_notebook_goes_on_in_the_kernel_that_a_batch_kept(tmp_path: Path) -> None:
    hours(tmp_path, "assert x != 2")
    rows = ("--grid", "x=1..2", "-o", "out")
    nothing = orchestrate("batch", "book.ipynb", *rows, "--resume", "--from-failed-cell", cwd=tmp_path)
    assert nothing.returncode == 6
    assert "there is no live kernel to go on in" in nothing.stderr
    assert "orchestrate batch book.ipynb -o out --resume" in nothing.stderr
    with Live(tmp_path / "book.ipynb", *rows, "-j", "1", "--keep-kernel-on-error", "1h", command="batch") as live:
        failed = live.event("task_failure_settled", "x_2")
        assert failed["event"]["strategy"] == "block"
        hours(tmp_path, "assert x")
        told = orchestrate("batch", "book.ipynb", *rows, "--resume", "--from-failed-cell", cwd=tmp_path)
        assert told.returncode == 0, told.stderr
        assert "retry accepted" in told.stdout
        assert live.event("task_reset", "x_2")["event"]["from_failed_cell"] is True
        assert live.end(60) == 0
    assert [(row["status"], row["attempts"]) for row in rows_of(tmp_path / "out")] == [
        ("completed", "1"),
        ("completed", "2"),
    ]
    assert (tmp_path / "spent-2").read_text() == "hours\n"
    late = orchestrate("retry", "x_2", "--from-failed-cell", cwd=tmp_path)
    assert late.returncode == 6
    same = orchestrate("reproduce", "out/x_2.ipynb", cwd=tmp_path)
    assert same.returncode == 0, same.stdout + same.stderr
    assert (tmp_path / "spent-2").read_text() == "hours\nhours\n"


def test_a_batch_that_keeps_a_kernel_waits_until_ctrl_c_and_has_failed(tmp_path: Path) -> None:
    hours(tmp_path, "boom")
    with Live(tmp_path / "book.ipynb", "--keep-kernel-on-error", "1h", command="batch") as live:
        live.event("task_failure_settled")
        session = live.session
        looked = orchestrate("status", session, "--json", cwd=tmp_path)
        assert json.loads(looked.stdout)["status"] == "running"
        live.process.send_signal(signal.SIGINT)
        assert live.end(60) == 1
    assert processes_of(session) == []


def test_a_batch_that_is_killed_leaves_nothing_of_the_kernels_it_kept(tmp_path: Path) -> None:
    hours(tmp_path, "boom")
    with Live(tmp_path / "book.ipynb", "--keep-kernel-on-error", "1h", command="batch") as live:
        live.event("task_failure_settled")
        assert processes_of(live.session) != []
        live.process.kill()
        live.end(60)
        eventually(lambda: processes_of(live.session) == [], 15)
        told = orchestrate("retry", "book", "--from-failed-cell", "-s", live.session, cwd=tmp_path)
    assert told.returncode == 6
    assert f"has no live kernel: kernels end with their run, and nobody runs session {live.session}" in told.stderr


def test_a_time_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    hours(tmp_path, "boom")
    refused = orchestrate("batch", "book.ipynb", "--keep-kernel-on-error", "soon", cwd=tmp_path)
    assert refused.returncode == 2
    assert "'soon' is no duration: write 90s, 15m, 1h" in refused.stderr


def test_lines_say_that_a_batch_waits_for_how_long_and_what_goes_on(tmp_path: Path) -> None:
    hours(tmp_path, "boom")
    log = tmp_path / "log"
    arguments = [*PROGRAM, "batch", "book.ipynb", "--keep-kernel-on-error", "1h"]
    with log.open("w") as file:
        process = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stdout=file, stderr=file)
    try:
        eventually(lambda: "Waiting" in log.read_text(), 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
    finally:
        process.kill()
        process.wait()
    (said,) = [line for line in log.read_text().splitlines() if line.startswith("Waiting")]
    assert re.search(r"\((1h 00m|59m ..s)\): 1 kernel of failed notebooks kept", said)
    assert "orchestrate retry book --from-failed-cell -s " in said
    assert log.read_text().count("Waiting") == 1
