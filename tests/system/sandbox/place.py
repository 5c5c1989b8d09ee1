"""What the tests of sandboxes share: directories to grant, and programs run in a sandbox for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.system.sandbox.containing import contain
from orchestrator_nb.system.sandbox.policy import Level, Policy
from orchestrator_nb.system.sandbox.probing import Sandbox, available

PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = (sys.executable, "-I", "-S", "-B", "-c")


def need(level: Level) -> Sandbox:
    """The sandbox of this level; without it the test is skipped, in CI it fails."""
    for box in available():
        if box.level is level:
            return box
    return (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {level}: {available()[-1].why}")


#: Both levels that contain.
both = pytest.mark.parametrize("level", [Level.BUBBLEWRAP, Level.LANDLOCK])


@dataclass
class Place:
    """A granted directory `work`, private ones, and `outside`, which is not granted."""

    base: Path

    def __post_init__(self) -> None:
        for name in ("work", "home", "tmp", "outside"):
            (self.base / name).mkdir(parents=True)
        (self.base / "outside" / "secret").write_text("canary")

    @property
    def work(self) -> Path:
        return self.base / "work"

    @property
    def outside(self) -> Path:
        return self.base / "outside"

    def policy(self, **more: Any) -> Policy:
        own = Policy(home=self.base / "home", tmp=self.base / "tmp", writable=(self.work,))
        return replace(own, **more)

    def run(
        self,
        box: Sandbox,
        *argv: str,
        policy: Policy | None = None,
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run something contained, to its end."""
        cwd = more.pop("cwd", self.work)
        contained = contain(box.means, policy or self.policy(), argv, cwd, {"PATH": PATH} | (env or {}))
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60}
        return subprocess.run(contained.argv, env=contained.env, cwd=cwd, check=False, **(given | more))

    def python(self, box: Sandbox, code: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run some Python contained."""
        return self.run(box, *PYTHON, code, **more)


def git(directory: Path) -> None:
    """Make a repository."""
    subprocess.run([shutil.which("git") or "git", "init", "-q", str(directory)], check=True)
