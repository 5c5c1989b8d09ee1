"""What this machine can do for a run: a list of facts, for `orchestrate doctor`. It changes nothing."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from orchestrator_nb.system import _cgroup

#: landlock_create_ruleset, the same number on every architecture; with this flag it returns the ABI's version.
SYS_LANDLOCK_CREATE_RULESET, LANDLOCK_CREATE_RULESET_VERSION = 444, 1
UNSHARE_USER = "import ctypes; raise SystemExit(ctypes.CDLL(None).unshare(0x10000000) != 0)"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is so on this machine."""

    name: str
    #: Whether it is as it should be; what is missing costs a feature, which `remedy` names.
    ok: bool
    value: str
    #: What to do, and what is lost otherwise; empty when all is well.
    remedy: str = ""


def machine_facts(patience: float = 5.0) -> list[Fact]:
    """Look at the machine, side by side: a program that does not answer is given up after `patience` seconds."""
    probes: tuple[Callable[[float], list[Fact]], ...] = (
        _python,
        _kernel,
        _size,
        _cgroups,
        _landlock,
        _bubblewrap,
        _user_namespaces,
        _sandbox,
        _jupyter_kernels,
        _git,
        partial(_agent_cli, "claude"),
        partial(_agent_cli, "codex"),
        partial(_agent_cli, "gemini"),
    )
    with ThreadPoolExecutor(len(probes)) as pool:
        return [fact for facts in pool.map(lambda probe: probe(patience), probes) for fact in facts]


def _either(name: str, value: str, otherwise: str, remedy: str) -> Fact:
    """A fact that is in order with a value, and not so without one."""
    return Fact(name, True, value) if value else Fact(name, False, otherwise, remedy)


def _python(_: float) -> list[Fact]:
    return [Fact("Python", True, f"{platform.python_version()} ({sys.executable})")]


def _kernel(_: float) -> list[Fact]:
    try:
        os.close(os.pidfd_open(os.getpid()))
        ok = True
    except (AttributeError, OSError):
        ok = False
    name = f"{platform.system()} {platform.release()}"
    return [_either("kernel", name if ok else "", name, "Processes are supervised on Linux 5.3 and later only.")]


def _size(_: float) -> list[Fact]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        Fact("cores", True, str(len(os.sched_getaffinity(0)))),
        Fact("memory", True, f"{memory / 2**30:.1f} GiB"),
    ]


def _cgroups(_: float) -> list[Fact]:
    found, memory = _cgroup.available()
    return [
        _either(
            "cgroup v2, kill",
            _cgroup.own_cgroup() if found else "",
            "cannot be written",
            "Trees are ended by their reapers alone. Try: systemd-run --user --scope -p Delegate=yes orchestrate ...",
        ),
        _either(
            "cgroup v2, memory",
            "limits memory" if memory else "",
            "no memory controller",
            "Memory limits are kept by looking at the processes every 0.25 s.",
        ),
    ]


def _landlock(_: float) -> list[Fact]:
    abi = ctypes.CDLL(None).syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    remedy = "Without it and without bubblewrap, agents cannot be contained. Linux 5.13 and later have it."
    return [_either("Landlock", f"ABI {abi}" if abi > 0 else "", "not in this kernel", remedy)]


def _bubblewrap(patience: float) -> list[Fact]:
    version = _version("bwrap", patience)
    if not version:
        return [Fact("bubblewrap", False, "not installed", "It contains agents best: install the package bubblewrap.")]
    sandbox = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all", "--die-with-parent", "true"]
    works = _run(sandbox, patience) is not None
    remedy = "Allow user namespaces to this user (below)."
    return [_either("bubblewrap", version if works else "", f"{version} does not work", remedy)]


def _user_namespaces(patience: float) -> list[Fact]:
    allowed = _run([sys.executable, "-I", "-S", "-c", UNSHARE_USER], patience) is not None
    remedy = "bubblewrap needs them: sysctl kernel.unprivileged_userns_clone=1, or allow them in AppArmor."
    return [_either("user namespaces", "allowed" if allowed else "", "not allowed", remedy)]


def _sandbox(_: float) -> list[Fact]:
    from orchestrator_nb.system.sandbox.policy import Level
    from orchestrator_nb.system.sandbox.probing import available

    best = available()[0]
    value = "; ".join((best.why, *best.facts))
    if best.level is Level.BUBBLEWRAP:
        return [Fact("sandbox", True, value)]
    if best.level is Level.LANDLOCK:
        remedy = f"Open in it: {'; '.join(best.open(network=False))}. Install bubblewrap, which contains all of this."
        return [Fact("sandbox", False, value, remedy)]
    return [Fact("sandbox", False, value, "Agents start with `sandbox: none` only. Install the package bubblewrap.")]


def _jupyter_kernels(_: float) -> list[Fact]:
    from jupyter_client.kernelspec import KernelSpecManager

    names = ", ".join(sorted(KernelSpecManager().find_kernel_specs()))
    return [_either("Jupyter kernels", names, "none", "Notebooks need one: python -m ipykernel install --user")]


def _git(patience: float) -> list[Fact]:
    return [_either("git", _version("git", patience), "not installed", "Install git to see what agents change.")]


def _agent_cli(name: str, patience: float) -> list[Fact]:
    return [Fact(name, True, _version(name, patience) or "not installed")]


def _version(program: str, patience: float) -> str:
    """Where a program is and what it says of its version; empty if it is not there."""
    path = shutil.which(program)
    if path is None:
        return ""
    answer = (_run([path, "--version"], patience) or "").strip().partition("\n")[0]
    return f"{re.sub(r'[^ -~]', '', answer)[:80] or 'does not say its version'} ({path})"


def _run(argv: Sequence[str], patience: float) -> str | None:
    """What a program prints; None if it fails or takes too long."""
    try:
        program = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:
        return None
    with program:
        try:
            answer, _ = program.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            return None
    return answer.decode(errors="replace") if program.returncode == 0 else None
