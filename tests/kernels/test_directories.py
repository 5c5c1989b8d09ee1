"""Directories of sockets that killed processes have left."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.kernels.directories import OWNER, PREFIX, make, sweep
from tests.kernels.books import notebook
from tests.kernels.waiting import wait_for
from tests.live_kernels import REPOSITORY


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary directories are made, here and in other processes; with a short name, as sockets need it."""
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="sweep-") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        tempfile.tempdir = directory
        try:
            yield Path(directory)
        finally:
            tempfile.tempdir = usual


def left(place: Path, **changes: Any) -> Path:
    """A directory as this process makes them, but of an owner with these changes."""
    directory = Path(make())
    owner = json.loads((directory / OWNER).read_text())
    (directory / OWNER).write_text(json.dumps({**owner, **changes}))
    (directory / "k-1").touch()
    return directory


def dead_pid() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_directory_is_for_this_user_and_stays_while_its_owner_lives(place: Path) -> None:
    directory = Path(make())
    assert directory.parent == place
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sweep(place) == []
    assert directory.exists()


@pytest.mark.parametrize("owner", [{"pid": None}, {"started": 1}, {"boot": "of yesterday"}])
def test_what_a_dead_owner_left_is_removed(owner: dict[str, Any], place: Path) -> None:
    directory = left(place, **({"pid": dead_pid()} if "pid" in owner else owner))
    assert sweep(place) == [directory.name]
    assert not directory.exists()


@pytest.mark.parametrize("owner", [{"host": "elsewhere"}, {"pids": "pid:[1]"}, {"pid": "?"}])
def test_an_owner_that_cannot_be_seen_from_here_is_not_taken_for_dead(owner: dict[str, Any], place: Path) -> None:
    directory = left(place, **{"started": 1, **owner})
    assert sweep(place) == []
    assert directory.exists()


def test_what_is_not_ours_is_left_alone(place: Path) -> None:
    target = left(place, started=1).rename(place / "elsewhere")
    (place / f"{PREFIX}link").symlink_to(target)
    (place / f"{PREFIX}file").touch()
    (place / f"{PREFIX}unmarked").mkdir(0o700)
    left(place, started=1).chmod(0o755)
    linked = left(place)
    (linked / OWNER).unlink()
    (linked / OWNER).symlink_to(target / OWNER)
    damaged = left(place)
    (damaged / OWNER).write_text("[1]")
    before = sorted(os.listdir(place))
    assert sweep(place) == []
    assert sorted(os.listdir(place)) == before
    assert (target / "k-1").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_left_alone(place: Path) -> None:
    directory = left(place, started=1)
    os.chown(directory, 12345, -1)
    assert sweep(place) == []
    os.chown(directory, os.geteuid(), -1)
    assert sweep(place) == [directory.name]


def test_links_within_are_not_followed(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept" / "file").touch()
    (left(place, started=1) / "link").symlink_to(place / "kept")
    assert len(sweep(place)) == 1
    assert (place / "kept" / "file").exists()


PROGRAM = """
import sys
from pathlib import Path
from tests.kernels.books import execute
execute(Path(sys.argv[1]), sys.argv[2])
"""


def test_the_next_start_removes_what_a_killed_one_left(place: Path, tmp_path: Path) -> None:
    """A4: nothing is left over of an owner that was killed, but until the next notebook."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    hangs = notebook(tmp_path / "a.ipynb", "open('begun', 'w').close()\nimport time; time.sleep(600)")
    owner = subprocess.Popen([sys.executable, "-c", PROGRAM, str(hangs), "fork"], cwd=tmp_path, env=environment)
    wait_for((tmp_path / "begun").exists)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    (orphan,) = place.glob(f"{PREFIX}*")
    quick = notebook(tmp_path / "b.ipynb", "1")
    subprocess.run([sys.executable, "-c", PROGRAM, str(quick), "cold"], cwd=tmp_path, env=environment, check=True)
    assert not orphan.exists()
    assert list(place.glob(f"{PREFIX}*")) == []


LOOK_TWICE = """
import os
from orchestrator_nb.kernels.directories import sweep_at_times
sweep_at_times()
os.rename("later", "orch-later")
sweep_at_times()
"""


def test_a_process_looks_only_at_times(place: Path) -> None:
    first = left(place, started=1)
    left(place, started=1).rename(place / "later")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", LOOK_TWICE], cwd=place, env=environment, check=True)
    assert not first.exists()
    assert (place / "orch-later").exists()
