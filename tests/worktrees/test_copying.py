from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.errors import StorageError, WorktreeError
from orchestrator_nb.worktrees.copying import CopyLimits, Entry, apply, copy_tree, line_counts, merged, scan
from tests.git_repositories import tree, write

LIMITS = CopyLimits()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "source"
    write(top, {"a.txt": "a\n", "src/b.txt": "b\n", "-rf": "x", "new\nline": "y", os.fsdecode(b"\xff"): "z"})
    (top / "empty").mkdir()
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("src/b.txt")
    (top / "out").symlink_to("/etc")
    (top / "loop").symlink_to(".")
    return top


def test_a_copy_is_equal_and_apart(source: Path, tmp_path: Path) -> None:
    os.utime(source / "a.txt", (1, 2))
    found = scan(source, LIMITS)
    copy_tree(source, tmp_path / "copy", found.manifest)
    assert tree(tmp_path / "copy") == tree(source)
    assert scan(tmp_path / "copy", LIMITS).manifest == found.manifest
    assert (tmp_path / "copy/a.txt").stat().st_mtime == 2
    (tmp_path / "copy/a.txt").write_text("changed")
    assert (source / "a.txt").read_text() == "a\n"
    assert os.readlink(tmp_path / "copy/out") == "/etc"


def test_what_is_no_file_is_named_and_does_not_hang(source: Path) -> None:
    os.mkfifo(source / "pipe")
    found = scan(source, LIMITS)
    assert [(item.path, item.reason) for item in found.left_out] == [
        ("pipe", "it is no regular file (a pipe, a socket or a device)")
    ]
    assert "pipe" not in found.manifest


@pytest.mark.parametrize("limits", [CopyLimits(bytes=10), CopyLimits(files=3)])
def test_a_directory_that_is_too_large_is_refused_with_a_remedy(source: Path, limits: CopyLimits) -> None:
    with pytest.raises(WorktreeError, match=r"source has more than .* work in a smaller directory, or in a git repo"):
        scan(source, limits)


def test_a_huge_hole_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(WorktreeError, match="has more than"):
        scan(tmp_path, LIMITS)


def test_a_file_that_vanishes_is_an_error(source: Path, tmp_path: Path) -> None:
    found = scan(source, LIMITS)
    (source / "a.txt").unlink()
    with pytest.raises(StorageError, match=r"cannot copy .*a\.txt"):
        copy_tree(source, tmp_path / "copy", found.manifest)


A, B, C = (Entry("file", 0o644, 1, digest) for digest in "abc")
DIRECTORY = Entry("directory")


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result", "conflicts"),
    [
        ({"x": A}, {"x": A}, {"x": B}, {"x": B}, []),
        ({"x": A}, {"x": B}, {"x": A}, {"x": B}, []),
        ({"x": A}, {"x": B}, {"x": B}, {"x": B}, []),
        ({"x": A}, {"x": B}, {"x": C}, {"x": B}, ["x"]),
        ({"x": A}, {}, {"x": B}, {}, ["x"]),
        ({"x": A}, {"x": B}, {}, {"x": B}, ["x"]),
        ({"x": A}, {}, {}, {}, []),
        ({}, {"x": A}, {"x": B}, {"x": A}, ["x"]),
        ({}, {"y": A}, {"x": B}, {"x": B, "y": A}, []),
        # a directory that is emptied here, and put something into there
        ({"d": DIRECTORY, "d/x": A}, {"d": DIRECTORY, "d/x": A, "d/y": B}, {}, {"d": DIRECTORY, "d/y": B}, []),
        # a file here, a directory there
        ({}, {"d": A}, {"d": DIRECTORY, "d/x": B}, {"d": A}, ["d"]),
        ({"d": DIRECTORY}, {"d": DIRECTORY, "d/x": B}, {"d": A}, {"d": DIRECTORY, "d/x": B}, ["d"]),
    ],
)
def test_three_states_are_merged_by_paths(
    base: dict[str, Entry],
    ours: dict[str, Entry],
    theirs: dict[str, Entry],
    result: dict[str, Entry],
    conflicts: list[str],
) -> None:
    assert merged(base, ours, theirs) == (result, conflicts)


@given(st.integers(0, 2**32))
def test_any_state_is_made_from_any_other(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    top = tmp_path_factory.mktemp("any")
    for side in ("one", "two"):
        (top / side).mkdir()
        for _ in range(chance.randint(0, 8)):
            path = top / side / "/".join(chance.choice("ab") for _ in range(chance.randint(1, 3)))
            way = [path, *path.parents]
            if not os.path.lexists(path) and all(one.is_dir() or not os.path.lexists(one) for one in way):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to("x") if chance.random() < 0.2 else path.write_text(str(chance.random()))
    one, two = (scan(top / side, LIMITS).manifest for side in ("one", "two"))
    apply(top / "one", one, two, top / "two")
    assert tree(top / "one") == tree(top / "two")


def test_lines_are_counted_where_there_are_lines(tmp_path: Path) -> None:
    write(tmp_path, {"old": "1\n2\n3\n", "new": "1\n3\n4\n5\n", "large": "x\n" * 100_000})
    (tmp_path / "binary").write_bytes(b"\0")
    assert line_counts(tmp_path / "old", tmp_path / "new") == (2, 1)
    assert line_counts(None, tmp_path / "new") == (4, 0)
    assert line_counts(tmp_path / "old", None) == (0, 3)
    for name in ("large", "binary", "missing"):
        assert line_counts(tmp_path / "old", tmp_path / name) == (None, None)
