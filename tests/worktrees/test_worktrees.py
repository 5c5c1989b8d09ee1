from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from orchestrator_nb.errors import WorkNotKept, WorktreeError
from orchestrator_nb.worktrees.places import Collected, Finished, Merged, Place
from orchestrator_nb.worktrees.snapshot import Limits
from orchestrator_nb.worktrees.worktrees import Worktrees
from tests.git_repositories import git, make_repository, tree, users_own, write
from tests.tools import need


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def places(repository: Path, tmp_path: Path) -> Worktrees:
    return Worktrees(repository, tmp_path / "session", "S1")


def paths(collected: Collected) -> list[str]:
    return [change.path for change in collected.changes]


def test_a_place_is_the_commit_that_the_user_is_at(places: Worktrees, repository: Path) -> None:
    place = places.open("review/api", 2, "Agent-01")
    assert place.path == places.root / "tasks" / "review+api" / "2"
    assert tree(place.path) == tree(repository)
    assert git(place.path, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD") == place.base
    assert git(place.path, "status", "--short") == ""
    assert git(place.path, "branch", "--show-current") == "orchestrator/review+api-2"


def test_the_working_directory_is_the_one_that_the_plan_works_in(repository: Path, tmp_path: Path) -> None:
    place = Worktrees(repository / "src", tmp_path / "session", "S1").open("T-01", 1, "Agent-01")
    assert place.cwd == place.path / "src"
    assert (place.cwd / "b.txt").exists()


def test_nothing_of_the_users_is_changed(places: Worktrees, repository: Path) -> None:
    write(repository, {"a.txt": "stashed\n"})
    git(repository, "stash", "-q")
    write(
        repository,
        {"a.txt": "staged\n", "src/b.txt": "dirty\n", "new.txt": "untracked\n", ".gitignore": "*.o\n", "x.o": ""},
    )
    git(repository, "add", "a.txt")
    before = users_own(repository)
    base = places.base
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"a.txt": "agent\n"})
    git(place.path, "commit", "-qam", "mine")
    places.collect(place)
    (outcome,) = places.integrate([Finished("T-01", 1, "Agent-01")], {"T-01": []})
    assert isinstance(outcome, Merged)
    assert places.prune() == []
    assert users_own(repository) == before
    assert base.dirty
    assert git(repository, "rev-parse", "HEAD") == git(repository, "rev-parse", f"{base.id}^")


def test_a_dirty_checkout_is_snapshotted_without_what_is_ignored(repository: Path, tmp_path: Path) -> None:
    write(repository, {"a.txt": "dirty\n", "new/x.txt": "new\n", ".gitignore": "*.o\n", "x.o": "", "secret": ""})
    write(repository, {".git/info/exclude": "secret\n"})
    (repository / "src/b.txt").unlink()
    place = Worktrees(repository, tmp_path / "session", "S1").open("T-01", 1, "Agent-01")
    expected = tree(repository)
    assert tree(place.path) == {name: expected[name] for name in expected if name not in ("x.o", "secret", "src")}
    assert git(repository, "log", "-1", "--format=%B", place.base).startswith("Changes that were not committed\n")
    assert git(place.path, "status", "--short") == ""


def test_what_the_user_ignores_everywhere_is_not_taken(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    write(home, {".gitconfig": "[core]\n\texcludesFile = ~/ignored\n", "ignored": "*.secret\n"})
    monkeypatch.setenv("HOME", str(home))
    write(repository, {"my.secret": "x", "new.txt": "x"})
    place = Worktrees(repository, tmp_path / "session", "S1").open("T-01", 1, "Agent-01")
    assert {"my.secret", "new.txt"} & {path.name for path in place.path.iterdir()} == {"new.txt"}


def test_a_session_inside_of_the_checkout_is_no_part_of_it(repository: Path) -> None:
    session = repository / ".orchestrator" / "a [session]* #1"
    places = Worktrees(repository, session, "S1")
    write(repository, {"new.txt": "new\n"})
    place = places.open("T-01", 1, "Agent-01")
    assert sorted(path.name for path in place.path.iterdir()) == [".git", "a.txt", "new.txt", "src"]


def test_files_of_a_filter_stay_what_was_committed(places: Worktrees, repository: Path) -> None:
    """git-lfs: pointers stay pointers, and changed contents of the user's are named as left out."""
    write(repository, {".gitattributes": "*.bin filter=lfs\n", "big.bin": "pointer\n", "other.bin": "pointer\n"})
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "lfs")
    write(repository, {"big.bin": "the content itself\n", "a.txt": "dirty\n"})
    base = places.base
    assert [(item.path, item.reason) for item in base.left_out] == [
        ("big.bin", "the filter 'lfs' keeps it: its committed state is used")
    ]
    assert git(repository, "show", f"{base.id}:big.bin") == "pointer"


def test_settings_of_the_users_neither_stand_in_the_way_nor_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature that nobody can make, no name to commit under, line ends as on Windows."""
    repository = make_repository(tmp_path / "repo", {"a.txt": "1\n2\n"})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n[user]\n\tuseConfigOnly = true\n"
        "[core]\n\tautocrlf = true\n\tfsmonitor = true\n\tuntrackedCache = true\n[init]\n\ttemplateDir = /nowhere\n"
        "[merge]\n\tff = only\n\tverifySignatures = true\n[commit]\n\tverbose = true\n[core]\n\tcommentChar = O\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git(repository, "config", "commit.gpgsign", "true")
    (repository / "a.txt").write_bytes(b"1\r\n2\r\n")  # as the user's git checks it out
    places = Worktrees(repository, tmp_path / "session", "S1")
    assert not places.base.dirty
    place = places.open("one", 1, "Agent-01")
    assert (place.path / "a.txt").read_bytes() == b"1\r\n2\r\n"
    (place.path / "a.txt").write_bytes(b"1\r\n2\r\n3\r\n")
    (place.path / "b.txt").write_bytes(b"b\r\n")
    git(place.path, "commit", "-qam", "Mine")
    collected = places.collect(place)
    assert [(change.path, change.added, change.removed) for change in collected.changes] == [
        ("a.txt", 1, 0),
        ("b.txt", 1, 0),
    ]
    (merged,) = places.integrate([Finished("one", 1, "Agent-01")], {"one": []})
    assert isinstance(merged, Merged)
    assert git(repository, "cat-file", "blob", f"{merged.id}:b.txt") == "b"
    assert (places.root / "integration" / "b.txt").read_bytes() == b"b\r\n"


def test_submodules_stay_at_their_commit_and_empty(places: Worktrees, repository: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    git(repository, "commit", "-qm", "sub")
    place = places.open("T-01", 1, "Agent-01")
    assert list((place.path / "sub").iterdir()) == []
    write(place.path, {"a.txt": "changed\n"})
    assert paths(places.collect(place)) == ["a.txt"]
    write(place.path, {"sub/x": "lost?\n"})
    collected = places.collect(place)
    assert [item.reason for item in collected.left_out] == ["it is a submodule: what is written into one is not taken"]
    with pytest.raises(WorkNotKept, match=r"1 files in it could not be kept, such as 'sub'"):
        places.remove(place)


def test_what_changed_is_told_by_path_kind_and_lines(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    top = place.path
    write(
        top,
        {
            "src/b.txt": "1\n2\n3\n4\n5\n6\nseven\neight\n",
            "new.txt": "x\ny\n",
            ".github/workflows/ci.yml": "on: push\n",
        },
    )
    (top / "binary").write_bytes(b"\0\1")
    (top / "a.txt").chmod(0o755)
    (top / "inside").symlink_to("src/b.txt")
    (top / "outside").symlink_to("../../../etc/passwd")
    found = {item.path: (item.kind, item.added, item.removed, item.control) for item in places.collect(place).changes}
    assert found == {
        ".github/workflows/ci.yml": ("added", 1, 0, True),
        "a.txt": ("mode", 0, 0, False),
        "binary": ("added", None, None, False),
        "inside": ("added", 1, 0, False),
        "new.txt": ("added", 2, 0, False),
        "outside": ("added", 1, 0, True),
        "src/b.txt": ("modified", 2, 1, False),
    }


def test_hostile_names_and_files_are_taken_or_named(places: Worktrees, tmp_path: Path) -> None:
    place = places.open("T-01", 1, "Agent-01")
    top = place.path
    names = ["-rf", "new\nline", os.fsdecode(b"\xff\xfe"), " ", "ü", "a\tb", '"quoted"', "*", ":(top)x", "--help"]
    for name in names:
        (top / name).write_text("x")
    os.mkfifo(top / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.relpath(top / "socket"))
    listening.close()
    write(top, {".GIT/hooks/x": "x", "git~1/x": "x"})
    (top / "src/b.txt").unlink()
    (top / "src").rmdir()
    (top / "src").symlink_to(tmp_path)
    (top / "a.txt").unlink()
    write(top, {"a.txt/inner": "x"})
    collected = places.collect(place)
    assert sorted(paths(collected)) == sorted([*names, "a.txt", "a.txt/inner", "src", "src/b.txt"])
    refused = {item.path: item.reason for item in collected.left_out}
    assert refused == {".GIT/hooks/x": "git refuses the name", "git~1/x": "git refuses the name"}
    assert [item.path for item in collected.control_files] == ["src"]
    with pytest.raises(WorkNotKept, match="2 files in it could not be kept"):
        places.remove(place)


def test_a_file_replaced_by_a_pipe_is_named_and_does_not_hang(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    (place.path / "a.txt").unlink()
    os.mkfifo(place.path / "a.txt")
    collected = places.collect(place)
    assert [(item.path, item.reason) for item in collected.left_out] == [
        ("a.txt", "it is no regular file (a pipe, a socket or a device)")
    ]
    assert [(item.path, item.kind) for item in collected.changes] == [("a.txt", "deleted")]


def test_a_huge_file_is_left_out_by_name(repository: Path, tmp_path: Path) -> None:
    places = Worktrees(repository, tmp_path / "session", "S1", Limits(file=1000, total=1500))
    place = places.open("T-01", 1, "Agent-01")
    with (place.path / "huge").open("wb") as file:
        file.truncate(2**40)  # a hole
    for name in ("one", "two"):
        (place.path / name).write_bytes(b"x" * 900)
    collected = places.collect(place)
    assert paths(collected) == ["one"]
    assert [item.reason for item in collected.left_out] == [
        "it has 1099511627776 bytes, more than the 1000 that one file may have",
        "the changed files have more than 1500 bytes together",
    ]


def test_a_nested_repository_is_taken_as_files_and_not_run(places: Worktrees, tmp_path: Path) -> None:
    place = places.open("T-01", 1, "Agent-01")
    nested = make_repository(place.path / "nested", {"x.txt": "x\n", "x.o": "x", ".gitignore": "*.o\n"})
    git(nested, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    git(nested, "config", "uploadpack.packObjectsHook", f"touch {tmp_path}/ran")
    collected = places.collect(place)
    assert paths(collected) == ["nested/.gitignore", "nested/x.txt"]
    assert [item.path for item in collected.left_out] == ["nested/.git"]
    assert [(found.clean, found.reason.split(",")[0]) for found in places.left_over()] == [
        (False, "1 files in it could not be kept")
    ]
    assert not (tmp_path / "ran").exists()


def test_empty_directories_named_git_do_not_matter(places: Worktrees) -> None:
    """codex leaves such directories behind when it is interrupted."""
    place = places.open("T-01", 1, "Agent-01")
    for name in ("src/.git", ".codex", ".agents"):
        (place.path / name).mkdir()
    write(place.path, {"src/b.txt": "changed\n"})
    collected = places.collect(place)
    assert (paths(collected), collected.left_out) == (["src/b.txt"], ())
    places.remove(place)
    assert not place.path.exists()


def test_collecting_again_changes_nothing_and_adds_what_is_new(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"one": "1"})
    first = places.collect(place)
    assert places.collect(place) == first
    assert places.open("T-01", 1, "Agent-01") == place
    write(place.path, {"two": "2"})
    second = places.collect(place)
    assert (len(second.commits), paths(second)) == (2, ["one", "two"])
    assert second.commits[0] == first.work


def test_an_agent_cannot_hide_a_change_behind_its_index_or_clock(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    path = place.path / "a.txt"
    found = path.stat()
    git(place.path, "update-index", "--assume-unchanged", "a.txt")
    path.write_text("b\n")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert paths(places.collect(place)) == ["a.txt"]


def test_a_changed_mtime_alone_is_no_change(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    os.utime(place.path / "a.txt", (1, 1))
    collected = places.collect(place)
    assert (collected.work, collected.commits, collected.changes) == (place.base, (), ())


def test_another_attempt_carries_on_in_the_same_directory(places: Worktrees) -> None:
    first = places.open("T-01", 1, "Agent-01")
    write(first.path, {"one": "1"})
    second = places.carry_on(first, 2)
    write(second.path, {"two": "2"})
    assert second.path == first.path
    collected = places.collect(second)
    assert paths(collected) == ["two"]
    assert git(places.repository.top, "ls-tree", "--name-only", collected.work).splitlines() == [
        "a.txt",
        "one",
        "src",
        "two",
    ]
    assert places.carry_on(first, 2) == second == places.open("T-01", 2, "Agent-01")
    assert [(found.attempt, found.clean) for found in places.left_over()] == [(2, True)]
    fresh = places.open("T-01", 3, "Agent-01")
    assert (fresh.path.name, (fresh.path / "one").exists()) == ("3", False)


def test_a_place_with_work_that_is_not_kept_stays(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    with pytest.raises(WorkNotKept, match=r"1 is not removed: its work was not collected; collect the work of"):
        places.remove(place)
    write(place.path, {"one": "1"})
    places.collect(place)
    write(place.path, {"one": "2"})
    with pytest.raises(WorkNotKept, match="it has changes that were not collected"):
        places.remove(place)
    git(place.path, "commit", "-qm", "mine", "--allow-empty")
    with pytest.raises(WorkNotKept, match="it has commits that were not collected"):
        places.remove(place)
    work = places.collect(place).work
    places.remove(place)
    assert not place.path.exists()
    assert git(places.repository.top, "show", f"{work}:one") == "2"


def test_left_over_places_are_pruned_when_clean_and_merged_only(places: Worktrees, repository: Path) -> None:
    opened: dict[str, Place] = {
        task: places.open(task, 1, "Agent-01") for task in ("done", "dirty", "kept", "new", "same")
    }
    for task in ("done", "dirty", "kept"):
        write(opened[task].path, {task: task})
        places.collect(opened[task])
    places.collect(opened["same"])
    places.integrate([Finished(task, 1, "A") for task in ("done", "dirty")], {"done": [], "dirty": []})
    write(opened["dirty"].path, {"dirty": "again"})
    opened["done"].path.chmod(0o500)
    again = Worktrees(repository, places.root.parent, "S1")
    stay = {found.task: (found.clean, found.merged, found.reason) for found in again.prune()}
    assert stay == {
        "dirty": (False, True, "it has changes that were not collected"),
        "kept": (True, False, ""),
        "new": (False, False, "its work was not collected"),
    }
    assert sorted(path.parent.name for path in (places.root / "tasks").glob("*/*")) == sorted(stay)


def test_a_place_that_is_gone_says_so(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    place.path.rename(place.path.with_name("moved"))
    place.path.symlink_to("moved")
    with pytest.raises(WorktreeError, match=r"the worktree of task T-01, .* is gone: run the task again"):
        places.collect(place)


def test_places_can_be_made_side_by_side(places: Worktrees) -> None:
    made: list[Place] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(places.open(f"T-{n:02}", 1, "Agent")))  # type: ignore[misc]
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({place.path for place in made}) == 8
    assert {place.base for place in made} == {places.base.id}


def test_what_an_agent_must_be_able_to_read_is_named(tmp_path: Path) -> None:
    source = make_repository(tmp_path / "source")
    git(tmp_path, "clone", "-q", "--shared", "source", "clone")
    place = Worktrees(tmp_path / "clone", tmp_path / "session", "S1").open("T-01", 1, "Agent-01")
    assert place.readable == (tmp_path / "clone/.git/objects", source / ".git/objects")


def test_locks_of_a_git_that_was_killed_are_removed(places: Worktrees, repository: Path) -> None:
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"new": "new"})
    ours = [
        *(".git/refs/heads/orchestrator/S1.lock", ".git/refs/orchestrator/S1/tasks/T-01/1/work.lock"),
        *(f"../session/worktrees/index/{name}.lock" for name in ("T-01+1.new", "integration")),
    ]
    theirs = [".git/index.lock", ".git/refs/heads/main.lock", ".git/refs/orchestrator/S2/base.lock"]
    write(repository, dict.fromkeys([*ours, *theirs], ""))
    again = Worktrees(repository, places.root.parent, "S1")
    assert [name for name in [*ours, *theirs] if (repository / name).exists()] == theirs
    (repository / ".git/refs/heads/main.lock").unlink()
    again.collect(place)
    again.integrate([Finished("T-01", 1, "Agent-01")], {"T-01": []})
    assert git(repository, "show", "orchestrator/S1:new") == "new"


def test_the_private_refs_go_when_nothing_hangs_on_them(places: Worktrees, repository: Path) -> None:
    before = git(repository, "for-each-ref")
    for attempt in (1, 2):
        place = places.open("T-01", attempt, "Agent-01")
        write(place.path, {"new": str(attempt)})
        places.collect(place)
        with pytest.raises(WorkNotKept, match="is still there: prune first"):
            places.forget()
        places.remove(place)
    same = places.carry_on(places.open("same", 1, "Agent-02"), 2)
    places.collect(same)
    places.remove(same)
    with pytest.raises(WorkNotKept, match="the work of T-01 is not integrated"):
        places.forget()
    places.integrate([Finished("T-01", 2, "Agent-01")], {"T-01": []})
    places.forget()
    after = git(repository, "for-each-ref").splitlines()
    assert [line for line in after if "refs/heads/orchestrator/S1" not in line] == before.splitlines()
    assert git(repository, "show", "orchestrator/S1:new") == "2"


def test_places_are_made_while_a_check_runs(places: Worktrees) -> None:
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


def test_a_contained_agent_commits_with_the_users_objects_read_only(places: Worktrees) -> None:
    need("bwrap")
    place = places.open("T-01", 1, "Agent-01")
    box = ["bwrap", "--unshare-all", "--die-with-parent", "--dev", "/dev", "--proc", "/proc"]
    for path in ("/usr", "/bin", "/lib", "/lib64"):
        box += ["--ro-bind-try", path, path]
    box += ["--bind", str(place.path), str(place.path)]
    for path in place.readable:
        box += ["--ro-bind", str(path), str(path)]
    box += ["--chdir", str(place.cwd), "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/dev"]
    script = "echo x > new && git add -A && git commit -qm contained && git status --short"
    done = subprocess.run([*box, "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    if "No permissions to create" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("bubblewrap does not work here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    collected = places.collect(place)
    assert git(places.repository.top, "log", "-1", "--format=%an %s", collected.work) == "Agent-01 contained"
    assert paths(collected) == ["new"]


def test_a_place_that_was_removed_comes_back_as_it_was_kept(places: Worktrees) -> None:
    place = places.open("T-01", 1, "Agent-01")
    write(place.path, {"new": "new"})
    first = places.collect(place)
    places.remove(place)
    assert places.open("T-01", 1, "Agent-01") == place
    assert (place.path / "new").read_text() == "new"
    assert places.collect(place) == first


def test_the_working_directory_is_never_made_through_a_link(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo", {"src/app/x": "x", "a.txt": "a"})
    outside = tmp_path / "outside"
    outside.mkdir()
    places = Worktrees(repository / "src/app", tmp_path / "session", "S1")
    place = places.open("evil", 1, "Agent-01")
    shutil.rmtree(place.path / "src")
    (place.path / "src").symlink_to(outside)
    places.collect(place)
    places.integrate([Finished("evil", 1, "Agent-01")], {"evil": []})
    with pytest.raises(WorktreeError, match="src/app, where the plan works, is no directory any more"):
        places.open("next", 1, "Agent-02", after=["evil"])
    assert list(outside.iterdir()) == []
    assert places.open("other", 1, "Agent-02").cwd.is_dir()
