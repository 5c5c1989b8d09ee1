"""Files and texts of plain data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.planning.documents import parse, read_document
from orchestrator_nb.planning.marks import MAX_SIZE


def first(path: Path) -> str:
    document = read_document(path, "plan.yaml")
    assert document.value is None
    return str(document.faults[0])


def test_the_name_says_what_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "a.yaml").write_text("a: 1")
    assert read_document(tmp_path / "a.json", "x").value == read_document(tmp_path / "a.yaml", "x").value == {"a": 1}
    (tmp_path / "b.json").write_text("a: 1")
    assert "is not JSON" in first(tmp_path / "b.json")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_document(tmp_path / "a.yaml", "x").value == {"a": 1}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"#" * (MAX_SIZE + 1))
    (tmp_path / "latin").write_bytes("title: x\nb: größe".encode("latin-1"))
    (tmp_path / "utf16").write_text("a: 1", "utf-16")
    (tmp_path / "binary").write_bytes(b"a: \0\1")
    assert [first(tmp_path / name) for name in ("none", "fifo", ".", "large", "latin", "utf16", "binary")] == [
        "plan.yaml: does not exist",
        "plan.yaml: is not a regular file",
        "plan.yaml: is not a regular file",
        "plan.yaml: is larger than 5 MB; split the plan",
        "plan.yaml:2: is not UTF-8 text; save it as UTF-8",
        "plan.yaml:1: is not UTF-8 text; save it as UTF-8",
        "plan.yaml:1: holds a character that YAML does not allow; remove it",
    ]
    assert "cannot be read" in first(tmp_path / ("x" * 300)) or "does not exist" in first(tmp_path / ("x" * 300))


def test_lines_count_from_the_beginning_of_the_file() -> None:
    document = parse("a: 1\na: 2\n", "task.md", "yaml", offset=1)
    assert str(document.faults[0]) == "task.md:3: the key 'a' is doubled; remove one"
    assert document.locate(("a",)) == (3, 1)


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_half_a_surrogate_pair_is_no_text(kind: str) -> None:
    document = parse('["x",\n"\ud800"]', "x", kind)  # type: ignore[arg-type]
    assert str(document.faults[0]) == "x:2: holds half of a surrogate pair, which is no text; remove it"
