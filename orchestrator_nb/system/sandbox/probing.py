"""What can contain processes here, found by really doing it; cached for the life of this process. Blocking."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox import landlock, seccomp
from orchestrator_nb.system.sandbox.containing import Means, contain
from orchestrator_nb.system.sandbox.policy import Level, Policy

#: What gives a program SIGTERM's meaning back that its parents ignored: coreutils 8.31, or Perl.
_REVIVERS = (
    ("/usr/bin/env", "--default-signal=TERM", "--"),
    ("/usr/bin/perl", "-e", '$SIG{TERM} = "DEFAULT"; exec {$ARGV[0]} @ARGV or exit 127', "--"),
)
#: A program that ends by SIGTERM if it can.
_MORTAL = ("/bin/sh", "-c", "echo inside; kill -TERM $$; echo deaf")
_BY_TERM = (-15, 143)
#: Seconds for a start.
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The best that contains processes here."""

    means: Means
    #: What it is and, when it is not the best level, why not: for people.
    why: str
    #: Facts of the kernel and of programs that decide what it holds.
    facts: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """Its level."""
        return self.means.level

    def open(self, *, network: bool) -> tuple[str, ...]:
        """What it leaves open, for the label that a run carries; `escapes` proves it."""
        left = ["the network: egress, loopback and its neighbours"] if network else []
        if network and self.means.landlock < 6 and self.level is Level.BUBBLEWRAP:
            left.append("abstract Unix sockets")
        if self.level is Level.NONE:
            return ("everything that the user may do",)
        if not seccomp.supported():
            left.append("keys of the kernel and other system calls (no filter for this machine)")
        if self.level is Level.LANDLOCK:
            left += [
                "control files inside writable directories (they are compared afterwards)",
                "modes, owners and times of the user's files everywhere",
                "the list of processes with their arguments",
                "the scheduling of the user's processes",
            ]
            left += ["truncating the user's files everywhere"] if self.means.landlock < 3 else []
            left += ["signals to the user's processes"] if self.means.landlock < 6 else []
        return tuple(left)


def available() -> tuple[Sandbox, ...]:
    """Every level that works here, the best first; `none` is always the last."""
    found = [box for box in (_bubblewrap(), _landlock()) if isinstance(box, Sandbox)]
    faults = [fault for fault in (_bubblewrap(), _landlock()) if isinstance(fault, str)]
    why = "; ".join(faults) or "asked for"
    last = Sandbox(Means(Level.NONE), f"uncontained: {why}")
    boxes = [
        Sandbox(box.means, f"{box.why} ({why})" if faults and box.level is Level.LANDLOCK else box.why, box.facts)
        for box in found
    ]
    return (*boxes, last)


def find_sandbox(wanted: Level | None = None) -> Sandbox:
    """The level that is wanted, or the best that contains.

    Raises:
        AgentError: It does not work here; or nothing does, and `none` was not asked for.
    """
    boxes = available()
    for box in boxes:
        if box.level is wanted or (wanted is None and box.level is not Level.NONE):
            return box
    reason = boxes[-1].why.removeprefix("uncontained: ")
    if wanted is None:
        raise AgentError(
            f"Nothing can contain a process here: {reason}. Install bubblewrap, or say `sandbox: none` to run agents"
            " with all that you may do yourself."
        )
    fault = {Level.BUBBLEWRAP: _bubblewrap, Level.LANDLOCK: _landlock}[wanted]()
    raise AgentError(f"`sandbox: {wanted}` does not work here: {fault}.")


@functools.cache
def _bubblewrap() -> Sandbox | str:
    """Bubblewrap as it works here, or why it does not."""
    bwrap = shutil.which("bwrap")
    if not bwrap:
        return "bubblewrap is not installed"
    said = ""
    for without_namespaces in (True, False):
        for revive in (*(reviver for reviver in _REVIVERS if os.access(reviver[0], os.X_OK)), ()):
            means = Means(Level.BUBBLEWRAP, bwrap, without_namespaces, revive, landlock.abi())
            said = _try(means)
            if not said:
                return Sandbox(means, f"bubblewrap ({bwrap})", _facts(means))
    return f"bubblewrap does not work: {said}"


@functools.cache
def _landlock() -> Sandbox | str:
    """Landlock as it works here, or why it does not."""
    version = landlock.abi()
    if not version:
        return "this kernel has no Landlock"
    means = Means(Level.LANDLOCK, landlock=version)
    if said := _try(means):
        return f"Landlock does not work: {said}"
    return Sandbox(means, f"Landlock, ABI {version}", _facts(means))


def _facts(means: Means) -> tuple[str, ...]:
    facts = [f"Landlock ABI {means.landlock}" if means.landlock else "no Landlock"]
    facts.append("system calls filtered" if seccomp.supported() else "no filter of system calls for this machine")
    if means.level is Level.BUBBLEWRAP:
        facts.append("no user namespaces inside" if means.without_namespaces else "bwrap is older than 0.8")
        facts.append("SIGTERM reaches the inside" if means.revive else "SIGTERM ends all at once, without grace")
    return tuple(facts)


def _try(means: Means) -> str:
    """Run something by these means: why it went wrong, empty if it did not."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        base = Path(name).resolve()
        for part in ("home", "tmp"):
            (base / part).mkdir()
        contained = contain(means, Policy(home=base / "home", tmp=base / "tmp"), _MORTAL, base / "home", {})
        try:
            done = subprocess.run(
                contained.argv,
                env=contained.env,
                cwd=base,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if done.stdout == b"inside\n" and done.returncode in _BY_TERM:
        return ""
    said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return said[:200] or f"exit code {done.returncode}"
