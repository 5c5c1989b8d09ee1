"""Running git so that nothing but git runs: no hook, filter, editor, prompt, helper or network.

A repository in which an agent worked is hostile, and so are the names and contents in it. git is therefore given its
whole environment, settings of ours instead of the user's and the system's, and arguments as lists; names come and go
separated by NUL bytes; every command has a time limit.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator_nb.errors import GitUnusable
from orchestrator_nb.projections.text import one_line

#: The oldest git that is known to do all that is asked of it here.
OLDEST = (2, 30)
#: Seconds that a command is given; one that writes out a whole tree, or packs objects, gets `LONG`.
TIMEOUT, LONG = 120.0, 1200.0

_VERSION = re.compile(r"git version (\d+)\.(\d+)")

#: Settings that win over those of every file. None of them lets git start a program.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=false",
    "core.sshCommand=false",
    "core.attributesFile=/dev/null",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "core.logAllRefUpdates=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "credential.helper=",
    "diff.external=",
    "diff.ignoreSubmodules=all",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "index.sparse=false",
    "index.version=2",
    "maintenance.auto=false",
    "merge.conflictStyle=merge",
    "merge.directoryRenames=false",
    "merge.renames=true",
    "pack.useBitmaps=false",
    "protocol.allow=never",
    "submodule.recurse=false",
)

_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_EDITOR": "false",
    "GIT_SEQUENCE_EDITOR": "false",
    "GIT_PAGER": "cat",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}


@dataclass(frozen=True, slots=True)
class Git:
    """The program, and where it works. `within` gives the same git for another place."""

    program: str
    version: tuple[int, int]
    environment: Mapping[str, str] = field(repr=False)
    cwd: Path = Path("/")

    @classmethod
    def find(cls, home: Path, search_path: str | None = None) -> Git:
        """Look for git on `search_path` (PATH); `home` is a directory of ours that is HOME for it.

        Raises:
            GitUnusable: There is none, it does not answer, or it is older than `OLDEST`.
        """
        entries = (os.environ.get("PATH", os.defpath) if search_path is None else search_path).split(os.pathsep)
        path = os.pathsep.join(entry for entry in entries if entry.startswith("/"))
        program = shutil.which("git", path=path)
        if program is None:
            raise GitUnusable("git is not installed (not found on PATH): install git 2.30 or later")
        environment = {
            **_ENVIRONMENT,
            "PATH": path,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        }
        found = cls(program, OLDEST, environment)
        said = os.fsdecode(found.run("--version"))
        match = _VERSION.match(said)
        if match is None:
            raise GitUnusable(f"{program} does not say its version but {one_line(said)!r}: is it git?")
        version = (int(match[1]), int(match[2]))
        if version < OLDEST:
            raise GitUnusable(f"{program} is git {match[1]}.{match[2]}: agents' worktrees need git 2.30 or later")
        return replace(found, version=version)

    def within(self, **where: Path | str) -> Git:
        """The same with variables of git, as ``git_dir`` for GIT_DIR; it runs in the work tree, if one is given."""
        given = {name if name.startswith("GITHEAD_") else name.upper(): str(where[name]) for name in where}
        cwd = Path(where["git_work_tree"]) if "git_work_tree" in where else self.cwd
        return replace(self, environment={**self.environment, **given}, cwd=cwd)

    def run(self, *arguments: str, stdin: bytes = b"", ok: Iterable[int] = (0,), timeout: float = TIMEOUT) -> bytes:
        """Run a command; returns what it prints.

        Raises:
            GitUnusable: Its exit code is not in `ok`, or it takes more than `timeout` seconds.
        """
        return self.ask(*arguments, stdin=stdin, ok=ok, timeout=timeout)[1]

    def ask(
        self, *arguments: str, stdin: bytes = b"", ok: Iterable[int] = (0,), timeout: float = TIMEOUT
    ) -> tuple[int, bytes]:
        """As `run`; returns the exit code too."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        try:
            process = subprocess.Popen(
                [self.program, *settings, *arguments],
                cwd=self.cwd,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise GitUnusable(f"{self.program} cannot be started in {self.cwd}: {error.strerror}") from error
        with process:
            try:
                said, complained = process.communicate(stdin, timeout=timeout)
            except BaseException as error:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise GitUnusable(
                        f"git {arguments[0]} in {self._place} took more than {timeout:g} s and was stopped; "
                        "look there for pipes or devices, or a disk that does not answer"
                    ) from error
                raise
        if process.returncode not in tuple(ok):
            reason = one_line(complained, 500) or f"exit code {process.returncode}"
            raise GitUnusable(f"git {arguments[0]} failed in {self._place}: {reason}")
        return process.returncode, said

    def word(self, *arguments: str) -> str:
        """As `run`; returns the one line that it prints."""
        return os.fsdecode(self.run(*arguments)).removesuffix("\n")

    @property
    def _place(self) -> str:
        return self.environment.get("GIT_WORK_TREE") or self.environment.get("GIT_DIR") or str(self.cwd)


def split(names: bytes) -> list[str]:
    """Names that git printed with ``-z``. What is no UTF-8 is kept as `os.fsdecode` does."""
    return [os.fsdecode(name) for name in names.split(b"\0") if name]


def joined(names: Iterable[str]) -> bytes:
    """Names as git reads them with ``-z --stdin``."""
    return b"".join(os.fsencode(name) + b"\0" for name in names)
