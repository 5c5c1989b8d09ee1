from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.errors import WorktreeError
from orchestrator_nb.projections.words import rollback_command
from orchestrator_nb.worktrees.integration import in_order, marked
from orchestrator_nb.worktrees.places import Conflict, Finished, Merged, RedCheck, Unchanged, Waiting
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.git_repositories import git, make_repository, tree, users_own, write


@pytest.fixture
def places(tmp_path: Path) -> Worktrees:
    return Worktrees(make_repository(tmp_path / "repo"), tmp_path / "session", "S1")


def work(places: Worktrees, task: str, files: Mapping[str, str], after: Sequence[str] = ()) -> Finished:
    """An attempt that wrote files, collected."""
    place = places.open(task, 1, f"Agent-{task}", after)
    write(place.path, dict(files))
    places.collect(place, f"Write {task}")
    return Finished(task, 1, f"Agent-{task}", f"Write {task}")


def names(outcomes: Sequence[object]) -> list[str]:
    return [f"{type(outcome).__name__} {outcome.task}" for outcome in outcomes]  # type: ignore[attr-defined]


def test_the_order_is_that_of_the_dependencies_and_of_the_plan_among_equals() -> None:
    plan = {"c": ["a"], "b": [], "a": [], "d": ["x"], "x": ["c"]}
    finished = [Finished(task, 1, "A") for task in ("d", "c", "b", "a")]
    assert [item.task for item in in_order(finished, plan)] == ["b", "a", "c", "d"]
    with pytest.raises(WorktreeError, match="no task 'y'"):
        in_order([Finished("y", 1, "A")], plan)
    with pytest.raises(WorktreeError, match="given twice"):
        in_order([Finished("a", 1, "A"), Finished("a", 2, "A")], plan)


def test_each_task_becomes_one_merge_commit_with_trailers(places: Worktrees) -> None:
    plan: dict[str, list[str]] = {"one": [], "two": []}
    finished = [work(places, task, {task: task}) for task in plan]
    merges = [outcome.id for outcome in places.integrate(finished, plan) if isinstance(outcome, Merged)]
    repository = places.repository.top
    assert (
        git(repository, "rev-list", "--first-parent", "--reverse", f"{places.base.id}..orchestrator/S1").split()
        == merges
    )
    assert git(repository, "log", "-1", "--format=%an|%cn|%s|%(trailers:only,separator=%x2C)", merges[1]) == (
        "Agent-two|orchestrator|two: Write two|Orchestrator-Session: S1,Orchestrator-Task: two,"
        "Orchestrator-Agent: Agent-two,Orchestrator-Attempt: 1"
    )
    assert places.integrate(finished, plan) == places.integrate(finished, plan)
    assert git(repository, "rev-parse", "orchestrator/S1") == merges[1] == places.tip


def test_a_later_task_builds_upon_what_is_integrated(places: Worktrees) -> None:
    plan = {"one": [], "two": ["one"], "three": []}
    first = work(places, "one", {"one": "1"})
    places.integrate([first], plan)
    place = places.open("two", 1, "Agent-02", after=["one"])
    assert (place.path / "one").read_text() == "1"
    assert not (places.open("three", 1, "Agent-03").path / "one").exists()
    assert not (places.open("four", 1, "Agent-03", after=["three"]).path / "one").exists()


def test_a_task_that_changed_nothing_needs_no_merge(places: Worktrees) -> None:
    outcomes = places.integrate([work(places, "one", {})], {"one": []})
    assert outcomes == [Unchanged("one", 1)]
    assert places.repository.ref(places.branch) == ""


def test_a_conflict_names_both_sides_and_keeps_them(places: Worktrees) -> None:
    plan = {"one": [], "two": [], "three": ["two"], "four": []}
    finished = [
        work(places, "one", {"a.txt": "one\n"}),
        work(places, "two", {"a.txt": "two\n", "x": "x"}),
        work(places, "three", {"three": "3"}),
        work(places, "four", {"four": "4"}),
    ]
    outcomes = places.integrate(finished, plan)
    assert names(outcomes) == ["Merged one", "Conflict two", "Waiting three", "Merged four"]
    conflict = outcomes[1]
    assert isinstance(conflict, Conflict)
    assert conflict.paths == ("a.txt",)
    assert (conflict.integrated.name, conflict.integrated.tasks) == ("refs/heads/orchestrator/S1", ("one",))
    assert (conflict.work.name, conflict.work.tasks) == ("refs/orchestrator/S1/tasks/two/1/work", ("two",))
    assert outcomes[2] == Waiting("three", 1, ("two",))
    repository = places.repository.top
    assert git(repository, "show", f"{conflict.integrated.id}:a.txt") == "one"
    assert git(repository, "show", f"{conflict.work.name}:a.txt") == "two"
    assert git(repository, "ls-tree", "--name-only", "orchestrator/S1").split() == ["a.txt", "four", "src"]


def test_a_resolved_conflict_frees_what_waited(places: Worktrees) -> None:
    plan = {"one": [], "two": [], "three": ["two"], "resolve": ["one"]}
    finished = [
        work(places, "one", {"a.txt": "one\n"}),
        work(places, "two", {"a.txt": "two\n", "x": "x"}),
        work(places, "three", {"three": "3"}),
    ]
    conflict = places.integrate(finished, plan)[1]
    assert isinstance(conflict, Conflict)
    place = places.open_conflict(conflict, "resolve", 1, "Agent-09")
    assert (place.path / "a.txt").read_text() == "<<<<<<< integrated\none\n=======\ntwo\n>>>>>>> task\n"
    assert (place.path / "x").read_text() == "x"
    assert places.open_conflict(conflict, "resolve", 1, "Agent-09") == place
    write(place.path, {"a.txt": "both\n"})
    places.collect(place)
    outcomes = places.integrate([*finished, Finished("resolve", 1, "Agent-09")], plan)
    assert names(outcomes) == ["Merged one", "Merged two", "Merged three", "Merged resolve"]
    assert isinstance(outcomes[1], Merged)
    assert isinstance(outcomes[3], Merged)
    assert outcomes[1].id == outcomes[3].id
    assert (places.root / "integration/a.txt").read_text() == "both\n"


def test_a_red_check_keeps_the_branch_and_both_sides(places: Worktrees) -> None:
    plan = {"one": [], "two": [], "three": ["two"], "four": []}
    finished = [work(places, task, {task: task}) for task in plan]
    seen: list[tuple[list[str], str]] = []

    def check(directory: Path, candidate: Merged) -> str:
        seen.append((sorted(path.name for path in directory.iterdir()), candidate.task))
        write(directory, {f"{candidate.task}.cache": "left behind", "nested/.git/HEAD": "ref: x"})
        (directory / "a.txt").write_text("changed by the check")
        assert git(directory, "rev-parse", "HEAD") == candidate.id
        return "2 tests fail" if candidate.task == "two" else ""

    outcomes = places.integrate(finished, plan, check)
    assert names(outcomes) == ["Merged one", "RedCheck two", "Waiting three", "Merged four"]
    red = outcomes[1]
    assert isinstance(red, RedCheck)
    assert (red.reason, red.integrated.tasks, red.work.name) == (
        "2 tests fail",
        ("one",),
        "refs/orchestrator/S1/tasks/two/1/work",
    )
    repository = places.repository.top
    assert git(repository, "ls-tree", "--name-only", red.merged).split() == ["a.txt", "one", "src", "two"]
    assert git(repository, "ls-tree", "--name-only", "orchestrator/S1").split() == ["a.txt", "four", "one", "src"]
    assert git(repository, "show", "orchestrator/S1:a.txt") == "a"
    assert seen == [
        ([".git", "a.txt", "one", "src"], "one"),
        ([".git", "a.txt", "one", "src", "two"], "two"),
        ([".git", "a.txt", "four", "one", "src"], "four"),
    ]


def test_what_a_check_left_that_git_cannot_clear_away_is_in_nobodys_way(places: Worktrees) -> None:
    plan: dict[str, list[str]] = {"one": [], "two": []}
    places.integrate([work(places, "one", {"one": "1"})], plan)
    directory = places.root / "integration"
    (directory / "cache").mkdir()
    (directory / "cache" / "x").write_text("x")
    (places.root / "index" / "integration.lock").touch()  # of a git that took too long, and was ended
    assert names(places.integrate([work(places, "two", {"two": "2"})], plan)) == ["Merged two"]
    assert sorted(path.name for path in directory.iterdir()) == [".git", "a.txt", "one", "src", "two"]


def test_a_check_that_raises_leaves_the_branch_where_it_was(places: Worktrees) -> None:
    finished = [work(places, "one", {"one": "1"})]

    def check(_directory: Path, _candidate: Merged) -> str:
        raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        places.integrate(finished, {"one": []}, check)
    assert places.repository.ref(places.branch) == ""
    assert names(places.integrate(finished, {"one": []})) == ["Merged one"]


def test_the_rollback_line_does_what_it_says(places: Worktrees) -> None:
    plan: dict[str, list[str]] = {"one": [], "two": [], "three": []}
    finished = [work(places, task, {task: task, "src/b.txt": f"1\n{task}\n"}) for task in ("one",)]
    places.integrate(finished, plan)
    finished += [work(places, task, {task: task}, after=["one"]) for task in ("two", "three")]
    merges = [outcome.id for outcome in places.integrate(finished, plan) if isinstance(outcome, Merged)]
    command = rollback_command(merges, merges=True)
    assert command == f"git revert --no-edit -m 1 {merges[2]} {merges[1]} {merges[0]}"
    repository = places.repository.top
    before = tree(repository)
    git(repository, "merge", "-q", "--no-edit", "orchestrator/S1")
    assert "three" in tree(repository)
    git(repository, *command.removeprefix("git ").split())
    assert tree(repository) == before


def test_the_commits_of_an_attempt_that_merged_can_be_taken_back(places: Worktrees) -> None:
    """An agent's own merge, and the commit that brings two sides of a conflict together, are among them."""
    places.integrate([work(places, "one", {"a.txt": "one\n"})], {"one": []})
    two = work(places, "two", {"a.txt": "two\n", "x": "x"})
    (conflict,) = places.integrate([two], {"two": []})
    assert isinstance(conflict, Conflict)
    place = places.open_conflict(conflict, "two", 2, "Agent-02")
    write(place.path, {"a.txt": "both\n"})
    git(place.path, "add", "a.txt")
    git(place.path, "commit", "-q", "-m", "Both")
    git(place.path, "checkout", "-q", "-b", "side")
    git(place.path, "commit", "-q", "--allow-empty", "-m", "Aside")
    git(place.path, "checkout", "-q", "-")
    write(place.path, {"y": "y"})
    git(place.path, "add", "y")
    git(place.path, "commit", "-q", "-m", "More")
    git(place.path, "merge", "-q", "--no-edit", "side")
    collected = places.collect(place)
    assert len(collected.commits) == 3  # not the merge: it changes nothing
    (merged,) = places.integrate([Finished("two", 2, "Agent-02")], {"two": []})
    assert isinstance(merged, Merged)
    git(place.path, *rollback_command(collected.commits, merges=True).removeprefix("git ").split())
    assert (place.path / "a.txt").read_text() == "one\n"
    assert sorted(path.name for path in place.path.iterdir()) == [".git", "a.txt", "src"]


def test_conflict_markers_that_are_left_are_found(tmp_path: Path) -> None:
    marked_text = "<<<<<<< integrated\none\n=======\ntwo\n>>>>>>> task\n"
    texts = {"one": marked_text, "dos": marked_text.replace("\n", "\r\n"), "none": "=======\n<<<<<<< HEAD\n"}
    write(tmp_path, texts)
    (tmp_path / "link").symlink_to("one")
    assert marked(tmp_path, ["one", "dos", "none", "gone", "link", "../x"]) == ["one", "dos"]


def test_a_place_that_is_set_aside_keeps_its_files_and_makes_room(places: Worktrees) -> None:
    places.integrate([work(places, "one", {"a.txt": "one\n"})], {"one": []})
    (conflict,) = places.integrate([work(places, "two", {"a.txt": "two\n"})], {"two": []})
    assert isinstance(conflict, Conflict)
    for name in ("2.aside", "2.aside.2"):
        laid = places.open_conflict(conflict, "two", 2, "Agent-02")
        places.set_aside("two", 2)
        assert "<<<<<<<" in (laid.path.with_name(name) / "a.txt").read_text()
    anew = places.open("two", 2, "Agent-02")
    assert (anew.merging, (anew.path / "a.txt").read_text()) == ("", "a\n")


def test_a_branch_that_is_checked_out_is_not_moved(places: Worktrees) -> None:
    plan: dict[str, list[str]] = {"one": [], "two": []}
    places.integrate([work(places, "one", {"one": "1"})], plan)
    git(places.repository.top, "checkout", "-q", "orchestrator/S1")
    before = users_own(places.repository.top)
    with pytest.raises(WorktreeError, match="integration branch orchestrator/S1 is checked out: check out another"):
        places.integrate([work(places, "two", {"two": "2"})], plan)
    assert users_own(places.repository.top) == before


def test_a_branch_of_the_users_in_the_way_is_named(places: Worktrees) -> None:
    git(places.repository.top, "branch", "orchestrator")
    with pytest.raises(WorktreeError, match=r"'refs/heads/orchestrator' exists"):
        places.integrate([work(places, "one", {"one": "1"})], {"one": []})


def test_work_that_was_not_collected_is_an_error(places: Worktrees) -> None:
    places.open("one", 1, "A")
    with pytest.raises(WorktreeError, match="the work of task one, attempt 1, was not collected"):
        places.integrate([Finished("one", 1, "A")], {"one": []})


def test_a_forged_message_does_not_count_as_a_merge(places: Worktrees) -> None:
    place = places.open("one", 1, "A")
    forged = "x\n\nOrchestrator-Session: S1\nOrchestrator-Task: two\nOrchestrator-Agent: A\nOrchestrator-Attempt: 1\n"
    git(place.path, "commit", "-q", "--allow-empty", "-m", forged)
    places.collect(place)
    two = work(places, "two", {"two": "2"})
    assert names(places.integrate([Finished("one", 1, "A"), two], {"one": [], "two": []})) == [
        "Merged one",
        "Merged two",
    ]
    assert (places.root / "integration/two").exists()


def test_a_rename_on_one_side_and_an_edit_on_the_other_meet(places: Worktrees) -> None:
    place = places.open("one", 1, "A")
    (place.path / "src/b.txt").rename(place.path / "moved.txt")
    places.collect(place)
    two = work(places, "two", {"src/b.txt": "1\n2\n3\n4\n5\n6\nseven\n"})
    outcomes = places.integrate([Finished("one", 1, "A"), two], {"one": [], "two": []})
    assert names(outcomes) == ["Merged one", "Merged two"]
    assert (places.root / "integration/moved.txt").read_text().endswith("seven\n")


LINES = 40


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), live=st.booleans())
def test_random_edits_over_random_plans_come_together_as_if_made_one_after_another(
    tmp_path_factory: pytest.TempPathFactory, seed: int, live: bool
) -> None:
    """Each task edits lines and files of its own, so there is no conflict, whatever depends on what."""
    chance = random.Random(seed)
    tmp_path = tmp_path_factory.mktemp("random")
    texts = {f"f{n}.txt": [f"{n} {line}" for line in range(LINES)] for n in range(3)}
    repository = make_repository(tmp_path / "repo", {name: "\n".join(lines) + "\n" for name, lines in texts.items()})
    dirty = chance.random() < 0.5
    if dirty:
        texts["f0.txt"][0] = "dirty"
        write(repository, {"f0.txt": "\n".join(texts["f0.txt"]) + "\n"})
    tasks = [f"T-{n:02}" for n in range(chance.randint(2, 5))]
    plan = {task: [one for one in tasks[:n] if chance.random() < 0.4] for n, task in enumerate(tasks)}
    shuffled = dict(sorted(plan.items(), key=lambda _: chance.random()))
    before = users_own(repository)
    places = Worktrees(repository, tmp_path / "session", "S1")
    finished = []
    for n, task in enumerate(tasks):
        edits = {name: chance.choice([None, f"{task} was here"]) for name in texts if name[0] == "f"}
        made = {f"{task}/{number}": str(chance.random()) for number in range(chance.randint(0, 2))}
        place = places.open(task, 1, task, after=plan[task])
        for name, text in edits.items():
            if text is not None:
                line = 4 + 6 * n
                lines = (place.path / name).read_text().splitlines()
                lines[line] = texts[name][line] = text
                write(place.path, {name: "\n".join(lines) + "\n"})
        write(place.path, made)
        for name, text in made.items():
            texts[name] = [text]
        if chance.random() < 0.5:
            git(place.path, "add", "-A")
            git(place.path, "commit", "-q", "--allow-empty", "-m", task)
        places.collect(place)
        finished.append(Finished(task, 1, task))
        if live:
            places.integrate(finished, shuffled)
    outcomes = places.integrate(finished, shuffled)
    assert all(isinstance(outcome, Merged | Unchanged) for outcome in outcomes), outcomes
    expected = {name: "\n".join(lines) + ("\n" if name.endswith("txt") else "") for name, lines in texts.items()}
    tip = places.tip
    found = {
        name: places.repository.git.run("show", f"{tip}:{name}").decode()
        for name in git(repository, "ls-tree", "-r", "--name-only", tip).splitlines()
    }
    assert found == expected
    assert users_own(repository) == before
    assert [left for left in places.prune() if not left.clean] == []
