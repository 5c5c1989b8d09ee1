"""The visible folder of a batch: whose it is, and files put whole or not at all."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from orchestrator_nb.errors import CommandRefused, StorageError
from orchestrator_nb.headless.folder import MARK, Folder


def test_a_file_is_put_whole_with_its_folders_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    folder.put("a/b/c.txt", b"old")
    folder.put("a/b/c.txt", b"new ", more=io.BytesIO(b"and more"))
    assert (tmp_path / "out/a/b/c.txt").read_bytes() == b"new and more"
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["c.txt"]
    assert folder.read("a/b/c.txt") == b"new and more"
    assert folder.read("no") == b""


def test_f10_a_file_that_cannot_be_put_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file in the way")
    with pytest.raises(StorageError, match="pictures"):
        Folder(tmp_path).put("pictures/x.png", b"")
    (tmp_path / "x.ipynb").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*x\.ipynb: Is a directory .*move that away"):
        Folder(tmp_path).put("x.ipynb", b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "x.ipynb"]


def test_f10_a_full_disk_is_told() -> None:
    with pytest.raises(StorageError):
        Folder(Path("/proc/self")).put("x", b"content")


def test_a_folder_knows_its_session_as_long_as_that_is_there(tmp_path: Path) -> None:
    folder, session = Folder(tmp_path / "out"), tmp_path / "session"
    assert folder.earlier() is None
    folder.claim(session=str(session))
    assert folder.earlier() is None
    session.mkdir()
    (session / "events.jsonl").write_text("")
    assert folder.earlier() == session


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"other": 1}'])
def test_f10_a_damaged_mark_is_told_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARK).write_bytes(content)
    with pytest.raises(StorageError, match=r"batch\.json is damaged: start anew \(force\), or use another folder"):
        Folder(tmp_path).earlier()


def test_f10_a_damaged_mark_does_not_keep_from_starting_anew(tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(b"{}")
    Folder(tmp_path).check_free(tmp_path / "n.ipynb", ["x"], force=True)


def test_f10_the_notebook_itself_is_never_overwritten(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    notebook.write_text("{}")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for folder in (tmp_path, link):
        with pytest.raises(CommandRefused, match="is the notebook itself"):
            Folder(folder).check_free(notebook.resolve(), ["x", "n"], force=True)


def test_what_is_claimed_is_json(tmp_path: Path) -> None:
    Folder(tmp_path / "new").claim(session="s", notebook="n")
    assert json.loads((tmp_path / "new" / MARK).read_text()) == {"session": "s", "notebook": "n"}
