"""From an executed notebook to what a batch keeps of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, BinaryIO

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from orchestrator_nb.errors import StorageError
from orchestrator_nb.headless.batch import start
from orchestrator_nb.headless.folder import Folder
from orchestrator_nb.headless.gathering import Gathering, gather
from orchestrator_nb.headless.results import Left
from orchestrator_nb.ipynb.scraps import SCRAP
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.storage.settings import Settings
from tests.headless.books import sweep
from tests.runtime.waiting import plan


def shows(**data: Any) -> Any:
    return new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})


def write(path: Path, *cells: Any) -> Path:
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def test_notebook_picture_values_and_failed_cell_are_kept(tmp_path: Path) -> None:
    first, last = (base64.b64encode(content).decode() for content in (b"first", b"last"))
    scrap = new_output("display_data", data={SCRAP: {"name": "n", "data": 3, "encoder": "json", "version": 1}})
    mark = {"tags": ["papermill-error-cell-tag"]}
    source = write(
        tmp_path / "source.ipynb",
        new_markdown_cell("An exception was encountered", metadata=mark),
        new_code_cell("plot()", outputs=[shows(image_png=first), shows(image_png=last), scrap]),
        new_markdown_cell("here", metadata=mark),
        new_code_cell("1 / 0"),
        new_code_cell("never()"),
    )
    folder = Folder(tmp_path / "out")
    left = gather(source, "a/x_1", 2, folder)
    assert left == Left(2, "a/x_1.ipynb", "pictures/a/x_1.png", "1 / 0", {"n": 3})
    assert folder.read("a/x_1.ipynb") == source.read_bytes()
    assert folder.read("pictures/a/x_1.png") == b"last"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 5}', b"\xff" * 100])
def test_what_is_no_notebook_is_copied_and_not_looked_into(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.ipynb").write_bytes(content)
    folder = Folder(tmp_path / "out")
    assert gather(tmp_path / "bad.ipynb", "x", 1, folder) == Left(1, "x.ipynb")
    assert folder.read("x.ipynb") == content


def test_f10_what_is_no_regular_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link.ipynb").symlink_to("/etc/passwd")
    assert gather(tmp_path / "link.ipynb", "x", 1, Folder(tmp_path / "out")) == Left(1)
    assert gather(tmp_path / "gone.ipynb", "x", 1, Folder(tmp_path / "out")) == Left(1)


def test_outputs_of_any_form_do_no_harm(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "code", "outputs": outputs}
        for outputs in (None, [None], [{"data": 5}], [{"data": {"image/png": 7}}])
    ]
    path = tmp_path / "odd.ipynb"
    path.write_text(str({"nbformat": 4, "cells": cells}).replace("'", '"').replace("None", "null"))
    assert gather(path, "x", 1, Folder(tmp_path / "out")) == Left(1, "x.ipynb")


def test_f10_a_folder_that_cannot_be_filled_stops_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/pictures").write_text("in the way")
    started = start(sweep(tmp_path), grid={"x": "1..5"}, output="out", jobs=1)
    with pytest.raises(StorageError, match="pictures"):
        started.wait()
    assert started.status == "stopped"
    (tmp_path / "out/pictures").unlink()
    again = start(tmp_path / "sweep.ipynb", output="out", resume=True, jobs=2).wait()
    assert again.status == "completed"
    assert len(list((tmp_path / "out/pictures").iterdir())) == 5


class Broken(Folder):
    """A folder with a fault in its code."""

    def put(self, relative: str, content: bytes, more: BinaryIO | None = None) -> None:
        raise ValueError(f"no {relative}")


def test_whatever_keeps_the_folder_from_being_filled_is_told_to_who_waits(tmp_path: Path) -> None:
    run = Orchestrator(Settings(workspace=tmp_path / "sessions")).run(plan({"id": "a", "command": "true"}))
    gathering = Gathering(run, Broken(tmp_path / "out"), "a.ipynb")
    with pytest.raises(StorageError, match=r"cannot be filled: ValueError: no results\.csv"):
        gathering.wait(20)
