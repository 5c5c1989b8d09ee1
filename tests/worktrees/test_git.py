from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator_nb.errors import GitUnusable
from orchestrator_nb.worktrees.git import Git, joined, split
from tests.runtime.waiting import until


def fake_git(directory: Path, body: str) -> Path:
    """A program named git, of these lines of shell."""
    directory.mkdir(exist_ok=True)
    program = directory / "git"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return directory


def test_row_B16_no_git_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(GitUnusable, match=r"git is not installed \(not found on PATH\): install git 2.30 or later"):
        Git.find(tmp_path, str(tmp_path / "empty"))


def test_row_B16_a_git_that_is_too_old_is_named(tmp_path: Path) -> None:
    path = fake_git(tmp_path / "bin", "echo git version 2.29.1")
    with pytest.raises(GitUnusable, match=r"bin/git is git 2.29: agents' worktrees need git 2.30 or later"):
        Git.find(tmp_path, str(path))


def test_row_B16_what_is_no_git_is_not_taken_for_one(tmp_path: Path) -> None:
    path = fake_git(tmp_path / "bin", "echo hello")
    with pytest.raises(GitUnusable, match="does not say its version but 'hello': is it git"):
        Git.find(tmp_path, str(path))


def test_relative_places_on_the_path_are_passed_over(tmp_path: Path) -> None:
    fake_git(tmp_path / "bin", "echo git version 9.9")
    with pytest.raises(GitUnusable, match="not installed"):
        Git.find(tmp_path, os.path.relpath(tmp_path / "bin"))


def test_nothing_of_the_callers_environment_reaches_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT", "GIT_EXTERNAL_DIFF", "SECRET", "LD_PRELOAD"):
        monkeypatch.setenv(name, "1")
    path = fake_git(tmp_path / "bin", f'[ "$#" -gt 40 ] && env > {tmp_path}/seen; echo git version 2.39.1')
    Git.find(tmp_path / "home", f"{path}:/usr/bin:/bin").run("status")
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert seen.keys().isdisjoint(["GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT", "GIT_EXTERNAL_DIFF", "SECRET"])
    assert "LD_PRELOAD" not in seen
    assert (seen["HOME"], seen["GIT_CONFIG_NOSYSTEM"], seen["LC_ALL"]) == (str(tmp_path / "home"), "1", "C")


def test_a_command_that_does_not_end_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    body = f'case "$*" in *--version) echo git version 2.39.1;; *) sleep 1000 & echo $! > {tmp_path}/pid; wait;; esac'
    git = Git.find(tmp_path, f"{fake_git(tmp_path / 'bin', body)}:/usr/bin:/bin")
    with pytest.raises(GitUnusable, match=r"git status in .* took more than 1 s and was stopped; look there for pipes"):
        git.run("status", timeout=1)
    until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/exe").exists())


def test_a_failure_names_command_place_and_reason_as_one_clean_line(tmp_path: Path) -> None:
    body = (
        r"""case "$*" in *--version) echo git version 2.39.1;; *) printf 'bad \033[31mthing\nhere' >&2; exit 3;; esac"""
    )
    git = Git.find(tmp_path, f"{fake_git(tmp_path / 'bin', body)}:/usr/bin:/bin")
    with pytest.raises(GitUnusable, match=r"^git gc failed in /nowhere: bad thing here$"):
        git.within(git_dir="/nowhere").run("gc")
    assert git.ask("gc", ok=(3,)) == (3, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_names_of_any_bytes_come_back() -> None:
    names = ["a", "-b", "new\nline", os.fsdecode(b"\xff\xfe"), "ü"]
    assert split(joined(names)) == names
