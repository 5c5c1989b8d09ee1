from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from orchestrator_nb.errors import UnsafePath
from orchestrator_nb.system.reading import open_regular, read_ends


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_ends(tmp_path / "a", 10) == (b"0123456789", 0)
    assert read_ends(tmp_path / "a", 4) == (b"012\n[... 6 bytes left out ...]\n9", 6)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "socket", "device"])
def test_anything_else_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "link":
        (tmp_path / "y").write_text("")
        path.symlink_to(tmp_path / "y")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path = Path("/dev/null")
    with pytest.raises(UnsafePath):
        open_regular(path)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "x")
