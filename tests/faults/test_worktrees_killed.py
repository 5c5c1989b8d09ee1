"""The coordinator is killed at any of the steps by which it makes, collects and integrates worktrees and copies.

Its steps are the git commands that it starts, and what it changes in directories itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb.worktrees.copies import Copies
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.git_repositories import git, make_repository, tree, users_own, write

ROOT = Path(__file__).parents[2]

#: A git that counts its calls, and at the one asked for kills whoever called it: before, during or after its work.
FAKE = """#!/bin/sh
echo >> "$0.calls"
if [ "$(wc -l < "$0.calls")" -ne "$(cat "$0.fatal")" ]; then exec {real} "$@"; fi
case "$(cat "$0.moment")" in
before) kill -9 $PPID ;;
during) {real} "$@" <&0 & kill -9 $! $PPID ;;
after) {real} "$@"; kill -9 $PPID ;;
esac
"""

#: Counts what the process does to files and directories, and kills it just before the one asked for.
HOOK = """
import os, signal, sys

fatal, happened = int(os.environ["FATAL"]), 0
changes = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.chmod", "os.utime"}

def hook(event, arguments):
    global happened
    if event in changes or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        happened += 1
        if happened == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
"""

#: What a run does, agents included; each step finds out by itself what was done before.
SCENARIO = """
import subprocess, sys
from pathlib import Path
from orchestrator_nb.worktrees.places import Conflict, Finished, Merged
from orchestrator_nb.worktrees.choosing import places_for

real, directory, session = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
sys.addaudithook(hook)
places = places_for(directory, session, "S1")

def agent(place, name, text):
    if (place.path / name).exists():
        return
    if not (directory / ".git").exists():
        (place.path / name).write_text(text)
        return
    (place.path / "committed").mkdir(exist_ok=True)
    (place.path / "committed" / name).write_text(text)
    for command in (["add", "committed"], ["commit", "-q", "-m", f"{name} by the agent", "--allow-empty"]):
        subprocess.run([real, *command], cwd=place.path, check=True)
    (place.path / name).write_text(text)

def work():
    one = places.open("one", 1, "Agent-01")
    agent(one, "one", "1")
    places.collect(one)
    again = places.carry_on(one, 2)
    agent(again, "more", "2")
    places.collect(again)
    plan = {"one": [], "two": ["one"], "three": []}
    done = [Finished("one", 2, "Agent-01")]
    check = lambda directory, merged: "" if (directory / "a.txt").exists() else "a.txt is gone"
    places.integrate(done, plan, check)
    two = places.open("two", 1, "Agent-02", after=["one"])
    agent(two, "two", (two.path / "more").read_text())
    places.collect(two)
    three = places.open("three", 1, "Agent-03")
    agent(three, "three", "3")
    places.collect(three)
    done += [Finished("two", 1, "Agent-02"), Finished("three", 1, "Agent-03")]
    outcomes = places.integrate(done, plan, check)
    assert all(isinstance(outcome, Merged) for outcome in outcomes), outcomes
    four = places.open("four", 1, "Agent-04")
    agent(four, "four", "4")
    (four.path / "three").write_text("4")
    places.collect(four)
    (outcome,) = places.integrate([Finished("four", 1, "Agent-04")], {"four": []}, check)
    if isinstance(outcome, Conflict):
        both = places.open_conflict(outcome, "four", 2, "Agent-04")
        (both.path / "three").write_text("both")
        places.collect(both)
        (outcome,) = places.integrate([Finished("four", 2, "Agent-04")], {"four": []}, check)
    assert isinstance(outcome, Merged), outcome

finished = session / "finished"
if not finished.exists():
    work()
    finished.touch()
print(len(places.prune()))
"""


def run(tmp_path: Path, fatal: int, moment: str = "before", operation: int = 0) -> subprocess.CompletedProcess[str]:
    real = shutil.which("git")
    fake = tmp_path / "bin" / "git"
    write(
        tmp_path / "bin",
        {"git": FAKE.format(real=real), "git.fatal": str(fatal), "git.moment": moment, "git.calls": ""},
    )
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment["FATAL"] = str(operation)
    command = [sys.executable, "-c", HOOK + SCENARIO, str(real), str(tmp_path / "repo"), str(tmp_path / "session")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def prepare(tmp_path: Path) -> dict[str, str]:
    """A dirty repository; returns what is the user's in it."""
    repository = make_repository(tmp_path / "repo")
    write(repository, {"dirty": "dirty"})
    return users_own(repository)


def check_result(tmp_path: Path, before: dict[str, str]) -> None:
    """All work is integrated, each task's in one merge; nothing else has changed or lies about."""
    repository = tmp_path / "repo"
    listed = git(repository, "ls-tree", "-r", "--name-only", "orchestrator/S1").split()
    names = ["four", "more", "one", "three", "two"]
    assert listed == sorted(["a.txt", "src/b.txt", "dirty", *names, *(f"committed/{name}" for name in names)])
    assert git(repository, "show", "orchestrator/S1:two") == "2"
    assert git(repository, "show", "orchestrator/S1:three") == "both"
    tasks = "--format=%(trailers:key=Orchestrator-Task,valueonly,separator=)"
    base = Worktrees(repository, tmp_path / "session", "S1").base.id
    merged = git(repository, "log", "--first-parent", "--reverse", tasks, f"{base}..orchestrator/S1").split()
    assert merged == ["one", "two", "three", "four"]
    own = git(repository, "log", "--no-merges", "--format=%s", f"{base}..orchestrator/S1").splitlines()
    for name in names:
        assert f"{name} by the agent" in own
    assert users_own(repository) == before
    assert git(repository, "fsck", "--strict", "--connectivity-only", "--no-dangling") == ""
    places = tmp_path / "session" / "worktrees"
    assert [name for name in tree(places) if name.endswith((".new", ".old", ".lock"))] == []


def kill_at(tmp_path: Path, moment: str, first: int, step: int) -> None:
    number = first
    while True:
        place = tmp_path / f"{moment}-{number}"
        before = prepare(place)
        done = run(place, number, moment)
        if done.returncode != -signal.SIGKILL:
            assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
            assert number > first + step, "it was never killed"
            break
        done = run(place, 0)
        assert (done.returncode, done.stdout) == (0, "0\n"), f"killed {moment} call {number}: {done.stderr}"
        check_result(place, before)
        shutil.rmtree(place)
        number += step


def kill_at_operation(tmp_path: Path, in_git: bool, first: int, step: int) -> None:
    number = first
    while True:
        place = tmp_path / f"operation-{number}"
        if in_git:
            before = prepare(place)
        else:
            write(place / "repo", FILES)
        done = run(place, 0, operation=number)
        if done.returncode != -signal.SIGKILL:
            assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
            assert number > first + step, "it was never killed"
            break
        done = run(place, 0)
        assert (done.returncode, done.stdout) == (0, "0\n"), f"killed at operation {number}: {done.stderr}"
        if in_git:
            check_result(place, before)
        else:
            check_copies(place)
        shutil.rmtree(place)
        number += step


FILES = {"a.txt": "a\n", "src/b.txt": "b\n"}


def check_copies(tmp_path: Path) -> None:
    """All work is integrated, and the user's directory is as it was."""
    assert {name for name in tree(tmp_path / "repo") if name != "src"} == FILES.keys()
    places = Copies(tmp_path / "repo", tmp_path / "session", "S1")
    assert {path.name for path in places.tip.iterdir()} == {"a.txt", "src", "one", "more", "two", "three", "four"}
    assert ((places.tip / "two").read_text(), (places.tip / "three").read_text()) == ("2", "both")
    steps = sorted(path.name for path in (places.root / "steps").glob("*.json"))
    done = ["0001+one+2.json", "0002+two+1.json", "0003+three+1.json", "0004+four+2.json"]
    assert steps == ["0000.json", *done]
    assert [name for name in tree(places.root) if name.endswith((".new", ".old"))] == []


@pytest.mark.parametrize(("moment", "first"), [("before", 20), ("during", 45), ("after", 70)])
def test_a_killed_coordinator_goes_on_where_it_was(tmp_path: Path, moment: str, first: int) -> None:
    kill_at(tmp_path, moment, first, 110)


@pytest.mark.parametrize(("in_git", "first", "step"), [(True, 30, 330), (False, 9, 57)])
def test_a_coordinator_killed_between_two_changes_of_files_goes_on(
    tmp_path: Path, in_git: bool, first: int, step: int
) -> None:
    kill_at_operation(tmp_path, in_git, first, step)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("in_git", [True, False])
def test_a_coordinator_killed_at_any_change_of_files_goes_on(tmp_path: Path, in_git: bool) -> None:
    kill_at_operation(tmp_path, in_git, 1, 5 if in_git else 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_coordinator_killed_at_any_git_command_goes_on(tmp_path: Path, moment: str) -> None:
    kill_at(tmp_path, moment, 1, 1)
