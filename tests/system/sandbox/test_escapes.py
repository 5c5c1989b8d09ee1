"""H1: the escape suite. What is said to hold, holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb.system.sandbox import landlock
from orchestrator_nb.system.sandbox.escapes import NETWORK_PROBES, PROBES, Attempt, Trial, trials
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.sandbox.probing import find_sandbox
from tests.system.sandbox.place import need

ROOT = Path(__file__).parents[3]
#: What Landlock cannot keep, whoever runs it; of the scheduling of others, root without capabilities can do nothing.
LANDLOCK_OPEN = {"chmod_outside", "git_hook", "agent_settings", "see_process"}
LANDLOCK_OPEN |= {"signal_process"} if landlock.abi() < 6 else set()
MAY_BE_OPEN = {"schedule_process"}


@pytest.fixture(scope="module")
def tried() -> dict[str, Trial]:
    need(Level.BUBBLEWRAP)
    need(Level.LANDLOCK)
    return {trial.mode: trial for trial in trials()}


def test_h1_forty_probes_are_listed() -> None:
    assert len(PROBES) == 40
    assert set(NETWORK_PROBES) <= PROBES.keys()
    assert all(what.endswith(".") for what in PROBES.values())


def test_h1_bubblewrap_without_network_blocks_all(tried: dict[str, Trial]) -> None:
    trial = tried["bubblewrap, network off"]
    assert (trial.blocked, trial.open) == (40, ())


def test_h1_bubblewrap_with_network_opens_only_the_network(tried: dict[str, Trial]) -> None:
    trial = tried["bubblewrap, network on"]
    assert set(trial.open) <= set(NETWORK_PROBES)
    assert "loopback_tcp" in trial.open
    if find_sandbox().means.landlock >= 6:
        assert "abstract_socket" not in trial.open


def test_h1_landlock_opens_what_it_says(tried: dict[str, Trial]) -> None:
    off, on = set(tried["landlock, network off"].open), set(tried["landlock, network on"].open)
    assert off - MAY_BE_OPEN == LANDLOCK_OPEN
    assert off <= on <= off | set(NETWORK_PROBES)


def test_h1_without_a_sandbox_the_probes_do_succeed(tried: dict[str, Trial]) -> None:
    """Attempts that fail everywhere would prove nothing."""
    free = tried["uncontained"]
    assert [attempt.how for attempt in free.attempts if "broken" in attempt.how] == []
    assert len(free.open) >= (36 if os.geteuid() == 0 else 24), free.attempts
    silent = tried["bubblewrap, network off"].not_telling
    assert set(silent) == PROBES.keys() - set(free.open)


def test_h3_connection_files_and_tokens_are_out_of_reach(tried: dict[str, Trial]) -> None:
    for mode in ("bubblewrap, network off", "bubblewrap, network on", "landlock, network off", "landlock, network on"):
        assert not {"kernel_connection", "jupyter_token", "read_environment"} & set(tried[mode].open)
    assert {"kernel_connection", "jupyter_token", "read_environment"} <= set(tried["uncontained"].open)


def test_h1_nothing_is_left_behind(tried: dict[str, Trial]) -> None:
    assert tried
    shared = Path("/dev/shm")
    assert [path for path in shared.iterdir() if path.name.startswith("bait-")] == []
    assert "escapes-" not in Path("/proc/self/mountinfo").read_text()


NOT_ROOT = """
import json
from orchestrator_nb.system.sandbox.escapes import trials
print(json.dumps({trial.mode: trial.open for trial in trials()}))
"""


def test_h1_holds_for_an_ordinary_user_too() -> None:
    """Root runs the suite as nobody; anybody else has run it above."""
    if os.geteuid():
        pytest.skip("the other tests are run by an ordinary user")
    path = os.pathsep.join((str(ROOT), str(Path(msgspec.__file__).parents[1])))
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": path}

    def as_nobody(*argv: str) -> subprocess.CompletedProcess[str]:
        identity: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": ()}
        more: dict[str, Any] = {"env": environment, "cwd": "/", "capture_output": True, "text": True, "timeout": 100}
        return subprocess.run(argv, check=False, **identity, **more)

    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if as_nobody(python, "-B", "-c", "import orchestrator_nb.system.sandbox.escapes").returncode:
                continue
        except OSError:
            continue
        done = as_nobody(python, "-B", "-c", NOT_ROOT)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["bubblewrap, network off"] == []
        assert set(found["bubblewrap, network on"]) <= set(NETWORK_PROBES)
        assert set(found["landlock, network off"]) == LANDLOCK_OPEN | MAY_BE_OPEN
        return
    pytest.skip("no Python with these packages can be run by nobody")


def test_trials_are_counted() -> None:
    trial = Trial(Level.NONE, True, (Attempt("x", False, "y"), Attempt("z", True, "w", telling=False)))
    assert (trial.mode, trial.blocked, trial.open, trial.not_telling) == ("uncontained", 1, ("x",), ("z",))
