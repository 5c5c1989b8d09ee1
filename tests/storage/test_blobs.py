from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.errors import SessionCorrupt, UnsafePath
from orchestrator_nb.storage.blobs import Blobs
from orchestrator_nb.storage.files import Root

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(Root(tmp_path))


def test_content_is_kept_by_its_hash(blobs: Blobs) -> None:
    for _ in range(2):
        assert blobs.put(b"hello") == Artifact(f"blobs/{HELLO}", 5, HELLO)
    assert blobs.get(Artifact(f"blobs/{HELLO}", 5, HELLO)) == b"hello"
    assert os.listdir(blobs.root.path / "blobs") == [HELLO]


def test_empty_content(blobs: Blobs) -> None:
    assert blobs.get(blobs.put(b"")) == b""


@pytest.mark.parametrize("content", [b"Hello", b"hell", b"hello!", None])
def test_changed_or_missing_content_is_found(content: bytes | None, blobs: Blobs) -> None:
    blob = blobs.put(b"hello")
    path = blobs.root.path / blob.path
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(SessionCorrupt, match=str(path)):
        blobs.get(blob)
    assert blobs.put(b"hello") == blob
    assert blobs.get(blob) == b"hello", "putting it again repairs it"


def test_artifact_cannot_name_what_is_outside(blobs: Blobs) -> None:
    with pytest.raises(UnsafePath):
        blobs.get(Artifact("../../etc/passwd", 1000, HELLO))
