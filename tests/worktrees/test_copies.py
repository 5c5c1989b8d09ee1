from __future__ import annotations

import os
import random
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.errors import WorkNotKept, WorktreeError
from orchestrator_nb.worktrees.copies import Copies
from orchestrator_nb.worktrees.copying import CopyLimits
from orchestrator_nb.worktrees.places import Conflict, Finished, Merged, Place, RedCheck, Unchanged, Waiting
from tests.git_repositories import tree, write


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "project", {"a.txt": "a\n", "src/b.txt": "1\n2\n"})
    (tmp_path / "project/empty").mkdir()
    (tmp_path / "project/link").symlink_to("a.txt")
    return tmp_path / "project"


@pytest.fixture
def places(directory: Path) -> Copies:
    return Copies(directory, directory / ".orchestrator" / "S1", "S1")


def work(places: Copies, task: str, files: Mapping[str, str], after: Sequence[str] = ()) -> Finished:
    place = places.open(task, 1, f"Agent-{task}", after)
    write(place.path, dict(files))
    places.collect(place)
    return Finished(task, 1, f"Agent-{task}")


def names(outcomes: Sequence[object]) -> list[str]:
    return [f"{type(outcome).__name__} {outcome.task}" for outcome in outcomes]  # type: ignore[attr-defined]


def users(directory: Path) -> dict[str, str]:
    return {name: content for name, content in tree(directory).items() if not name.startswith(".orchestrator")}


def test_a_place_is_a_copy_without_the_workspace(places: Copies, directory: Path) -> None:
    before = users(directory)
    place = places.open("review/api", 1, "Agent-01")
    assert tree(place.path) == before
    write(place.path, {"a.txt": "changed\n"})
    assert users(directory) == before
    assert places.open("review/api", 1, "Agent-01") == place


def test_later_changes_of_the_users_do_not_reach_the_session(places: Copies, directory: Path) -> None:
    places.open("one", 1, "A")
    write(directory, {"a.txt": "later\n"})
    assert (places.open("two", 1, "A").path / "a.txt").read_text() == "a\n"


def test_a_directory_that_is_too_large_is_refused(directory: Path) -> None:
    places = Copies(directory, directory / ".orchestrator" / "S1", "S1", CopyLimits(bytes=3))
    with pytest.raises(WorktreeError, match="too much for a copy for each task"):
        places.open("one", 1, "A")


def test_what_changed_is_told(places: Copies) -> None:
    place = places.open("one", 1, "A")
    write(place.path, {"src/b.txt": "1\ntwo\n3\n", "new/x": "x\n", "CLAUDE.md": "obey\n"})
    (place.path / "a.txt").unlink()
    (place.path / "link").unlink()
    (place.path / "link").symlink_to("/etc/passwd")
    (place.path / "empty").rmdir()
    os.mkfifo(place.path / "pipe")
    collected = places.collect(place)
    assert {item.path: (item.kind, item.added, item.removed, item.control) for item in collected.changes} == {
        "CLAUDE.md": ("added", 1, 0, True),
        "a.txt": ("deleted", 0, 1, False),
        "link": ("modified", None, None, True),
        "new/x": ("added", 1, 0, False),
        "src/b.txt": ("modified", 2, 1, False),
    }
    assert [item.path for item in collected.left_out] == ["pipe"]
    with pytest.raises(WorkNotKept, match="'pipe' in it could not be kept"):
        places.remove(place)


def test_kept_work_does_not_change_with_the_place(places: Copies) -> None:
    place = places.open("one", 1, "A")
    write(place.path, {"a.txt": "one\n"})
    collected = places.collect(place)
    assert places.collect(place) == collected
    write(place.path, {"a.txt": "later\n"})
    (outcome,) = places.integrate([Finished("one", 1, "A")], {"one": []})
    assert isinstance(outcome, Merged)
    assert (places.tip / "a.txt").read_text() == "one\n"
    assert [change.path for change in outcome.changes] == ["a.txt"]
    with pytest.raises(WorkNotKept, match="it has changes that were not collected"):
        places.remove(place)
    places.collect(place)
    places.remove(place)
    assert not place.path.exists()
    with pytest.raises(WorktreeError, match="was removed after its work was kept: start another attempt"):
        places.open("one", 1, "A")


def test_work_comes_together_in_order_and_conflicts_are_named(places: Copies) -> None:
    plan = {"one": [], "two": [], "three": ["two"], "four": [], "same": []}
    finished = [
        work(places, "one", {"a.txt": "one\n"}),
        work(places, "two", {"a.txt": "two\n", "x": "x"}),
        work(places, "three", {"three": "3"}),
        work(places, "four", {"four": "4"}),
        work(places, "same", {}),
    ]
    outcomes = places.integrate(finished, plan)
    assert names(outcomes) == ["Merged one", "Conflict two", "Waiting three", "Merged four", "Unchanged same"]
    conflict = outcomes[1]
    assert isinstance(conflict, Conflict)
    assert (conflict.paths, conflict.integrated.tasks, conflict.work.tasks) == (("a.txt",), ("one",), ("two",))
    assert (Path(conflict.integrated.name) / "a.txt").read_text() == "one\n"
    assert (Path(conflict.work.name) / "a.txt").read_text() == "two\n"
    assert outcomes[2] == Waiting("three", 1, ("two",))
    assert outcomes[4] == Unchanged("same", 1)
    place = places.open_conflict(conflict, "resolve", 1, "B")
    assert {path.name for path in place.path.iterdir()} == {"a.txt", "empty", "four", "link", "src", "x"}
    assert (place.path / "a.txt").read_text() == "one\n"
    assert (place.readable[0] / "a.txt").read_text() == "two\n"
    assert places.open_conflict(conflict, "resolve", 1, "B") == place
    write(place.path, {"a.txt": "both\n"})
    assert [change.path for change in places.collect(place).changes] == ["a.txt", "x"]
    again = places.integrate([*finished, Finished("resolve", 1, "B")], {**plan, "resolve": ["one"]})
    assert names(again) == [
        "Merged one",
        "Merged two",
        "Merged three",
        "Merged four",
        "Unchanged same",
        "Merged resolve",
    ]
    assert (places.tip / "a.txt").read_text() == "both\n"
    assert (places.tip / "three").exists()


def test_a_red_check_keeps_what_was_integrated(places: Copies) -> None:
    plan = {"one": [], "two": []}
    finished = [work(places, task, {task: task}) for task in plan]

    def check(directory: Path, candidate: Merged) -> str:
        write(directory, {"a.txt": "changed by the check"})
        return "no" if candidate.task == "one" else ""

    outcomes = places.integrate(finished, plan, check)
    assert names(outcomes) == ["RedCheck one", "Merged two"]
    assert isinstance(outcomes[0], RedCheck)
    assert outcomes[0].reason == "no"
    assert {path.name for path in places.tip.iterdir()} == {"a.txt", "empty", "link", "src", "two"}
    assert (places.tip / "a.txt").read_text() == "a\n"


def test_another_attempt_carries_on_in_the_same_directory(places: Copies) -> None:
    first = places.open("one", 1, "A")
    write(first.path, {"one": "1"})
    second = places.carry_on(first, 2)
    write(second.path, {"two": "2"})
    assert second.path == first.path
    assert [change.path for change in places.collect(second).changes] == ["two"]
    assert places.open("one", 2, "A") == second == places.carry_on(first, 2)
    places.integrate([Finished("one", 2, "A")], {"one": []})
    assert (places.tip / "one").exists()
    assert (places.tip / "two").exists()
    assert places.prune() == []
    assert not first.path.exists()


def test_places_are_pruned_when_clean_and_merged_only(places: Copies, directory: Path) -> None:
    finished = [work(places, task, {task: task}) for task in ("done", "kept")]
    places.open("new", 1, "A")
    places.integrate(finished[:1], {"done": []})
    again = Copies(directory, places.root.parent, "S1")
    assert {found.task: (found.clean, found.merged, found.reason) for found in again.prune()} == {
        "kept": (True, False, ""),
        "new": (False, False, "its work was not collected"),
    }


def test_what_was_half_done_is_done_again(places: Copies, directory: Path) -> None:
    """All that a killed coordinator can leave: directories that no ``.json`` vouches for, and half-made ones."""
    finished = [work(places, "one", {"one": "1"})]
    half = [places.root / "steps/0001+one+1", places.root / "steps/0001+one+1.new", places.root / "trial"]
    half += [places.root / "tasks/one/2.new", places.root / "tasks/one/1.work.new"]
    for path in half:
        write(path, {"half": "made"})
    again = Copies(directory, places.root.parent, "S1")
    assert again.tip.name == "0000"
    place = again.open("one", 2, "A")
    assert not (place.path / "half").exists()
    again.integrate(finished, {"one": []}, lambda *_: "")
    assert (again.tip.name, (again.tip / "half").exists()) == ("0001+one+1", False)
    (places.root / "tasks/one/1.work.json").unlink()
    again.collect(again.open("one", 1, "A"))
    assert [left.task for left in again.prune()] == ["one"]
    assert list(places.root.glob("tasks/*/*.new")) == []


def test_a_damaged_manifest_is_named(places: Copies) -> None:
    places.open("one", 1, "A")
    (places.root / "steps/0000.json").write_text("{")
    with pytest.raises(WorktreeError, match=r"0000\.json is damaged"):
        places.open("two", 1, "A")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_edits_come_together_as_if_made_one_after_another(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    top = tmp_path_factory.mktemp("random")
    files = {f"{chance.choice(['', 'd/', 'd/e/'])}f{n}": str(n) for n in range(8)}
    write(top / "project", files)
    before = tree(top / "project")
    tasks = [f"T-{n}" for n in range(4)]
    plan = {task: [one for one in tasks[:n] if chance.random() < 0.4] for n, task in enumerate(tasks)}
    places = Copies(top / "project", top / "session", "S1")
    finished = []
    for n, task in enumerate(tasks):
        place = places.open(task, 1, task, after=plan[task])
        for name in sorted(before.keys() & files.keys())[2 * n : 2 * n + 2]:
            if chance.random() < 0.3:
                (place.path / name).unlink()
                del files[name]
            elif chance.random() < 0.6:
                files[name] = f"{task} was here"
                write(place.path, {name: files[name]})
        files[f"{task}/new"] = task
        write(place.path, {f"{task}/new": task})
        places.collect(place)
        finished.append(Finished(task, 1, task))
        if chance.random() < 0.5:
            places.integrate(finished, plan)
    outcomes = places.integrate(finished, plan)
    assert all(isinstance(outcome, Merged) for outcome in outcomes), outcomes
    found = {
        path.relative_to(places.tip).as_posix(): path.read_text() for path in places.tip.rglob("*") if path.is_file()
    }
    assert found == files
    assert tree(top / "project") == before
    assert places.prune() == []


def test_places_are_made_while_a_check_runs(places: Copies) -> None:
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"new": "new"})
    places.collect(place)
    made: list[Place] = []

    def check(_directory: Path, _candidate: Merged) -> str:
        thread = threading.Thread(target=lambda: made.append(places.open("T-02", 1, "Agent-02")), daemon=True)
        thread.start()
        thread.join(60)
        return "" if made else "no place was made"

    (outcome,) = places.integrate([Finished("T-01", 1, "Agent-01")], {"T-01": []}, check)
    assert isinstance(outcome, Merged), outcome
