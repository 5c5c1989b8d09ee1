"""Batches leave nothing behind but their results and their session, however their notebooks end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator_nb.headless.batch import batch
from tests.headless.books import save

END = """
import os, signal
if how == "exits":
    os._exit(3)
if how == "loses its kernel":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "is killed":
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
assert how == "completes"
"""
ENDS = ("completes", "fails", "exits", "loses its kernel", "is killed")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files are made; with a short name, as sockets need it."""
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="batches-") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        tempfile.tempdir = directory
        try:
            yield Path(directory)
        finally:
            tempfile.tempdir = usual


def lasting() -> tuple[set[int], int]:
    """The processes below this one, and how many descriptors it has."""
    this = psutil.Process()
    return {child.pid for child in this.children(recursive=True)}, this.num_fds()


def test_row_B7_batches_leave_no_files_processes_or_descriptors(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    book = save(tmp_path / "book.ipynb", ("how = ''", "parameters"), END)

    def run(output: str) -> None:
        done = batch(book, grid={"how": list(ENDS)}, jobs=2, output=output, show=False).wait()
        assert [row["status"] for row in done.results] == ["completed", *["failed"] * 4]

    run("first")  # the loop's own descriptors stay
    processes, descriptors = lasting()
    run("second")
    assert lasting()[0] - processes == set()
    assert lasting()[1] <= descriptors
    assert list(place.iterdir()) == []
    assert sorted(os.listdir(tmp_path)) == [".orchestrator", "book.ipynb", "first", "second"]
