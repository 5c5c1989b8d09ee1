"""Where a coding agent works: a place of its own if it may write, else the directory itself, to look at only.

What it does to files that other programs obey is noticed, and told.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from weakref import WeakValueDictionary

from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.ports import Assignment
from orchestrator_nb.errors import WorktreeError
from orchestrator_nb.system.sandbox.control_files import ControlChange
from orchestrator_nb.worktrees.changes import Change
from orchestrator_nb.worktrees.choosing import places_for
from orchestrator_nb.worktrees.copies import Copies
from orchestrator_nb.worktrees.places import Place
from orchestrator_nb.worktrees.worktrees import Worktrees

_lock = threading.Lock()
#: One object a session, as several agents use it at once.
_places: WeakValueDictionary[Path, Worktrees | Copies] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where an attempt works."""

    cwd: Path
    #: Its own place; None for one that only looks.
    place: Place | None = None
    places: Worktrees | Copies | None = None

    @property
    def top(self) -> Path:
        """The whole tree of files that is there."""
        return self.place.path if self.place else self.cwd

    @property
    def is_repository(self) -> bool:
        """Whether what changes in it is committed."""
        return isinstance(self.places, Worktrees)


def workplace_for(assignment: Assignment, *, own: bool, earlier: int | None = None, anew: bool = False) -> Workplace:
    """Make the place of an attempt, or find it again. Blocking.

    Args:
        assignment: The attempt.
        own: Whether it gets files of its own: it may write.
        earlier: The attempt in whose place it goes on, if it does; that place must be there.
        anew: Whether it begins its task: two sides that were laid together under its number are put aside.

    Raises:
        WorktreeError: There is no place to be had: the message says why.
        StorageError: The session's directory cannot be written.
    """
    cwd = Path(assignment.cwd)
    if not own:
        return Workplace(cwd)
    places, task, agent = session_places(assignment), assignment.task.id, agent_label(assignment.number)
    ancestors = assignment.run.ancestors
    after = assignment.task.upstream if ancestors is None else ancestors(task)
    if earlier is None or earlier == assignment.attempt:
        place = places.open(task, assignment.attempt, agent, after)
        if anew and place.merging:
            places.set_aside(task, assignment.attempt)
            place = places.open(task, assignment.attempt, agent, after)
    else:
        place = places.carry_on(places.open(task, earlier, agent, after), assignment.attempt)
    inside = Path(os.path.normpath(place.cwd / os.path.relpath(cwd, assignment.run.cwd)))
    if not inside.is_relative_to(place.path):
        raise WorktreeError(
            f"task '{assignment.task.id}' is to write in {cwd}, outside of the files that the plan works on"
            f" ({assignment.run.cwd}): start the run there, or name it in `directories`"
        )
    if not inside.is_dir():
        raise WorktreeError(f"the directory to run in does not exist in {place.path}: {inside.relative_to(place.path)}")
    return Workplace(inside, place, places)


def session_places(assignment: Assignment) -> Worktrees | Copies:
    """The places of the attempt's session. Blocking. Raises as `places_for`."""
    session = Path(assignment.run.directory)
    with _lock:
        places = _places.get(session)
        if places is None:
            places = _places[session] = places_for(Path(assignment.run.cwd), session, assignment.run.session)
        return places


@dataclass(frozen=True, slots=True)
class Harvest:
    """What an attempt left in its place."""

    commits: tuple[str, ...] = ()
    #: For people: files that programs obey and that changed, what is not kept.
    warnings: tuple[str, ...] = ()
    #: The files that it changed.
    changes: tuple[Change, ...] = ()


def harvest(workplace: Workplace, changes: Sequence[ControlChange], title: str, more: Collection[str] = ()) -> Harvest:
    """Keep the attempt's work. Blocking; its processes have ended.

    Args:
        workplace: Where it worked.
        changes: The files that other programs obey and that are not as they were (`ControlGuard.end`).
        title: Of the task.
        more: Names of such files besides those that everybody knows (`cli.control_names`).

    Raises:
        WorktreeError: The place is gone, or cannot be read.
        StorageError: The disk refuses.
    """
    if workplace.place is None or workplace.places is None:
        return Harvest((), tuple(map(_obeyed, changes)))
    collected = workplace.places.collect(workplace.place, title)
    obeyed = [change for change in collected.changes if change.control or _has_part(change.path, more)]
    told = [f"{change.path} {change.kind}" for change in obeyed]
    top, known = workplace.place.path.resolve(), {change.path for change in obeyed}
    told += [str(change) for change in changes if not _is_known(change.path, top, known)]
    left = [f"not kept: {left.path} ({left.reason})" for left in collected.left_out]
    return Harvest(collected.commits, (*map(_obeyed, told), *left, *collected.notes), collected.changes)


def _obeyed(change: object) -> str:
    return f"a file that other programs obey is not as it was: {change}; look at it before you run anything there"


def _has_part(path: str, names: Collection[str]) -> bool:
    return any(part in names for part in path.split("/"))


def _is_known(path: Path, top: Path, known: Collection[str]) -> bool:
    """Whether a change in the place is told already, or is in the ``.git`` that is made anew. What git ignores is not.

    The directories on the way to what is told are not told either.
    """
    if not path.is_relative_to(top):
        return False
    relative = path.relative_to(top)
    return relative.parts[:1] == (".git",) or any(PurePosixPath(one).is_relative_to(relative) for one in known)
