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

from orchestrator_nb.system import _cgroup

#: Seconds that a program gets to say its version.
PATIENCE = 5.0
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


def machine_facts() -> list[Fact]:
    """Look at the machine: each probe takes 5 s at most, and they run side by side."""
    probes: list[Callable[[], list[Fact]]] = [
        _python,
        _kernel,
        _size,
        _cgroups,
        _landlock,
        _bubblewrap,
        _user_namespaces,
        _jupyter_kernels,
        _git,
        *(lambda name=name: _agent_cli(name) for name in ("claude", "codex", "gemini")),
    ]
    with ThreadPoolExecutor(len(probes)) as pool:
        return [fact for facts in pool.map(lambda probe: probe(), probes) for fact in facts]


def _python() -> list[Fact]:
    version = platform.python_version()
    return [Fact("Python", sys.version_info >= (3, 11), f"{version} ({sys.executable})", "")]


def _kernel() -> list[Fact]:
    ok = sys.platform == "linux" and hasattr(os, "pidfd_open") and _works(lambda: os.close(os.pidfd_open(os.getpid())))
    remedy = "" if ok else "Processes are supervised on Linux 5.3 or later only."
    return [Fact("kernel", ok, f"{platform.system()} {platform.release()}", remedy)]


def _size() -> list[Fact]:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [Fact("cores", True, str(cores)), Fact("memory", True, f"{memory / 2**30:.1f} GiB")]


def _cgroups() -> list[Fact]:
    found, memory = _cgroup.available()
    return [
        Fact(
            "cgroup v2, kill",
            found,
            _cgroup.own_cgroup() if found else "cannot be written",
            ""
            if found
            else "Trees are ended by their reapers alone. Start with: systemd-run --user --scope -p Delegate=yes ...",
        ),
        Fact(
            "cgroup v2, memory",
            memory,
            "limits memory" if memory else "no memory controller",
            "" if memory else "Memory limits are kept by looking at the processes every 0.25 s.",
        ),
    ]


def _landlock() -> list[Fact]:
    abi = ctypes.CDLL(None).syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    remedy = "" if abi > 0 else "Without it and bubblewrap, agents cannot be contained. Linux 5.13 or later has it."
    return [Fact("Landlock", abi > 0, f"ABI {abi}" if abi > 0 else "not in this kernel", remedy)]


def _bubblewrap() -> list[Fact]:
    if shutil.which("bwrap") is None:
        return [Fact("bubblewrap", False, "not installed", "It contains agents best. Install the package bubblewrap.")]
    works = _run(["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all", "--die-with-parent", "true"])
    return [
        Fact("bubblewrap", True, _first_line(_run(["bwrap", "--version"])))
        if works is not None
        else Fact("bubblewrap", False, "installed, but does not work", "Allow user namespaces to this user.")
    ]


def _user_namespaces() -> list[Fact]:
    ok = _run([sys.executable, "-I", "-S", "-c", UNSHARE_USER]) is not None
    remedy = (
        "" if ok else "bubblewrap needs them: sysctl kernel.unprivileged_userns_clone=1, or allow them in AppArmor."
    )
    return [Fact("user namespaces", ok, "allowed" if ok else "not allowed", remedy)]


def _jupyter_kernels() -> list[Fact]:
    from jupyter_client.kernelspec import KernelSpecManager

    names = sorted(KernelSpecManager().find_kernel_specs())
    remedy = "" if names else "Notebooks need one: python -m ipykernel install --user"
    return [Fact("Jupyter kernels", bool(names), ", ".join(names) or "none", remedy)]


def _git() -> list[Fact]:
    version = _version("git")
    return [Fact("git", bool(version), version or "not installed", "" if version else "Install git to see diffs.")]


def _agent_cli(name: str) -> list[Fact]:
    return [Fact(name, True, _version(name) or "not installed")]


def _version(program: str) -> str:
    """Where a program is and what it says of its version; empty if it is not there."""
    path = shutil.which(program)
    if path is None:
        return ""
    answer = _run([path, "--version"])
    return f"{_first_line(answer) if answer is not None else 'does not say its version'} ({path})"


def _first_line(text: str | None) -> str:
    printable = re.sub(r"[^ -~]", "", (text or "").strip().partition("\n")[0])
    return printable[:80]


def _run(argv: Sequence[str]) -> str | None:
    """What a program prints; None if it fails or takes too long, and then nothing of it is left."""
    try:
        program = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:
        return None
    try:
        answer, _ = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
        return None
    return answer.decode(errors="replace") if program.returncode == 0 else None


def _works(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True
