"""Processes in which something goes wrong: strace makes a system call fail or kills in it, `unshare` makes room for
odd file systems. `trace` says which calls the small run of `log_child` makes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import log_child
from tests.tools import need

#: Calls that change something on disk.
CHANGES = (
    "write,pwrite64,fdatasync,fsync,rename,renameat,renameat2,ftruncate,mkdir,mkdirat,unlink,unlinkat,symlink,"
    "symlinkat,fchmod,flock,openat"
)
_ROOT = Path(__file__).parents[2]
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?")


@dataclass(frozen=True)
class Call:
    """One system call of the traced run."""

    name: str
    arguments: str
    result: int
    #: Path of the descriptor that it returned.
    returned: str
    #: How many calls of this name the process had made, this one included.
    ordinal: int

    @property
    def changes(self) -> bool:
        return self.name not in ("openat", "close") or "O_CREAT" in self.arguments


def child(workspace: Path) -> list[str]:
    return [sys.executable, "-S", str(Path(log_child.__file__)), str(workspace)]


def trace(workspace: Path, calls: str = CHANGES) -> list[Call]:
    """Run the child to its end; returns its calls since its work began. It must succeed."""
    log = workspace.with_suffix(".trace")
    _strace(workspace, "-y", "-s", "100000", "-o", str(log), "-e", f"trace=newfstatat,{calls}").check_returncode()
    counts: Counter[str] = Counter()
    found: list[Call] = []
    begun = False
    for line in log.read_text("latin-1").splitlines():
        begun = begun or log_child.MARK in line
        if match := _CALL.match(line):
            name, arguments, result, returned = match.groups()
            counts[name] += 1
            if begun and name != "newfstatat":
                found.append(Call(name, arguments, int(result), returned or "", counts[name]))
    assert found
    return found


def run_with(workspace: Path, call: Call | str, fault: str, when: str | int = "") -> subprocess.CompletedProcess[str]:
    """Run the child with `fault` (``signal=KILL``, ``error=EIO``) injected in one call, or as `when` says."""
    name, when = (call.name, when or call.ordinal) if isinstance(call, Call) else (call, when or "1+")
    # The one call that is tampered with is the one that is traced: all others run at full speed.
    inject = f"inject={name}:{fault}:when={when}"
    quick = () if "signal" in fault else ("--seccomp-bpf", "-f")  # with which strace 6.1 sends no signals
    return _strace(workspace, *quick, "-o", "/dev/null", "-e", f"trace={name}", "-e", inject)


def python_with(fault: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a fault: ``fdatasync:error=EIO:when=1``."""
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}"]
    return _run([*command, sys.executable, "-S", *arguments])


def with_mounts(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where it may mount file systems that nobody else sees, and that are gone when it ends."""
    need("unshare", "mount")
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if _run([*unshare, "mount", "-t", "tmpfs", "none", "/mnt"]).returncode:
        pytest.skip("may not mount a file system here")
    return _run([*unshare, sys.executable, *arguments])


def _strace(workspace: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _run(["strace", *options, *child(workspace)])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        "PYTHONPATH": f"{_ROOT}:" + ":".join(path for path in sys.path if path.endswith("site-packages")),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
