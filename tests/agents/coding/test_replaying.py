"""Changes of files done again, in git repositories and outside, and those that nobody's agent can have made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from orchestrator_nb.agents.coding.replaying import (
    FileChange,
    changed_files,
    changes_hash,
    files_given,
    redo,
    tree_hash,
)
from orchestrator_nb.agents.coding.working import workplace_for
from orchestrator_nb.errors import CassetteError
from tests.agents.lab import Lab
from tests.git_repositories import make_repository


@pytest.fixture(params=["git", "copies"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    if request.param == "git":
        make_repository(tmp_path / "plan")
    made = Lab(tmp_path)
    (made.base / "a.txt").write_text("a\n")
    return made


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_what_was_changed_is_changed_again(lab: Lab) -> None:
    assignment = lab.assignment(agent="claude", prompt="x")
    changes = [
        FileChange("a.txt", b"b\n", was=sha("a\n")),
        FileChange("new/x.sh", b"#!/bin/sh\n", executable=True),
        FileChange("new/link", link="x.sh"),
    ]
    kept = redo(assignment, changes, None, ())
    assert sorted(change.path for change in kept.changes) == ["a.txt", "new/link", "new/x.sh"]
    top = workplace_for(assignment, own=True).top
    assert (top / "a.txt").read_text() == "b\n"
    assert (top / "new/x.sh").stat().st_mode & 0o100
    assert (top / "new/link").is_symlink()
    found, continues = changed_files(assignment)
    assert not continues
    assert changes_hash(found) == changes_hash(changes)
    later = lab.assignment(2, agent="claude", prompt="x")
    redo(later, [FileChange("a.txt", was=sha("b\n"))], 1, ())
    assert not (workplace_for(later, own=True).top / "a.txt").exists()
    assert changed_files(later)[1], "it went on in the first one's place"


def test_a_file_that_others_changed_otherwise_is_not_overwritten(lab: Lab) -> None:
    assignment = lab.assignment(agent="claude", prompt="x")
    with pytest.raises(CassetteError, match=r"change of a\.txt cannot be made here: others have changed it otherwise"):
        redo(assignment, [FileChange("a.txt", b"mine\n", b"theirs\n", sha("theirs\n"))], None, ())


@pytest.mark.parametrize("path", ["../x", "/etc/x", ".git/config", "a/.GIT/hooks/x", "a//b", ""])
def test_no_path_leads_out_of_the_tree(lab: Lab, path: str) -> None:
    with pytest.raises(CassetteError, match="tampered with"):
        redo(lab.assignment(agent="claude", prompt="x"), [FileChange(path, b"x")], None, ())


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", ".git/config"])
def test_no_link_leads_out_of_the_tree(lab: Lab, target: str) -> None:
    with pytest.raises(CassetteError, match="a link out of the tree"):
        redo(lab.assignment(agent="claude", prompt="x"), [FileChange("x", link=target)], None, ())


def test_who_may_not_write_changes_nothing(lab: Lab) -> None:
    reading = lab.assignment(agent="claude", prompt="x", parameters={"level": "read"})
    assert redo(reading, [], None, ()).changes == ()
    with pytest.raises(CassetteError, match="may not write"):
        redo(reading, [FileChange("x", b"x")], None, ())


def test_the_files_that_agents_are_given(lab: Lab) -> None:
    (lab.base / "cassette").mkdir()
    (lab.base / "cassette" / "x").write_text("x")
    assignment = lab.assignment(agent="claude", prompt="x")
    given = files_given(assignment, lab.base / "cassette")
    assert "a.txt" in given
    assert not [path for path in given if path.startswith("cassette")]
    digest, listing = tree_hash(given)
    assert "\ta.txt\n" in listing
    assert digest == tree_hash(dict(reversed(given.items())))[0]
