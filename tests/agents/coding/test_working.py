from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from orchestrator_nb.agents.coding.cli import control_names
from orchestrator_nb.agents.coding.working import harvest, workplace_for
from orchestrator_nb.core.ports import Assignment
from orchestrator_nb.errors import WorktreeError
from orchestrator_nb.system.sandbox.control_files import ControlGuard
from orchestrator_nb.worktrees.places import Conflict, Finished
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.agents.coding.test_cli import Parrot
from tests.agents.lab import Lab
from tests.git_repositories import make_repository


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    make_repository(made.base)
    return made


def assignment(lab: Lab, attempt: int = 1, **fields: object) -> Assignment:
    return lab.assignment(attempt, agent="claude", prompt="x", **fields)


def test_who_only_looks_gets_the_directory_itself(lab: Lab) -> None:
    place = workplace_for(assignment(lab, cwd="src"), own=False)
    assert place.cwd == place.top == lab.base / "src"
    assert harvest(place, (), "x").commits == ()


def test_who_writes_gets_a_place_whose_work_is_kept(lab: Lab) -> None:
    place = workplace_for(assignment(lab, cwd="src"), own=True)
    assert place.is_repository
    assert place.cwd == place.top / "src"
    guard = ControlGuard.begin((place.top,))
    (place.cwd / "new.txt").write_text("x")
    kept = harvest(place, guard.end(), "Write it")
    assert len(kept.commits) == 1
    shown = subprocess.run(["git", "show", "--stat", kept.commits[0]], cwd=lab.base, capture_output=True, check=True)
    assert b"Write it" in shown.stdout
    assert b"src/new.txt" in shown.stdout
    assert kept.warnings == ()


def test_row_H2_control_files_are_told_of(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    place = workplace_for(assignment(lab), own=True)
    guard = ControlGuard.begin((place.top, tmp_path / "shared"))
    (place.top / "conftest.py").write_text("x")
    (tmp_path / "shared" / ".envrc").write_text("x")
    warnings = harvest(place, guard.end(), "x").warnings
    assert [warning for warning in warnings if "conftest.py" in warning]
    assert [warning for warning in warnings if "shared/.envrc appeared" in warning]
    assert not (tmp_path / "shared" / ".claude").exists()


def test_row_H2_what_git_ignores_is_told_of_too_and_each_file_once(lab: Lab) -> None:
    (lab.base / ".gitignore").write_text(".env\n.claude/*.local.json\n")
    place = workplace_for(assignment(lab), own=True)
    guard = ControlGuard.begin((place.top,))
    for name in (".env", ".claude/settings.local.json", ".claude/settings.json", "src/.vscode/tasks.json"):
        (place.top / name).parent.mkdir(parents=True, exist_ok=True)
        (place.top / name).write_text("x")
    (place.top / ".git" / "hooks").mkdir()
    (place.top / ".git" / "hooks" / "pre-commit").write_text("x")
    told = harvest(place, guard.end(), "x").warnings
    start, end = "a file that other programs obey is not as it was: ", "; look at it before you run anything there"
    named = [warning.removeprefix(start).removesuffix(end) for warning in told if warning.startswith(start)]
    assert named == [
        ".claude/settings.json added",
        "src/.vscode/tasks.json added",
        f"{place.top}/.claude/settings.local.json appeared",
        f"{place.top}/.env appeared",
    ]
    assert "the agent made .git/hooks in its worktree; they were not run" in told


def test_row_H2_what_configures_another_kind_of_agent_is_told_of(lab: Lab) -> None:
    place = workplace_for(assignment(lab), own=True)
    guard = ControlGuard.begin((place.top,), control_names(Parrot()))
    (place.top / "src" / ".parrot").mkdir()
    (place.top / "src" / ".parrot" / "words").write_text("x")
    assert not [warning for warning in harvest(place, guard.end(), "x").warnings if ".parrot/words added" in warning]
    told = harvest(place, guard.end(), "x", control_names(Parrot())).warnings
    assert [warning for warning in told if "src/.parrot/words added" in warning]
    assert {".claude", ".codex", ".gemini", ".mcp.json", ".env", ".parrot", "CLAUDE.md"} <= control_names(Parrot())


def test_the_next_attempt_goes_on_in_the_same_place(lab: Lab) -> None:
    first = workplace_for(assignment(lab), own=True)
    (first.cwd / "new.txt").write_text("x")
    second = workplace_for(assignment(lab, 2), own=True, earlier=1)
    assert second.top == first.top
    assert (second.cwd / "new.txt").exists()
    clean = workplace_for(assignment(lab, 3), own=True)
    assert clean.top != first.top
    assert not (clean.cwd / "new.txt").exists()


def test_what_was_laid_together_before_a_crash_is_put_aside_by_who_begins_anew(lab: Lab) -> None:
    """The coordinator was killed after it had laid both sides together, and before it had written that down."""
    other = msgspec.structs.replace(assignment(lab), task=assignment(lab).task.model_copy(update={"id": "T-02"}))
    for one, text in ((other, "other\n"), (assignment(lab), "mine\n")):
        place = workplace_for(one, own=True)
        (place.cwd / "a.txt").write_text(text)
        harvest(place, (), "x")
    assert isinstance(place.places, Worktrees)
    finished = [Finished("T-02", 1, "Agent-02"), Finished("T-01", 1, "Agent-01")]
    conflict = place.places.integrate(finished, {"T-02": (), "T-01": ()})[1]
    assert isinstance(conflict, Conflict)
    place.places.open_conflict(conflict, "T-01", 2, "Agent-01")
    assert "<<<<<<<" in (workplace_for(assignment(lab, 2), own=True).cwd / "a.txt").read_text()
    assert (workplace_for(assignment(lab, 2), own=True, anew=True).cwd / "a.txt").read_text() == "a\n"


def test_outside_of_git_it_is_a_copy(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    (lab.base / "a.txt").write_text("a")
    place = workplace_for(assignment(lab), own=True)
    assert not place.is_repository
    assert (place.cwd / "a.txt").read_text() == "a"
    (place.cwd / "a.txt").write_text("b")
    assert harvest(place, (), "x").commits == ()
    assert (lab.base / "a.txt").read_text() == "a"


def test_a_directory_outside_of_the_plans_files_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere = assignment(lab, cwd=str(tmp_path / "elsewhere"))
    with pytest.raises(WorktreeError, match="outside of the files that the plan works on"):
        workplace_for(elsewhere, own=True)
    with pytest.raises(WorktreeError, match=r"the directory to run in does not exist in .*: missing"):
        workplace_for(assignment(lab, cwd="missing"), own=True)


def test_several_attempts_share_the_places_of_their_session(lab: Lab) -> None:
    one = workplace_for(assignment(lab), own=True)
    other = msgspec.structs.replace(assignment(lab), task=assignment(lab).task.model_copy(update={"id": "T-02"}))
    assert workplace_for(other, own=True).places is one.places
