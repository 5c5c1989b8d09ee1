"""Tries to break out: ``python -I -S _attempts.py BAITS``, from inside; prints {name: [blocked, how]} as JSON.

None of the attempts does harm where nothing stops it: what would is opened but not written to. Those that change their
own process are run apart, as ``_attempts.py BAITS NAME``.
"""

# ruff: noqa: PTH100, PTH120, T201

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

if __name__ == "__main__":  # the packages' own modules are not there inside
    here = os.path.dirname(os.path.abspath(__file__))
    for package in ("orchestrator_nb", "orchestrator_nb.system", "orchestrator_nb.system.sandbox"):
        sys.modules[package] = type(sys)(package)
        sys.modules[package].__path__ = [here]

from orchestrator_nb.system.sandbox import _attempts_files, _attempts_kernel
from orchestrator_nb.system.sandbox._attempting import BAITS, Blocked

#: Seconds for an attempt that is run apart.
PATIENCE = 10.0
#: Those that, if they succeed, leave this process changed.
APART = ("read_memory", "user_namespace", "chroot", "terminal_input", "become_other_user")


def run_one(attempt: Callable[[], str]) -> tuple[bool, str]:
    """Whether an attempt was blocked, and how."""
    try:
        return False, attempt()
    except OSError as error:
        return True, error.strerror or str(error)
    except Blocked as error:
        return True, str(error)
    except Exception as error:  # noqa: BLE001 - a broken attempt proves nothing, and is not to pass for a wall
        return False, f"the attempt itself is broken: {error!r}"


def run_apart(name: str) -> tuple[bool, str]:
    """The same in a process of its own."""
    argv = [sys.executable, "-I", "-S", "-B", __file__, sys.argv[1], name]
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return True, "did not come back"
    if done.returncode < 0:
        return True, f"ended by signal {-done.returncode}"
    blocked, how = json.loads(done.stdout)
    return bool(blocked), str(how)


def run_all() -> dict[str, tuple[bool, str]]:
    """All attempts, in turn."""
    return {name: run_apart(name) if name in APART else run_one(find(name)) for name in BAITS["probes"]}


def find(name: str) -> Callable[[], str]:
    """The attempt of this name."""
    attempt: Callable[[], str] = getattr(_attempts_files, name, None) or getattr(_attempts_kernel, name)
    return attempt


if __name__ == "__main__":
    BAITS.update(json.loads(sys.argv[1]))
    print(json.dumps(run_one(find(sys.argv[2])) if sys.argv[2:] else run_all()))
