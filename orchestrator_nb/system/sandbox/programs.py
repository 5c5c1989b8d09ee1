"""What a program needs to be there in order to run: files outside the directories that every sandbox has.

Found by looking, without running anything: the links that lead to it, the interpreter that its first line names, the
installation that it is part of (a virtual environment, a Python, a node prefix or package, conda, Nix).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import covered

#: Directories that are there in every sandbox.
SYSTEM = (Path("/usr"), Path("/bin"), Path("/sbin"), Path("/lib"), Path("/lib32"), Path("/lib64"), Path("/libx32"))
#: Places whose whole content is programs, and from which anything may be loaded.
STORES = (Path("/nix/store"), Path("/gnu/store"), Path("/snap"))
#: Most links on the way to a file, as in the kernel.
_MAX_LINKS = 40
#: What is taken of an installation that lies where a user keeps other things too (``~/.local``).
_LIBRARY = re.compile(r"python3(\.\d+)?$|node_modules$")


@dataclass(frozen=True, slots=True)
class Needed:
    """What has to be visible, read-only."""

    #: Files and directories, by their real paths.
    paths: tuple[Path, ...] = ()
    #: Symbolic links that lead there, with what they hold.
    links: tuple[tuple[Path, str], ...] = ()


def join(several: Iterable[Needed]) -> Needed:
    """What several programs need."""
    found = list(several)
    paths = dict.fromkeys(path for needed in found for path in needed.paths)
    links = dict.fromkeys(link for needed in found for link in needed.links)
    return Needed(tuple(paths), tuple(links))


def needs(program: str, path: str, cwd: Path, untrusted: Sequence[Path] = ()) -> Needed:
    """What `program` needs outside `SYSTEM`, with the interpreters that it is run by.

    What lies in directories that contained processes may write to is not looked into: a link or a first line planted
    there would decide what else they get to see. A program in them that needs more names it as another program.

    Args:
        program: A name, looked up in `path`, or a path, from `cwd` if it is relative.
        path: The PATH that the program will have.
        cwd: The directory that it will run in.
        untrusted: Directories that contained processes may have written to, by their real paths.

    Raises:
        AgentError: There is no such program, or it is not executable.
    """
    found = cwd / program if "/" in program else Path(shutil.which(program, path=path) or "")
    if not found.is_file():
        raise AgentError(f"The program '{program}' was not found; PATH is {path}. Install it, or give its path.")
    if not os.access(found, os.X_OK):  # and so no file can be shown by calling it a program
        raise AgentError(f"'{program}' is no program: {found} is not executable. Name its interpreter, or chmod +x it.")
    return _Search(path, untrusted).of(Path(os.path.normpath(found)))


def trail(path: Path, untrusted: Sequence[Path] = ()) -> tuple[dict[Path, str], list[Path]]:
    """The symbolic links that a path leads over, with what they hold, and the paths that it stands for in turn.

    Links in `SYSTEM` are left out: they are there in every sandbox. Links in untrusted directories are not followed.
    """
    links: dict[Path, str] = {}
    steps: list[Path] = []
    for _ in range(_MAX_LINKS):
        link = next((part for part in reversed((path, *path.parents)) if part.is_symlink()), None)
        if link is None or covered(link, untrusted):
            break
        target = str(link.readlink())
        if not covered(link, SYSTEM):
            links[link] = target
        path = Path(os.path.normpath(link.parent / target / path.relative_to(link)))
        steps.append(path)
    return links, steps


class _Search:
    """Collects needs; each file is looked at once."""

    def __init__(self, path: str, untrusted: Sequence[Path]) -> None:
        self.path = path
        self.untrusted = untrusted
        self.paths: dict[Path, None] = {}
        self.links: dict[Path, str] = {}
        self.seen: set[Path] = set()

    def of(self, program: Path) -> Needed:
        self.add_program(program)
        paths = [
            path for path in self.paths if not any(path != other and other in path.parents for other in self.paths)
        ]
        return Needed(tuple(paths), tuple(self.links.items()))

    def add_program(self, program: Path) -> None:
        """Add a file that is executed, by the path that it is executed by."""
        program = self.real(program.parent) / program.name
        if program in self.seen:
            return
        self.seen.add(program)
        self.add_installation(program)  # a virtual environment's python is a link, and is told from where it lies
        for step in self.follow(program):
            self.add_installation(step)
        for interpreter in interpreters(self.real(program), self.path, self.untrusted):
            self.add_program(interpreter)

    def follow(self, path: Path) -> list[Path]:
        """The paths that a path stands for, to the real one; the links on the way are collected."""
        links, steps = trail(path, self.untrusted)
        self.links.update(links)
        return steps

    def real(self, path: Path) -> Path:
        """The real path, as far as links can be trusted."""
        return [path, *self.follow(path)][-1]

    def add_installation(self, file: Path) -> None:
        """Add what a file is part of, or the file alone."""
        if covered(file, (*SYSTEM, *self.untrusted)):
            return
        if store := next((store for store in STORES if covered(file, (store,))), None):
            self.add(store)
            return
        modules = [parent for parent in file.parents if parent.name == "node_modules"]
        if modules:
            self.add(modules[-1])
            return
        prefix = file.parent.parent
        if file.parent.name in ("bin", "sbin", "libexec"):
            self.add_prefix(prefix)
        if not covered(file, self.paths) and not file.is_symlink():
            self.add(file)

    def add_prefix(self, prefix: Path) -> None:
        """Add an installation with programs in ``bin``: all of it if it holds nothing else, else its libraries."""
        if (prefix / "pyvenv.cfg").is_file():
            self.add(prefix)
            self.add_base(prefix / "pyvenv.cfg")
            return
        library = prefix / "lib"
        known = [name for name in _names(library) if _LIBRARY.match(name)]
        if known and not _is_personal(prefix):
            self.add(prefix)
            return
        for name in known:
            self.add(library / name)

    def add_base(self, configuration: Path) -> None:
        """Add the Python that a virtual environment was made from."""
        match = re.search(r"(?m)^home\s*=\s*(.+?)\s*$", configuration.read_text("utf-8", "replace"))
        if match and (base := Path(match[1])).is_dir():
            self.add_installation(self.real(base) / "python")

    def add(self, path: Path) -> None:
        """Add a file or directory by its real path."""
        real = self.real(path)
        if real.exists() and not real.is_symlink() and not covered(real, (*SYSTEM, *self.untrusted)):
            self.paths[real] = None


def interpreters(program: Path, path: str, untrusted: Sequence[Path] = ()) -> Iterable[Path]:
    """What runs a script: the program that its first line names, and the one that ``env`` looks up for it."""
    if covered(program, untrusted) or program.is_symlink():
        return
    try:
        with program.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return
    if not first.startswith(b"#!"):
        return
    words = os.fsdecode(first[2:]).split()
    if not words:
        return
    interpreter = Path(words[0])
    if interpreter.is_file():
        yield interpreter
    if interpreter.name == "env":
        names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        if names and (found := shutil.which(names[0], path=path)):
            yield Path(found)


def _is_personal(prefix: Path) -> bool:
    """Whether a prefix is one in which people keep more than programs: a home, what holds it, or its ``.local``."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - works without a home
    return prefix.name == ".local" or prefix in (home, *home.parents)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []
