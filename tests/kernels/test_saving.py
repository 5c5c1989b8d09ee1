"""What is on disk while and after a notebook is executed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import papermill_io

from orchestrator_nb.kernels.saving import Saver, replace
from tests.kernels.books import execute, notebook, run
from tests.kernels.waiting import wait_for
from tests.live_kernels import REPOSITORY


def test_a_file_is_replaced_whole_with_its_permissions_and_through_links(tmp_path: Path) -> None:
    target, link = tmp_path / "real" / "a.ipynb", tmp_path / "link.ipynb"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    before = target.stat().st_ino
    replace(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.stat().st_ino != before
    assert [item.name for item in target.parent.iterdir()] == ["a.ipynb"]


def test_a_new_file_has_the_permissions_of_new_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    replace(tmp_path / "new.ipynb", "new")
    assert (tmp_path / "new.ipynb").stat().st_mode == plain.stat().st_mode


def test_what_cannot_be_replaced_is_written_in_place(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("old")
    other.hardlink_to(one)
    replace(one, "new")
    assert other.read_text() == "new"
    replace(Path("/dev/null"), "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_missing_folder_is_told_as_by_papermill(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"output folder .* doesn't exist"):
        execute(notebook(tmp_path / "a.ipynb", "1"), output=tmp_path / "none" / "b.ipynb")
    assert papermill_io._handlers[0][0] != str(tmp_path / "none" / "b.ipynb")


class Counting(Saver):
    """Counts what is written."""

    def _write(self) -> None:
        super()._write()
        self.writes = getattr(self, "writes", 0) + 1


def test_fast_cells_share_a_write(tmp_path: Path) -> None:
    cells = [new_code_cell(str(number)) for number in range(50)]
    book = new_notebook(cells=cells)
    book.metadata.papermill = {}
    saver = Counting(book, str(tmp_path / "a.ipynb"), progress_bar=False)
    saver.notebook_start()
    for index, cell in enumerate(cells):
        saver.cell_start(cell, index)
        saver.cell_complete(cell, index)
    assert saver.writes == 1  # the beginning
    saver.notebook_complete()
    saver.give_up()
    assert saver.writes == 2
    saved = nbformat.read(tmp_path / "a.ipynb", 4)
    assert {cell.metadata.papermill.status for cell in saved.cells} == {"completed"}


def test_other_places_than_files_are_written_by_papermill(tmp_path: Path) -> None:
    written: list[str] = []

    class Memory:
        """A place of its own."""

        def write(self, text: str, path: str) -> None:
            written.append(path)

        def pretty_path(self, path: str) -> str:
            return path

    papermill_io.register("memory://", Memory())
    try:
        path = notebook(tmp_path / "a.ipynb", "1")
        papermill.execute_notebook(
            str(path), "memory://x.ipynb", engine_name="orchestrator", kernel_mode="cold", progress_bar=False
        )
    finally:
        papermill_io._handlers = [item for item in papermill_io._handlers if item[0] != "memory://"]
    assert set(written) == {"memory://x.ipynb"}
    assert len(written) >= 3


def test_relative_outputs_are_relative_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    notebook(tmp_path / "a.ipynb", "1")
    execute(Path("a.ipynb"), output=Path("b.ipynb"), cwd=str(tmp_path / "elsewhere"))
    assert (tmp_path / "b.ipynb").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_output_is_let_go_of(tmp_path: Path) -> None:
    before = list(papermill_io._handlers)
    run(tmp_path, "1")
    with pytest.raises(PapermillExecutionError):
        run(tmp_path, "1 / 0")
    assert papermill_io._handlers == before


PROGRAM = """
import sys
from pathlib import Path
from tests.kernels.books import execute
execute(Path(sys.argv[1]), "cold")
"""


def test_C1_a_killed_execution_leaves_a_notebook_that_lacks_a_second_at_most(tmp_path: Path) -> None:
    cells = [
        "import time\nopen('started', 'w').close()",
        *(f"{n}" for n in range(5)),
        "open('long', 'w').close(); time.sleep(600)",
    ]
    path = notebook(tmp_path / "a.ipynb", *cells)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    out = tmp_path / "a.out.ipynb"
    wait_for((tmp_path / "long").exists)
    wait_for(lambda: statuses(out) == [*(6 * ["completed"]), "running"], 5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert statuses(out) == [*(6 * ["completed"]), "running"]
    nbformat.validate(nbformat.read(out, 4))


def statuses(path: Path) -> list[str]:
    return [cell["metadata"]["papermill"]["status"] for cell in json.loads(path.read_text())["cells"]]


def test_C1_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom tests.kernels.books import execute\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\nexecute(Path(sys.argv[1]), 'cold')\n"
    )
    path = notebook(tmp_path / "a.ipynb", "'first'", "print(50_000 * 'x')")
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert statuses(tmp_path / "a.out.ipynb")[0] in ("completed", "pending")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.ipynb", "a.out.ipynb"]
