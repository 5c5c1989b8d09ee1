from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.ipynb.provenance import (
    Circumstances,
    file_hash,
    git_state,
    guarded,
    interpreter,
    is_guarded,
    packages,
    provenance,
    provenance_of,
    reasons,
    value_hash,
)


def notebook(decided: dict[str, Any], mode: str = "") -> dict[str, Any]:
    """An executed notebook that records this."""
    return {"cells": [], "metadata": {"orchestrator": {"provenance": decided, "kernel": {"mode": mode}}}}


@pytest.fixture
def given(tmp_path: Path) -> Circumstances:
    (tmp_path / "book.ipynb").write_text("{}")
    (tmp_path / "data.csv").write_text("a,b\n")
    return Circumstances(
        notebook=tmp_path / "book.ipynb",
        parameters={"n": 3, "name": "x"},
        inputs={"data": tmp_path / "data.csv", "gone": tmp_path / "gone.csv"},
        environment={"LEVEL": "high", "API_KEY": "hunter2", "NOTEBOOK_SEED": "5", "PYTHONHASHSEED": "5"},
        seed=5,
        hash_seed="5",
        cwd=tmp_path,
    )


def test_what_decided_an_execution_is_recorded_as_json(given: Circumstances, tmp_path: Path) -> None:
    decided = json.loads(json.dumps(provenance(given)))
    assert decided["notebook"] == {"path": str(given.notebook), "sha256": file_hash(given.notebook)}
    assert decided["parameters"] == {"sha256": value_hash({"name": "x", "n": 3})}
    assert decided["inputs"]["data"] == {"path": str(tmp_path / "data.csv"), "sha256": file_hash(tmp_path / "data.csv")}
    assert decided["inputs"]["gone"]["sha256"] is None
    assert (decided["seed"], decided["hash_seed"], decided["cwd"]) == (5, "5", str(tmp_path))
    assert decided["interpreter"]["version"] == sys.version.split(" ")[0]
    assert f"papermill=={_version('papermill')}" in decided["interpreter"]["packages"]
    assert decided["git"] is None
    assert provenance_of(notebook(decided)) == decided


def _version(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


def test_the_lock_names_what_is_installed() -> None:
    expected = {(re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(), d.version) for d in distributions()}
    assert {tuple(line.split("==")) for line in packages()} == expected


def test_a_kernel_of_another_interpreter_is_asked(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    facts = interpreter(str(python))
    assert facts is not None
    assert facts["executable"] == str(python)
    assert facts["version"] == sys.version.split(" ")[0]
    assert interpreter(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "x"),
        ("db_password", "x"),
        ("WHATEVER", "postgres://me:secret@host/db"),
        ("WHATEVER", "ghp_abcdefgh12345678"),
        ("WHATEVER", "A" * 40),
        ("WHATEVER", "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_secrets_are_never_kept(given: Circumstances, name: str, value: str) -> None:
    kept = guarded(name, value)
    assert is_guarded(kept)
    assert value not in kept.removeprefix("secret:")
    assert kept == guarded(name, value) != guarded(name, f"{value}!")


def test_values_that_are_no_secret_are_kept(given: Circumstances) -> None:
    environment = provenance(given)["environment"]
    assert environment["LEVEL"] == "high"
    assert is_guarded(environment["API_KEY"])
    assert "hunter2" not in json.dumps(environment)
    assert set(environment) == {"LEVEL", "API_KEY"}  # the seeds have places of their own
    assert guarded("OMP_NUM_THREADS", "4") == "4"


# -- git ---------------------------------------------------------------------------------------------------------------


def git(*arguments: str, cwd: Path) -> str:
    options = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    ]
    done = subprocess.run(["git", *options, *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    git("init", "-q", cwd=place)
    (place / "file").write_text("1")
    git("add", "file", cwd=place)
    git("commit", "-qm", "one", cwd=place)
    return place


def test_the_revision_is_read_without_git(repository: Path) -> None:
    revision = git("rev-parse", "HEAD", cwd=repository)
    (repository / "sub").mkdir()
    assert git_state(repository / "sub") == {"revision": revision, "branch": "main", "dirty": None}
    git("pack-refs", "--all", cwd=repository)
    assert git_state(repository) == {"revision": revision, "branch": "main", "dirty": None}
    git("checkout", "-q", "--detach", cwd=repository)
    assert git_state(repository) == {"revision": revision, "branch": "", "dirty": None}


def test_a_worktree_and_a_new_repository_are_read(repository: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", "-b", "other/branch", str(tmp_path / "tree"), cwd=repository)
    state = git_state(tmp_path / "tree")
    assert state == {"revision": git("rev-parse", "HEAD", cwd=repository), "branch": "other/branch", "dirty": None}
    (tmp_path / "new").mkdir()
    git("init", "-q", cwd=tmp_path / "new")
    assert git_state(tmp_path / "new") == {"revision": None, "branch": "main", "dirty": None}


def test_git_says_whether_tracked_files_were_changed(repository: Path) -> None:
    (repository / "untracked").write_text("1")
    assert (git_state(repository, ask_git=True) or {})["dirty"] is False
    (repository / "file").write_text("2")
    assert (git_state(repository, ask_git=True) or {})["dirty"] is True


def test_outside_of_git_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


# -- reasons -----------------------------------------------------------------------------------------------------------


def test_what_differs_is_told_the_likeliest_first(given: Circumstances) -> None:
    before = provenance(given)
    before["interpreter"]["packages"] = ["alpha==1", "numpy==1.0", "same==1"]
    after = json.loads(json.dumps(before))
    assert reasons(notebook(before), notebook(after)) == []
    after["interpreter"] |= {"version": "3.99.0", "packages": ["alpha==2", "numpy==2.0", "same==1", "new==1"]}
    after["inputs"]["data"]["sha256"] = "other"
    after |= {"seed": None, "hash_seed": "random", "git": {"revision": "b" * 40}}
    after["environment"]["LEVEL"] = "low"
    before["git"] = {"revision": "a" * 40}
    assert reasons(notebook(before, "fork"), notebook(after, "cold"), ["numpy"]) == [
        f"input file 'data' has changed: {given.inputs['data']}",
        f"Python's version: {before['interpreter']['version']} → 3.99.0",
        "package numpy: 1.0 → 2.0",
        "package alpha: 1 → 2",
        "package new: none → 1",
        "seed: 5 → none",
        "PYTHONHASHSEED: 5 → random",
        "environment variable LEVEL: high → low",
        "git revision: aaaaaaaaaa → bbbbbbbbbb",
        "kernel mode: fork → cold",
    ]


def test_a_notebook_that_records_nothing_gives_no_reasons() -> None:
    bare: dict[str, Any] = {"cells": [], "metadata": {"orchestrator": "odd"}}
    assert provenance_of(bare) == {}
    assert reasons(bare, bare) == []


def test_a_pipe_has_no_hash_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert file_hash(tmp_path / "pipe") is None


def test_what_is_installed_later_is_in_the_next_lock(tmp_path: Path) -> None:
    """The lock of a directory is kept as long as nothing is installed into it."""
    (tmp_path / "one-1.0.dist-info").mkdir()
    assert packages([str(tmp_path)]) == ["one==1.0"]
    before = tmp_path.stat().st_mtime_ns
    (tmp_path / "Other_Thing-2.0.dist-info").mkdir()
    os.utime(tmp_path, ns=(before + 1, before + 1))  # however coarse the clock of the file system is
    assert packages([str(tmp_path)]) == ["one==1.0", "other-thing==2.0"]
    assert packages([str(tmp_path / "none")]) == []


def test_a_notebook_that_is_no_local_file_is_recorded_in_words(given: Circumstances) -> None:
    decided = provenance(replace(given, notebook="s3://bucket/book.ipynb", kernel_name="other"))
    assert decided["notebook"] == {"path": "s3://bucket/book.ipynb", "sha256": None, "why": "it is no local file"}
    assert (decided["git"], decided["kernel_name"]) == (None, "other")
    assert "kernel_name" not in provenance(given)


def test_an_interpreter_that_is_not_known_is_no_reason(given: Circumstances) -> None:
    known = provenance(given)
    assert reasons(notebook(known), notebook({**known, "interpreter": None})) == []
