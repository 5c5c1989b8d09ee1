"""The words in which worktrees and copies speak of their work; both are used in the same way (`Places`).

A task that writes is given a `Place`; when the attempt has ended its work is collected (`Collected`), and finished
work is integrated task by task, each with an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator_nb.errors import WorkNotKept
from orchestrator_nb.worktrees.changes import Change


@dataclass(frozen=True, slots=True)
class Place:
    """Where one attempt of a task writes: a whole tree of files of its own."""

    task: str
    attempt: int
    #: The agent's label, as ``Agent-02``: its work is committed under this name.
    agent: str
    #: Top of the tree.
    path: Path
    #: The directory in it that stands for the one the plan works in.
    cwd: Path
    #: What the tree was made from: a commit, or the name of a copy.
    base: str
    #: Work that was merged into it with conflicts, for this task to resolve; empty if none.
    merging: str = ""
    #: What must be readable besides `path` for git to work in it: the objects of the user's repository.
    readable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was not taken over, and why: a pipe, a file that is too large, what lies inside of a submodule."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Base:
    """What the session's work starts from."""

    #: A commit, or the name of a copy.
    id: str
    #: Whether it holds changes of the user's that are not committed.
    dirty: bool
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """The work of one attempt, kept."""

    task: str
    attempt: int
    #: What holds it: a commit, or the name of a copy. As long as the session is there, so is this.
    work: str
    #: The commits of this attempt that changed something, along first parents, oldest first; none for copies.
    commits: tuple[str, ...]
    changes: tuple[Change, ...]
    #: What is in the place but not in `work`: while there is any, the place cannot be removed.
    left_out: tuple[LeftOut, ...] = ()
    #: What people should know: an own history that could not be taken over, hooks that the agent planted.
    notes: tuple[str, ...] = ()

    @property
    def control_files(self) -> tuple[Change, ...]:
        """The changes by which programs could be made to run: they need an approval (RELIABILITY H2)."""
        return tuple(change for change in self.changes if change.control)


@dataclass(frozen=True, slots=True)
class Finished:
    """A task whose work is to be integrated: an attempt that was collected."""

    task: str
    attempt: int
    agent: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a conflict: it is kept under this name."""

    #: A branch or ref; of copies the directory with the files that were changed last.
    name: str
    #: A commit, or the name of a copy.
    id: str
    #: The tasks whose work it is, as far as it concerns the conflict.
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """The task's work is integrated."""

    task: str
    attempt: int
    #: The merge commit, or the name of the integrated copy.
    id: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The task changed nothing: there is nothing to integrate."""

    task: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """The task's work and what is integrated already contradict each other in `paths`. Nothing was changed."""

    task: str
    attempt: int
    paths: tuple[str, ...]
    integrated: Side
    work: Side


@dataclass(frozen=True, slots=True)
class RedCheck:
    """The work could be merged, but a check fails on the result: it is not integrated."""

    task: str
    attempt: int
    #: What the check said.
    reason: str
    integrated: Side
    work: Side
    #: The merged state on which the check failed: a ref; empty for copies.
    merged: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The task's work waits: tasks that it builds upon are not integrated."""

    task: str
    attempt: int
    on: tuple[str, ...]


Outcome = Merged | Unchanged | Conflict | RedCheck | Waiting

#: Looks at the integrated tree after a merge: (its directory, what was merged) -> what is wrong, or "" if nothing is.
Check = Callable[[Path, Merged], str]


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A place on disk, and whether removing it would lose anything."""

    task: str
    attempt: int
    path: Path
    #: All that is in it is kept as collected work.
    clean: bool
    #: That work is integrated.
    merged: bool
    #: Why it is not clean, or cannot be looked at.
    reason: str = ""


def check_clean(found: LeftOver) -> None:
    """Raise `WorkNotKept` if removing the place would lose something."""
    if not found.clean:
        raise WorkNotKept(
            f"{found.path} is not removed: {found.reason}; collect the work of task {found.task}, "
            "or save what you need and delete the directory"
        )


class Places(Protocol):
    """Where the tasks of a session write. Methods block; they may be called from several threads."""

    @property
    def base(self) -> Base:
        """What the session's work starts from; it is recorded when it is first asked for."""

    def open(self, task: str, attempt: int, agent: str, after: Sequence[str] = ()) -> Place:
        """Make the attempt's place, or find it again; `after` are the tasks whose work it builds upon."""

    def carry_on(self, place: Place, attempt: int) -> Place:
        """Let another attempt go on in the same directory; what the earlier one did there is collected first."""

    def collect(self, place: Place, title: str = "") -> Collected:
        """Keep what is in the place, and say what changed. The attempt's processes must have ended."""

    def integrate(
        self, finished: Sequence[Finished], dependencies: Mapping[str, Sequence[str]], check: Check | None = None
    ) -> list[Outcome]:
        """Bring finished work together, in the order of the dependencies."""

    def open_conflict(self, conflict: Conflict | RedCheck, task: str, attempt: int, agent: str) -> Place:
        """Make a place in which `task` resolves a conflict; collected and integrated, it frees what waited."""

    def set_aside(self, task: str, attempt: int) -> None:
        """Give up a place that was made for an attempt which is to begin anew: its files are kept beside it."""

    def left_over(self) -> list[LeftOver]:
        """The places that are on disk."""

    def remove(self, place: Place) -> None:
        """Remove a place whose work is kept; raises `WorkNotKept` if some is not."""

    def prune(self) -> list[LeftOver]:
        """Remove the places that are clean and merged; returns the others."""
