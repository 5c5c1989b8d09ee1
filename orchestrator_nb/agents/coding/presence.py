"""Which coding agents are on this machine: where, which version, with which login."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.agents.coding.cli import Clis, CodingCli
from orchestrator_nb.agents.coding.homes import loan_of
from orchestrator_nb.errors import AgentError

#: Seconds for a program to say its version.
PATIENCE = 15.0
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Presence:
    """One coding agent on this machine."""

    name: str
    #: Where its program is; empty if it is not installed.
    path: str
    #: As it says itself; empty if it does not.
    version: str
    #: Where its login comes from; empty if there is none.
    login: str
    #: What is wrong, and what to do; empty if nothing is.
    fault: str


def look_for(cli: CodingCli, environment: Mapping[str, str]) -> Presence:
    """Look for one coding agent. Blocking: its program is asked for its version, once."""
    path = shutil.which(cli.program, path=environment.get("PATH", os.defpath)) or ""
    version = version_of(path) if path and cli.capabilities.oldest else ""
    try:
        login, fault = loan_of(cli, "auto", environment).words, ""
    except AgentError as error:
        login, fault = "", str(error)
    fault = fault_of_version(cli, version) or fault if path else f"install {cli.name}, and see that it is in PATH"
    return Presence(cli.name, path, version, login, fault)


def look_around(environment: Mapping[str, str], clis: Clis | None = None) -> list[Presence]:
    """`look_for` every coding agent that is known here, by name."""
    clis = Clis() if clis is None else clis
    names = clis.names()
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: look_for(clis.get(name), environment), names))


def fault_of_version(cli: CodingCli, version: str) -> str:
    """Why this version cannot be used, and what to do; empty if it can. A version that is not known can."""
    oldest = cli.capabilities.oldest
    if not oldest or not version or _numbers(version) >= _numbers(oldest):
        return ""
    return f"{cli.name} {version} is too old: {oldest} is the first that can be used; update it"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def version_of(path: str) -> str:
    """What a program says of its version, as ``2.1.328``; empty if it does not. Asked once as long as it is the same.

    It is run by itself: without the run's variables, and with an empty HOME.
    """
    try:
        found = Path(path).stat()
    except OSError:
        return ""
    return _asked(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=64)
def _asked(path: str, changed: int, size: int) -> str:
    del changed, size
    with tempfile.TemporaryDirectory(prefix="orchestrate-", ignore_cleanup_errors=True) as home:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"}
        try:
            answer = subprocess.run(
                [path, "--version"],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
    found = _VERSION.search(answer[:4000].decode("utf-8", "replace"))
    return found[0] if found else ""
