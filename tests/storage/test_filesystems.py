"""The kinds themselves are row C10 of `tests/faults/test_filesystem.py`."""

from __future__ import annotations

from pathlib import Path

from orchestrator_nb.storage.filesystems import filesystem_kind, filesystem_warning


def test_path_that_does_not_exist_yet_has_the_kind_of_its_parent(tmp_path: Path) -> None:
    assert filesystem_kind(tmp_path / "not" / "yet") == filesystem_kind(tmp_path) != ""


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert filesystem_kind(tmp_path / "link" / "self") == "proc"


def test_ordinary_disk_is_not_warned_about(tmp_path: Path) -> None:
    assert filesystem_warning(tmp_path, "22 1 254:0 / / rw - btrfs /dev/vda rw\n") is None
