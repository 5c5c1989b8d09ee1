"""What contains processes here, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.containing import Means
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.sandbox.probing import Sandbox, available, find_sandbox
from tests.system.sandbox.place import need

ROOT = Path(__file__).parents[3]
SAY = """
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.sandbox.probing import available, find_sandbox
for box in available():
    print(box.level, box.why, sep="|")
try:
    find_sandbox(Level.BUBBLEWRAP)
except AgentError as error:
    print(error)
"""


def test_the_best_that_works_is_taken_and_known_from_then_on() -> None:
    box = need(Level.BUBBLEWRAP)
    assert find_sandbox() is available()[0] or find_sandbox() == available()[0]
    assert find_sandbox().level is Level.BUBBLEWRAP
    assert find_sandbox(Level.LANDLOCK).level is Level.LANDLOCK
    assert find_sandbox(Level.NONE).level is Level.NONE
    assert [one.level for one in available()][-1] is Level.NONE
    assert box.means.bwrap in box.why
    assert any("SIGTERM" in fact for fact in box.facts)


def without(tmp_path: Path, bwrap: str) -> list[str]:
    """What another process says that has this program as its bwrap."""
    if bwrap:
        (tmp_path / "bwrap").write_text(bwrap)
        (tmp_path / "bwrap").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        env={**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout.splitlines()


def test_without_bubblewrap_landlock_is_next_and_says_why(tmp_path: Path) -> None:
    need(Level.LANDLOCK)
    lines = without(tmp_path, "")
    assert lines[0].startswith("landlock|Landlock, ABI ")
    assert lines[0].endswith("(bubblewrap is not installed)")
    assert lines[1] == "none|uncontained: bubblewrap is not installed"
    assert lines[2] == "`sandbox: bubblewrap` does not work here: bubblewrap is not installed."


def test_a_bubblewrap_that_is_there_but_does_not_work_is_not_taken(tmp_path: Path) -> None:
    lines = without(tmp_path, "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    assert lines[-1].endswith("bubblewrap does not work: bwrap: setting up uid map: Permission denied.")


def test_a_bubblewrap_that_contains_nothing_at_all_but_runs_is_told_by_its_namespace(tmp_path: Path) -> None:
    """It ran the program, but the sandbox is a claim: what is really open is what the escape suite says."""
    lines = without(tmp_path, "#!/bin/sh\nexit 0\n")
    assert not lines[0].startswith("bubblewrap")


def test_what_is_open_is_named() -> None:
    bubblewrap = Sandbox(Means(Level.BUBBLEWRAP, landlock=7), "")
    assert bubblewrap.open(network=False) == ()
    assert bubblewrap.open(network=True) == ("the network: egress, loopback and its neighbours",)
    old = Sandbox(Means(Level.BUBBLEWRAP, landlock=5), "")
    assert "abstract Unix sockets" in old.open(network=True)
    landlock = Sandbox(Means(Level.LANDLOCK, landlock=7), "").open(network=False)
    assert any("control files" in item for item in landlock)
    assert any("signals" in item for item in Sandbox(Means(Level.LANDLOCK, landlock=5), "").open(network=False))
    assert Sandbox(Means(Level.NONE), "").open(network=False) == ("everything that the user may do",)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="firejail"):
        Level("firejail")
    assert issubclass(AgentError, Exception)
