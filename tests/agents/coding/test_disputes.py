"""Conflicts, and checks that fail on merged work, in whole runs: visible, both sides kept, settled by agent or hand."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb import Orchestrator
from orchestrator_nb.agents.coding.disputes import AGENT, ANSWER, BY_THE_PLAN, HAND, Dispute
from orchestrator_nb.core import events as e
from orchestrator_nb.core.ports import subject_hash
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.agents.lab import Lab
from tests.git_repositories import git, make_repository, users_own
from tests.runtime.waiting import asks, plan, statuses, until
from tests.system.sandbox.place import need

ONE = ("write", "a.txt", "one\n")
#: Writes the same line, and makes nothing better when it sees the conflict.
STUBBORN = ("run", "echo two > a.txt; echo '>>>>>>> task' >> a.txt")
#: Writes the same line, and brings both together when it sees the conflict.
ABLE = ("run", "grep -q '<<<<<<<' a.txt && echo both > a.txt || echo two > a.txt")
PERSON, NOBODY = {"resolve": ["person"]}, {"resolve": []}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    return make_repository(tmp_path / "repository")


def task(name: str, *told: Any, after: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"id": name, "agent": PUPPET, "prompt": steps(*told), "dependencies": list(after), **fields}


def start(directory: Path, *tasks: dict[str, Any]) -> Run:
    """One task after another, in the order given where it can be."""
    orchestrator = Orchestrator(workspace=directory.parent / "sessions", grace=2.0)
    return orchestrator.run(plan(*tasks), cwd=directory, jobs=1)


def asked(run: Run) -> str:
    """Wait for the question; return it."""
    until(lambda: asks(run), 30)
    with run.state() as state:
        return state.open_checkpoints[0].question


def directory_in(question: str) -> Path:
    """The directory in which both sides lie, as the question names it."""
    found = re.search(r"^- (/.*) \(both, ", question, re.MULTILINE)
    assert found, question
    return Path(found[1])


def integrated(repository: Path, run: Run, name: str) -> str:
    return git(repository, "show", f"orchestrator/{run.id}:{name}")


def checkpoints(run: Run) -> list[e.AnyEvent]:
    kinds = (e.CheckpointReached, e.CheckpointApproved, e.CheckpointRejected)
    return [record.event for record in read_records(run.path / "events.jsonl") if isinstance(record.event, kinds)]


def error(run: Run, name: str) -> str:
    with run.state() as state:
        return state.tasks[name].error


def test_the_agent_settles_a_conflict_unasked_and_uses_up_no_retry(repository: Path) -> None:
    before = users_own(repository)
    run = start(repository, task("one", ONE, priority="P0"), task("two", ABLE, ("say", "two is done"))).wait(60)
    assert run.status == "completed"
    assert integrated(repository, run, "a.txt") == "both"
    reached, approved = checkpoints(run)
    assert isinstance(reached, e.CheckpointReached)
    assert isinstance(approved, e.CheckpointApproved)
    assert "The work of task 'two' contradicts that of one in a.txt." in reached.question
    assert (approved.by, approved.answer) == (BY_THE_PLAN, AGENT)
    assert approved.subject_sha256 == reached.subject_sha256
    with run.state() as state:
        assert (state.tasks["two"].attempt, state.tasks["two"].failures) == (2, 0)
    lead = (run.path / "attempts" / "two" / "2" / "prompt").read_text()
    assert "others changed the same lines, in a.txt" in lead
    assert "Your answer was:\n```\ntwo is done\n```\n" in lead
    assert users_own(repository) == before


def test_a_person_is_asked_when_the_agent_has_not_settled_it(repository: Path) -> None:
    run = start(
        repository,
        task("one", ONE, priority="P0"),
        task("two", STUBBORN, ("say", "words of two")),
        task("three", ("run", "cp a.txt three.txt"), after=("two",)),
        task("four", ("write", "four.txt", "4")),
    )
    question = asked(run)
    until(lambda: statuses(run)["four"] == "completed", 30)
    assert statuses(run) == {"one": "completed", "two": "awaiting_approval", "three": "waiting", "four": "completed"}
    assert "In attempt 3 it was not settled by its agent: there are still conflict markers in a.txt" in question
    assert integrated(repository, run, "a.txt") == "one"
    work = f"refs/orchestrator/{run.id}/tasks/two/1/work"
    assert work in question
    assert git(repository, "show", f"{work}:a.txt") == "two\n>>>>>>> task"
    command = question.split("See how they differ: ")[1].splitlines()[0]
    shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    assert "-one\n+two\n" in shown

    (directory_in(question) / "a.txt").write_text("by hand\n")
    run.approve("two", HAND, by="a person")
    run.wait(60)
    assert run.status == "completed"
    assert integrated(repository, run, "a.txt") == integrated(repository, run, "three.txt") == "by hand"
    assert run.result_of("two") == "words of two"


def test_a_person_may_send_the_agent(repository: Path) -> None:
    run = start(repository, task("one", ONE, priority="P0"), task("two", ABLE, parameters=PERSON))
    question = asked(run)
    assert (directory_in(question) / "a.txt").read_text() == "<<<<<<< integrated\none\n=======\ntwo\n>>>>>>> task\n"
    with pytest.raises(CommandRefused, match="does not have the form asked for"):
        run.approve("two")
    run.approve("two", AGENT)
    assert run.wait(60).status == "completed"
    assert integrated(repository, run, "a.txt") == "both"


def test_what_is_left_marked_is_not_taken_and_what_a_person_commits_is(repository: Path) -> None:
    run = start(repository, task("one", ONE, priority="P0"), task("two", ABLE, parameters=PERSON))
    question = asked(run)
    run.approve("two", HAND)
    until(lambda: asked(run) != question)
    assert "it was not settled by hand: there are still conflict markers in a.txt" in asked(run)
    (directory_in(question) / "a.txt").write_text("by hand\n")
    git(directory_in(question), "commit", "-qam", "Both are right")
    run.approve("two", HAND)
    assert run.wait(60).status == "completed"
    assert integrated(repository, run, "a.txt") == "by hand"
    assert "Both are right" in git(repository, "log", "--format=%s", f"orchestrator/{run.id}")


def test_a_rejection_fails_the_task_and_keeps_both_sides(repository: Path) -> None:
    run = start(
        repository,
        task("one", ONE, priority="P0"),
        task("two", ABLE, parameters=PERSON),
        task("three", ("say", "x"), after=("two",)),
    )
    asked(run)
    run.reject("two", "one is right")
    run.wait(60)
    assert statuses(run) == {"one": "completed", "two": "failed", "three": "blocked"}
    assert integrated(repository, run, "a.txt") == "one"
    assert git(repository, "show", f"refs/orchestrator/{run.id}/tasks/two/1/work:a.txt") == "two"


def test_nobody_settles_it_where_the_plan_says_so(repository: Path) -> None:
    run = start(repository, task("one", ONE, priority="P0"), task("two", ABLE, parameters=NOBODY)).wait(60)
    assert statuses(run) == {"one": "completed", "two": "failed"}
    assert "contradicts that of one in a.txt" in error(run, "two")
    assert f"refs/orchestrator/{run.id}/tasks/two/1/work" in error(run, "two")
    assert "`orchestrate retry two`" in error(run, "two")
    assert integrated(repository, run, "a.txt") == "one"


def test_an_attempt_that_is_asked_for_goes_to_the_agent_where_nobody_else_is_named(repository: Path) -> None:
    again = {"attempts": 2, "delay": 0.05}
    run = start(repository, task("one", ONE, priority="P0"), task("two", ABLE, parameters=NOBODY, retry=again)).wait(60)
    assert run.status == "completed"
    assert integrated(repository, run, "a.txt") == "both"


def test_a_red_check_is_told_to_the_agent_with_both_sides_merged(repository: Path) -> None:
    mending = "test -e one.txt && rm one.txt && echo both > both.txt; echo 2 > two.txt"
    run = start(
        repository,
        task("one", ("write", "one.txt", "1"), priority="P0"),
        task("two", ("run", mending), checks=["test ! -e one.txt"]),
    ).wait(60)
    assert run.status == "completed"
    assert integrated(repository, run, "both.txt") == "both"
    assert "one.txt" not in git(repository, "ls-tree", "--name-only", f"orchestrator/{run.id}").split()
    lead = (run.path / "attempts" / "two" / "2" / "prompt").read_text()
    assert "can be merged with that of one, but then: Check failed: test ! -e one.txt" in lead


def test_a_red_merge_is_kept_beside_the_branch_and_nobody_builds_upon_it(repository: Path) -> None:
    run = start(
        repository,
        task("one", ("write", "one.txt", "1"), priority="P0"),
        task("two", ("write", "two.txt", "2"), checks=["test ! -e one.txt"], parameters=PERSON),
        task("three", ("say", "x"), after=("two",)),
    )
    question = asked(run)
    assert statuses(run)["three"] == "waiting"
    assert "two.txt" not in git(repository, "ls-tree", "--name-only", f"orchestrator/{run.id}").split()
    red = git(repository, "ls-tree", "--name-only", f"refs/orchestrator/{run.id}/tasks/two/1/red").split()
    assert red == ["a.txt", "one.txt", "src", "two.txt"]

    run.approve("two", HAND)
    second = asked(run)
    assert second != question
    assert "it was not settled by hand: Check failed: test ! -e one.txt" in second
    assert directory_in(second) == directory_in(question)
    (directory_in(second) / "one.txt").unlink()
    run.approve("two", HAND)
    assert run.wait(60).status == "completed"
    assert "one.txt" not in git(repository, "ls-tree", "--name-only", f"orchestrator/{run.id}").split()


def test_declared_outputs_of_the_work_are_still_there(repository: Path) -> None:
    told = (*[ABLE], ("run", 'test -e "$ORCH_OUTPUTS/facts" || echo "$ORCH_ATTEMPT" > "$ORCH_OUTPUTS/facts"'))
    run = start(repository, task("one", ONE, priority="P0"), task("two", *told, outputs=["facts"])).wait(60)
    assert run.status == "completed"
    assert (run.path / "outputs" / "two" / "facts").read_text() == "1\n"


def test_a_crash_while_a_person_is_asked_asks_again_and_takes_what_was_done(repository: Path) -> None:
    run = start(repository, task("one", ONE, priority="P0"), task("two", ABLE, parameters=PERSON))
    question = asked(run)
    (directory_in(question) / "a.txt").write_text("by hand\n")
    run.halt()
    run.wait(30)
    again = Orchestrator(workspace=repository.parent / "sessions", grace=2.0).resume()
    assert asked(again) == question
    again.approve("two", HAND)
    assert again.wait(60).status == "completed"
    assert integrated(repository, again, "a.txt") == "by hand"


def test_a_task_that_was_changed_begins_anew(repository: Path) -> None:
    file = repository.parent / "plan.json"
    orchestrator = Orchestrator(workspace=repository.parent / "sessions", grace=2.0)
    file.write_text(json.dumps({"tasks": [task("one", ONE, priority="P0"), task("two", ABLE, parameters=PERSON)]}))
    run = orchestrator.run(file, cwd=repository, jobs=1)
    laid = directory_in(asked(run))
    run.halt()
    run.wait(30)
    changed = task("two", ("write", "b.txt", "b"), parameters=PERSON)
    file.write_text(json.dumps({"tasks": [task("one", ONE, priority="P0"), changed]}))
    again = orchestrator.resume(accept_changes=True).wait(60)
    assert again.status == "completed"
    assert integrated(repository, again, "a.txt") == "one"
    assert integrated(repository, again, "b.txt") == "b"
    assert "<<<<<<<" in (laid.with_name(f"{laid.name}.aside") / "a.txt").read_text()


def test_copies_are_settled_in_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.txt").write_text("a\n")
    run = start(
        tmp_path / "plain",
        task("one", ONE, priority="P0"),
        task("two", ("write", "a.txt", "two\n"), parameters=PERSON),
        task("three", ("write", "a.txt", "three\n"), after=("one",), parameters={"resolve": ["agent"]}, priority="P3"),
    )
    question = asked(run)
    assert "contradicts that of one in a.txt" in question
    assert "See how" not in question
    until(lambda: statuses(run)["three"] == "completed", 30)
    (directory_in(question) / "a.txt").write_text("both\n")
    run.approve("two", HAND)
    second = asked(run)
    assert "contradicts that of one, three in a.txt" in second
    run.approve("two", AGENT)
    assert run.wait(60).status == "completed"
    lead = (run.path / "attempts" / "two" / "3" / "prompt").read_text()
    own = re.search(r"The files here are theirs, yours are in\s(\S+)\. Bring both", lead)
    assert own
    assert (Path(own[1]) / "a.txt").read_text() == "both\n"
    assert next((run.path / "worktrees" / "steps").glob("0003+*/a.txt")).read_text() == "two\n"


def test_an_answer_counts_for_exactly_one_question(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    dispute = Dispute(work="w", attempt=1, place=2, facts="They differ.", kind="conflict")
    hashed = subject_hash("T-01", dispute.question, ANSWER)
    answered = msgspec.structs.replace(lab.assignment(2, answer=HAND, prompt="x"), subject_sha256=hashed)
    assert dispute.answer(answered) == HAND
    assert dispute.answer(msgspec.structs.replace(answered, answer="all")) == ""
    other = msgspec.structs.replace(dispute, facts="They differ now.")
    assert other.answer(answered) == ""
    assert msgspec.structs.replace(other, settler=AGENT).answer(answered) == AGENT
