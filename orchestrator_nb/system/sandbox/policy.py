"""What a contained process is granted, as a value."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator_nb.errors import AgentError


class Level(StrEnum):
    """What contains a process."""

    #: Namespaces with a file system of their own.
    BUBBLEWRAP = "bubblewrap"
    #: Rules of the kernel on the file system that is there.
    LANDLOCK = "landlock"
    NONE = "none"

    @property
    def label(self) -> str:
        """What people read: `none` is ``uncontained``."""
        return "uncontained" if self is Level.NONE else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a contained process may touch; all else is out of reach. Directories are absolute and exist."""

    #: Its private HOME and TMPDIR, both writable.
    home: Path
    tmp: Path
    #: Directories that it may write to; the control files at their top are read-only (`control_files.locked`) unless
    #: they are themselves among these.
    writable: tuple[Path, ...] = ()
    #: Directories and files that it may read.
    readable: tuple[Path, ...] = ()
    #: Directories and files inside granted ones that it must not see: the records of the run.
    hidden: tuple[Path, ...] = ()
    #: Programs, by name or path, that are to be there besides the one that is started, with what they need.
    programs: tuple[str, ...] = ()
    #: Whether it may use the network, all of it: loopback and the machine's neighbours too.
    network: bool = False

    def granted(self) -> list[Path]:
        """Everything that is granted, by real paths."""
        return [path.resolve() for path in (*self.writable, *self.readable, self.home, self.tmp)]

    def masked(self) -> list[Path]:
        """What of `hidden` there is in granted directories, by real paths."""
        granted = self.granted()
        return [path for path in map(Path.resolve, self.hidden) if path.exists() and covered(path, granted)]


#: What no grant may hold: with it, all that is to be kept from the process would be granted.
_NEVER = (
    *("/", "/usr", "/etc", "/dev", "/run", "/var", "/boot"),
    *("/home", "/root", "/tmp", "/var/tmp", "/var/run", "/dev/shm"),  # noqa: S108 - sockets of others lie in them
)
#: Nothing in them is a file to work on.
_KERNEL = (Path("/proc"), Path("/sys"))


def check_grants(policy: Policy) -> None:
    """Refuse grants that would open what containment is for.

    Raises:
        AgentError: A granted directory does not exist, is the user's home or holds it, is a directory of the system,
            or is a symbolic link that leads out of the granted directory in which it lies.
    """
    home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - works without a home
    protected = [Path(path).resolve() for path in _NEVER] + ([home] if home != Path("/") else [])
    for given in (*policy.writable, *policy.readable, policy.home, policy.tmp):
        if not given.is_absolute():
            raise AgentError(f"A granted path must be absolute, and '{given}' is not.")
        try:
            real = given.resolve(strict=True)
        except OSError as error:
            raise AgentError(f"The granted path {given} cannot be used: {error.strerror}. Create it.") from None
        if covered(real, _KERNEL):
            raise AgentError(f"{given} belongs to the kernel, and cannot be granted.")
        for path in protected:
            if path.is_relative_to(real):
                raise AgentError(
                    f"Granting {given} would open {path} to a contained process: grant directories below it."
                )
        for around in policy.writable:
            if within(given, around) and not within(real, around.resolve()):
                raise AgentError(
                    f"The granted path {given} is a symbolic link that leads out of {around}, to {real}:"
                    " grant that directory by its own name, if it is meant."
                )


def within(path: Path, directory: Path) -> bool:
    """Whether a path is a directory or lies in it, by its text."""
    return path.is_relative_to(directory)


def covered(path: Path, directories: Iterable[Path]) -> bool:
    """Whether a path is one of these directories or lies in one."""
    return any(within(path, directory) for directory in directories)
