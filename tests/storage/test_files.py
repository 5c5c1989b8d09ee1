from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.errors import StorageError, UnsafePath
from orchestrator_nb.storage.files import TEMPORARY, Root, collect_outputs


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "root").mkdir()
    return Root(tmp_path / "root")


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("path", ["x", "a/x", "a/b/c/x"])
def test_written_file_is_read_back(path: str, sync: bool, root: Root) -> None:
    root.write_atomic(path, b"one", sync=sync)
    root.write_atomic(path, "zwei ü", sync=sync)
    assert root.read_bytes(path, 100).decode() == "zwei ü"
    assert [name for name in (root.path / path).parent.iterdir() if name.name.startswith(TEMPORARY)] == []


def test_text_that_is_no_unicode_is_written_all_the_same(root: Root) -> None:
    root.write_atomic("x", "a\ud800b")
    assert root.read_bytes("x", 100) == b"a?b"


def test_failed_write_leaves_the_old_file_and_nothing_else(root: Root) -> None:
    (root.path / "x").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*/x: Is a directory \(EISDIR\); a directory is in its"):
        root.write_atomic("x", b"new")
    assert root.names() == ["x"]
    assert os.listdir(root.path) == ["x"]


def test_link_in_the_place_of_a_file_is_replaced_not_followed(root: Root) -> None:
    outside = root.path.parent / "outside"
    outside.write_text("outside")
    (root.path / "x").symlink_to(outside)
    root.write_atomic("x", b"inside")
    assert (outside.read_text(), root.read_bytes("x", 100)) == ("outside", b"inside")


def test_reading_is_capped(root: Root) -> None:
    root.write_atomic("x", b"12345")
    assert root.read_bytes("x", 5) == b"12345"
    with pytest.raises(StorageError, match=r"x has 5 bytes, more than the 4 that are allowed"):
        root.read_bytes("x", 4)


def test_missing_file_says_so(root: Root) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*/a/x: No such file or directory \(ENOENT\)"):
        root.read_bytes("a/x", 5)
    assert not root.exists("a/x")
    assert root.names("a") == []


def test_artifact_names_content(root: Root) -> None:
    root.write_atomic("a/x", b"content")
    assert root.artifact("a/x") == Artifact("a/x", 7, hashlib.sha256(b"content").hexdigest())
    with pytest.raises(StorageError, match="more than the 6"):
        root.artifact("a/x", limit=6)


def test_file_that_is_still_being_written_is_no_artifact(root: Root) -> None:
    """A writer that outlives its attempt: size and hash would belong to no state that the file ever had."""
    size = 64 << 20
    with (root.path / "x").open("wb") as file:
        file.truncate(size)
    stop = threading.Event()

    def write() -> None:
        with (root.path / "x").open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(StorageError, match="changed while it was being read"):
            root.artifact("x")
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("sync", [False, True])
def test_promoted_file_moves(sync: bool, root: Root) -> None:
    root.write_atomic("attempts/t/1/x", b"new")
    (root.path / "attempts/t/1/x").chmod(0o777)
    root.write_atomic("outputs/t/x", b"old")
    root.promote("attempts/t/1/x", "outputs/t/x", sync)
    assert root.read_bytes("outputs/t/x", 10) == b"new"
    assert (root.path / "outputs/t/x").stat().st_mode & 0o777 == 0o700, "a program stays one, for its owner"
    assert not root.exists("attempts/t/1/x")


def test_file_with_two_names_is_not_promoted(root: Root) -> None:
    root.write_atomic("a", b"x")
    (root.path / "b").hardlink_to(root.path / "a")
    with pytest.raises(UnsafePath, match="has 2 names"):
        root.promote("a", "c")
    with pytest.raises(UnsafePath, match="has 2 names"):
        root.open_for_append("a")
    assert root.names() == ["a", "b"]


def test_file_exchanged_during_promotion_is_not_used(root: Root) -> None:
    """Somebody keeps exchanging it: what arrives is what was checked, or nothing."""
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (root.path / "evil").write_bytes(b"evil")
            os.replace(root.path / "evil", root.path / "a")

    thread = threading.Thread(target=exchange)
    thread.start()
    said = ""
    try:
        for _ in range(20_000):
            root.write_atomic("a", b"good")
            try:
                root.promote("a", "out/a", sync=False)
            except UnsafePath as error:
                said = str(error)
                break
            except StorageError:  # it was not there at that moment
                continue
    finally:
        stop.set()
        thread.join()
    assert "was exchanged while it was being promoted" in said
    assert not root.exists("out/a")


def test_append_adds_to_the_end(root: Root) -> None:
    for text in b"one", b"two":
        fd = root.open_for_append("a/log")
        os.write(fd, text)
        os.close(fd)
    assert root.read_bytes("a/log", 100) == b"onetwo"


def test_append_wants_a_regular_file(root: Root) -> None:
    os.mkfifo(root.path / "pipe")
    reader = os.open(root.path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(UnsafePath, match="is a named pipe"):
        root.open_for_append("pipe")
    os.close(reader)
    (root.path / "directory").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        root.open_for_append("directory")


def test_rename_moves_a_link_itself(root: Root) -> None:
    (root.path / "link").symlink_to("/etc/passwd")
    root.rename("link", "aside/link")
    assert (root.path / "aside/link").is_symlink()
    assert not root.exists("link")


def test_directories_are_made_and_everything_is_removed(root: Root) -> None:
    assert root.make_dir("a/b") == root.path / "a/b"
    root.make_dir("a/b")
    root.write_atomic("a/b/x", b"")
    (root.path / "a/link").symlink_to("/")
    assert root.names("a") == ["b", "link"]
    for path in "a/b/x", "a/link", "a", "a":
        root.remove(path)
        assert not root.exists(path)
    assert root.names() == []


def test_sweep_removes_only_half_written_files(root: Root) -> None:
    root.write_atomic("a/x", b"")
    (root.path / "a" / f"{TEMPORARY}0123").touch()
    (root.path / f"{TEMPORARY}4567").touch()
    assert root.names("a") == ["x"]
    root.sweep("a")
    assert os.listdir(root.path / "a") == ["x"]
    root.sweep()
    assert os.listdir(root.path) == ["a"]
    with pytest.raises(StorageError, match="cannot sweep"):
        root.sweep("missing")


def test_outputs_are_collected_in_order(root: Root) -> None:
    root.write_atomic("attempt/b", b"b")
    root.write_atomic("attempt/sub/a", b"aa")
    found = collect_outputs(root, "attempt", ["sub/a", "nothing", "b"], limit=10)
    assert [(artifact.path, artifact.size) for artifact in found.artifacts] == [("attempt/sub/a", 2), ("attempt/b", 1)]
    assert found.faults == ("output 'nothing' is missing",)
