"""What an attempt of a coding agent was given to work on, what it changed, and how that is done again without it."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.agents.coding.disputes import read_dispute
from orchestrator_nb.agents.coding.integrating import writes
from orchestrator_nb.agents.coding.options import options_of
from orchestrator_nb.agents.coding.working import Harvest, Workplace, harvest, session_places, workplace_for
from orchestrator_nb.core.ports import Assignment
from orchestrator_nb.errors import CassetteError, OrchestratorError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees.changes import leads_out
from orchestrator_nb.worktrees.worktrees import Worktrees

#: Most bytes of a changed file that is recorded.
MOST_BYTES = 256 << 20
#: Exit codes of ``git merge-file``: none, or so many conflicts; more are errors.
_MERGED = range(128)


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that an attempt changed, with all that it holds."""

    path: str
    #: What it holds now; None: it is gone, or is a link to `link`.
    content: bytes | None = None
    #: What it held before, where that is known; and the hash of that, empty if there was no such file.
    before: bytes | None = None
    was: str = ""
    executable: bool = False
    link: str = ""


def files_given(assignment: Assignment, without: Path) -> dict[str, str]:
    """The files that the session's agents are given: their identity by path. Blocking.

    Args:
        assignment: The attempt.
        without: A directory that does not count: the cassette itself.

    Raises:
        WorktreeError: git or the disk refuses.
    """
    places = session_places(assignment)
    if writes(options_of(assignment.work.parameters, assignment.work.agent or "coding")):
        _ = places.base  # it is made now, and all see the same
    top = places.repository.top if isinstance(places, Worktrees) else places.directory
    listed = places.listing()
    if not without.is_relative_to(top):
        return listed
    hidden = without.relative_to(top).as_posix()
    return {path: facts for path, facts in listed.items() if path != hidden and not path.startswith(f"{hidden}/")}


def changed_files(assignment: Assignment) -> tuple[list[FileChange], bool]:
    """What the attempt changed, and whether it went on in the place of an earlier one. Blocking.

    Raises:
        CassetteError: A file is too large to be recorded.
        WorktreeError: The place is gone.
    """
    if not writes(options_of(assignment.work.parameters, assignment.work.agent or "coding")):
        return [], False
    settles = read_dispute(assignment) is not None
    workplace = workplace_for(assignment, own=True)
    assert workplace.place is not None
    assert workplace.places is not None
    changes = workplace.places.collect(workplace.place, assignment.task.label).changes
    found = [_changed(workplace, change.path, settles) for change in changes]
    return found, workplace.place.path.name != str(assignment.attempt)


def _changed(workplace: Workplace, path: str, settles: bool) -> FileChange:
    place, places = workplace.place, workplace.places
    assert place is not None
    before = places.content(place.base, path) if isinstance(places, Worktrees) and not settles else None
    was = hashlib.sha256(before).hexdigest() if before is not None else ""
    if places is not None and not isinstance(places, Worktrees) and not settles:
        entry = places.given(place).get(path)
        was = entry.content if entry is not None and entry.kind == "file" else ""
    here = place.path / path
    try:
        found = here.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return FileChange(path, None, before, was)
    if stat.S_ISLNK(found.st_mode):
        return FileChange(path, None, before, was, link=os.readlink(here))  # noqa: PTH115 - kept as it is
    if not stat.S_ISREG(found.st_mode):
        return FileChange(path, None, before, was)
    content = Root(place.path).read_bytes(path, MOST_BYTES)
    return FileChange(path, content, before, was, bool(found.st_mode & 0o100))


def redo(
    assignment: Assignment, changes: Collection[FileChange], earlier: int | None, names: Collection[str]
) -> Harvest:
    """Change the same files in a place of the attempt, and keep that work as the agent's. Blocking.

    Args:
        assignment: The attempt.
        changes: What is to be changed.
        earlier: The attempt in whose place it goes on, if it does.
        names: Of files that programs obey (`cli.control_names`).

    Raises:
        CassetteError: A path leads out of the place, or a file is another one than was changed and cannot be merged.
        WorktreeError: There is no place to be had.
    """
    if not writes(options_of(assignment.work.parameters, assignment.work.agent or "coding")):
        if changes:
            raise CassetteError(f"the cassette changes files, but task '{assignment.task.id}' may not write")
        return Harvest()
    for change in changes:
        _check(change)
    dispute = read_dispute(assignment)
    earlier = dispute.place if dispute is not None else earlier
    workplace = workplace_for(assignment, own=True, earlier=earlier, anew=earlier is None)
    root = Root(workplace.top)
    for change in changes:
        try:
            _redo(root, change, workplace, merging=dispute is None)
        except OrchestratorError as error:
            raise CassetteError(f"the recorded change of {change.path} cannot be made here: {error}") from error
    return harvest(workplace, (), assignment.task.label, names)


def _check(change: FileChange) -> None:
    """Raise `CassetteError` for what no agent's work can be."""
    parts = change.path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in change.path:
        raise CassetteError(f"the cassette changes {change.path!r}, which is no file of the tree: it was tampered with")
    if change.link and leads_out(change.path, change.link):
        raise CassetteError(f"the cassette makes {change.path!r} a link out of the tree (to {change.link!r})")


def _redo(root: Root, change: FileChange, workplace: Workplace, *, merging: bool) -> None:
    path, now = change.path, _content(root, change.path)
    content = change.content
    if merging and now is not None and now != content and hashlib.sha256(now).hexdigest() != change.was:
        content = _merged(workplace, change, now)
    if change.link or content is None:
        root.remove(path)
    if change.link:
        root.make_dir(path.rpartition("/")[0]) if "/" in path else None
        (root.path / path).symlink_to(change.link)
    elif content is not None:
        if (root.path / path).is_symlink() or (root.path / path).is_dir():
            root.remove(path)
        root.write_atomic(path, content)
        (root.path / path).chmod(0o755 if change.executable else 0o644)


def _content(root: Root, path: str) -> bytes | None:
    """What a regular file holds; None if there is none."""
    here = root.path / path
    return root.read_bytes(path, MOST_BYTES) if here.is_file() and not here.is_symlink() else None


def _merged(workplace: Workplace, change: FileChange, now: bytes) -> bytes:
    """The recorded change made to a file that others have changed otherwise than when it was recorded."""
    other = CassetteError("others have changed it otherwise than when it was recorded: refresh the task")
    if change.content is None or change.before is None or not isinstance(workplace.places, Worktrees):
        raise other
    with tempfile.TemporaryDirectory(prefix="orchestrate-merge-") as directory:
        files = []
        for name, data in (("now", now), ("before", change.before), ("recorded", change.content)):
            files.append(Path(directory, name))
            files[-1].write_bytes(data)
        code, merged = workplace.places.repository.git.ask("merge-file", "-p", *map(str, files), ok=_MERGED)
    if code != 0:
        raise other
    return merged


def tree_hash(listed: dict[str, str]) -> tuple[str, str]:
    """The hash of files by path, and their list as text, a line each."""
    text = "".join(f"{facts}\t{path}\n" for path, facts in sorted(listed.items()))
    raw = os.fsencode(text)
    return hashlib.sha256(raw).hexdigest(), raw.decode("utf-8", "replace")


def changes_hash(changes: Collection[FileChange]) -> str:
    """The hash of all changed files, whatever their order."""
    told = sorted(
        f"{change.path}\0{change.link}\0{change.executable}\0"
        f"{hashlib.sha256(change.content).hexdigest() if change.content is not None else ''}"
        for change in changes
    )
    return hashlib.sha256(os.fsencode("\n".join(told))).hexdigest()
