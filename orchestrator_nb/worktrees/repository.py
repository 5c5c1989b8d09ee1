"""The user's repository: what is read of it. Only refs of ours and objects are ever written there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator_nb.errors import GitUnusable, UnsupportedRepository
from orchestrator_nb.worktrees.git import Git, split

#: Settings of the user's that decide how files are read and written, and can start nothing.
_INERT = ("autocrlf", "bigfilethreshold", "eol", "filemode", "ignorecase", "precomposeunicode", "sharedrepository",
          "symlinks")  # fmt: skip
_WANTED = rf"^(core\.({'|'.join(_INERT)}|sparsecheckout)|extensions\..*|remote\..*\.promisor)$"
_PLAIN = re.compile(r"[A-Za-z0-9]{0,20}")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a checkout, as the user has it."""

    #: git with this repository: for its refs, and for nothing that touches files.
    git: Git
    #: Top of the checkout, and the path in it (``src/app``; "" at the top) that was asked for.
    top: Path
    prefix: str
    git_dir: Path
    #: Where its refs and settings are: `git_dir`, unless the checkout is a linked worktree.
    common: Path
    objects: Path
    #: ``sha1`` or ``sha256``.
    object_format: str
    #: Settings of the user's that places share, under ``core``.
    settings: Mapping[str, str]
    #: What the user ignores besides ``.gitignore`` files.
    exclude: bytes
    #: The file ``info/attributes``: how the user has some files read and written.
    attributes: bytes
    #: The file ``shallow`` of a shallow clone.
    shallow: bytes

    @property
    def all_objects(self) -> tuple[Path, ...]:
        """Its objects, and the directories whose objects it borrows itself (gitrepository-layout(5))."""
        found = [self.objects]
        for directory in found:
            for line in os.fsdecode(_content(directory / "info" / "alternates")).splitlines():
                path = (directory / line).resolve()
                if line and not line.startswith(("#", '"')) and path not in found:
                    found.append(path)
        return tuple(found)

    @property
    def nothing(self) -> str:
        """The id that stands for no object."""
        return "0" * (64 if self.object_format == "sha256" else 40)

    def ref(self, name: str) -> str:
        """The commit that a ref names; "" if there is no such ref."""
        return os.fsdecode(self.git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", ok=(0, 1))).strip()

    def refs(self, prefix: str) -> dict[str, str]:
        """The refs below `prefix`, with what they name."""
        lines = os.fsdecode(self.git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix)).splitlines()
        return {name: found for found, _, name in (line.partition(" ") for line in lines)}

    def set_ref(self, name: str, new: str, old: str = "") -> None:
        """Let a ref name `new`; it must have named `old` ("" means that there was none). Raises `GitUnusable`."""
        self.git.run("update-ref", "--no-deref", name, new, old or self.nothing)

    def delete_ref(self, name: str, old: str) -> None:
        """Delete a private ref that names `old`."""
        self.git.run("update-ref", "--no-deref", "-d", name, old)

    def force_ref(self, name: str, new: str) -> None:
        """Let a private ref name `new`, whatever it named."""
        self.git.run("update-ref", "--no-deref", name, new)


def find_repository(directory: Path, git: Git) -> Repository | None:
    """The repository whose checkout `directory` lies in; None if it lies in none.

    Shallow clones, linked worktrees and checkouts of submodules can be worked in; submodules in it stay empty
    directories, and files that a filter keeps (LFS) are what is committed of them.

    Raises:
        UnsupportedRepository: It is bare, has no commit, is checked out sparsely, a partial clone, in the middle of a
            merge, owned by somebody else, or `directory` lies in its ``.git``.
        GitUnusable: git fails otherwise.
    """
    user = replace(as_the_user(git), cwd=directory)
    try:
        git_dir = Path(user.word("rev-parse", "--absolute-git-dir"))
    except GitUnusable as error:
        if "not a git repository" in str(error):
            return None
        if "dubious ownership" in str(error):
            remedy = f"if you trust it: git config --global --add safe.directory {directory}"
            raise UnsupportedRepository(f"the repository of {directory} belongs to another user; {remedy}") from error
        raise
    if user.word("rev-parse", "--is-inside-work-tree") != "true":
        bare = user.word("rev-parse", "--is-bare-repository") == "true"
        what = "a bare repository: clone it, and work in the clone" if bare else "inside of a .git: go to the checkout"
        raise UnsupportedRepository(f"agents need files to work on, and {directory} is {what}")
    top = Path(user.word("rev-parse", "--show-toplevel"))
    settings = _settings(user)
    _refuse(top, settings)
    common = Path(directory, user.word("rev-parse", "--git-common-dir"))
    found = Repository(
        git=git.within(git_dir=git_dir),
        top=top,
        prefix=user.word("rev-parse", "--show-prefix").rstrip("/"),
        git_dir=git_dir,
        common=common,
        objects=Path(directory, user.word("rev-parse", "--git-path", "objects")).resolve(),
        object_format=settings.get("extensions.objectformat", "sha1"),
        settings={
            name: value
            for name in _INERT
            if (value := settings.get(f"core.{name}")) is not None and _PLAIN.fullmatch(value)
        },
        exclude=_excluded(user, common),
        attributes=_content(common / "info" / "attributes"),
        shallow=_content(common / "shallow"),
    )
    if not found.ref("HEAD"):
        remedy = 'commit something first (git commit --allow-empty -m "Start")'
        raise UnsupportedRepository(f"{top} has no commit yet, so there is nothing to start from: {remedy}")
    if split(found.git.run("ls-files", "-u", "-z")):
        raise UnsupportedRepository(f"{top} has unmerged files: finish the merge, or abort it (git merge --abort)")
    return found


def as_the_user(git: Git) -> Git:
    """Git with the user's own settings: to find the repository and read what is set, nothing else."""
    environment = {name: value for name, value in git.environment.items() if name not in _OURS}
    own = {name: value for name in (*_OURS, "GIT_CONFIG_SYSTEM") if (value := os.environ.get(name)) is not None}
    return replace(git, environment={**environment, **own})


_OURS = ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")


def _settings(user: Git) -> dict[str, str]:
    found = {}
    for item in split(user.run("config", "-z", "--get-regexp", _WANTED, ok=(0, 1))):
        name, separator, value = item.partition("\n")
        found[name] = value if separator else "true"
    return found


def _refuse(top: Path, settings: Mapping[str, str]) -> None:
    if settings.get("core.sparsecheckout", "false").lower() not in ("false", "no", "off", "0", ""):
        raise UnsupportedRepository(f"{top} is checked out sparsely: git sparse-checkout disable, or work in a clone")
    if "extensions.partialclone" in settings or any(name.endswith(".promisor") for name in settings):
        raise UnsupportedRepository(f"{top} is a partial clone, which would fetch while agents work: make a full clone")
    if settings.get("extensions.objectformat", "sha1") not in ("sha1", "sha256"):
        raise UnsupportedRepository(f"{top} has objects of the format {settings['extensions.objectformat']!r}")


def _excluded(user: Git, common: Path) -> bytes:
    """What the user ignores everywhere, then what this repository does: the later wins (gitignore(5))."""
    named = os.fsdecode(user.run("config", "--path", "--get", "core.excludesFile", ok=(0, 1))).rstrip("\n")
    if not named:
        home = os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME", "/"), ".config")
        named = str(Path(home, "git", "ignore"))
    return _content(Path(user.cwd, named)) + b"\n" + _content(common / "info" / "exclude") + b"\n"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""
