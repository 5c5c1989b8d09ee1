"""Copies for the tasks of a session that works outside of git: each attempt writes in a directory of its own.

Work is kept as the files that changed, with a manifest; it comes together in steps, each a whole directory::

    worktrees/steps/0000 ...                       what the session started from
    worktrees/steps/0002+<task>+<attempt>          the second task's work on top of the first's
    worktrees/tasks/<task>/<attempt>               where an attempt writes
    worktrees/tasks/<task>/<attempt>.work          what it made of it

A step or a work counts once its ``.json`` is there, which is written last; everything else is made anew after a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from orchestrator_nb.errors import WorktreeError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees import naming
from orchestrator_nb.worktrees.changes import Change, Kind, is_control, leads_out
from orchestrator_nb.worktrees.copying import (
    CopyLimits,
    Entry,
    Manifest,
    apply,
    copy_tree,
    differences,
    line_counts,
    merged,
    read_manifest,
    scan,
    write_manifest,
)
from orchestrator_nb.worktrees.directories import discard, disk, free_name, is_directory, remove_tree, sweep
from orchestrator_nb.worktrees.integration import outcomes_in_order
from orchestrator_nb.worktrees.places import (
    Base,
    Check,
    Collected,
    Conflict,
    Finished,
    LeftOver,
    Merged,
    Outcome,
    Place,
    RedCheck,
    Side,
    Unchanged,
    check_clean,
)


class Copies:
    """The copies of one session. Methods block; they may be called from several threads of one process."""

    def __init__(self, directory: Path, session_dir: Path, session: str, limits: CopyLimits | None = None) -> None:
        """Take `directory`; everything on disk is put below ``session_dir/worktrees``.

        Raises:
            WorktreeError: `directory` is none.
            StorageError: The session's directory cannot be written.
        """
        self.session = naming.checked_session(session)
        self.directory = directory.absolute()
        self.root = session_dir.absolute() / "worktrees"
        self._skipped = (session_dir.absolute(), session_dir.absolute().parent)
        self._limits = limits or CopyLimits()
        self._lock = threading.RLock()
        self._merging = threading.Lock()  # held while checks run: places are made meanwhile
        if not self.directory.is_dir():
            raise WorktreeError(f"{directory} is no directory that agents could work on")
        with disk("make", self.root):
            for name in ("steps", "tasks"):
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    # -- places --------------------------------------------------------------------------------------------------------

    @property
    def base(self) -> Base:
        """The copy that the session starts from; it is made when it is first asked for.

        Raises `WorktreeError` if the directory is too large to be copied.
        """
        with self._lock:
            if (self.root / "steps" / "0000.json").exists():
                return Base("0000", False)
            found = scan(self.directory, self._limits, self._skipped)
            directory = self.root / "steps" / "0000"
            remove_tree(directory)
            copy_tree(self.directory, directory, found.manifest)
            write_manifest(directory.with_suffix(".json"), scan(directory, self._limits).manifest, self._write)
            return Base("0000", False, found.left_out)

    @property
    def tip(self) -> Path:
        """The directory in which finished work has been brought together."""
        return self.root / "steps" / self._tip()

    def open(self, task: str, attempt: int, agent: str, after: Sequence[str] = ()) -> Place:
        """Make the place of an attempt, or find it again as it is; see `Worktrees.open`."""
        with self._lock:
            done = {task for _, task, _ in self._integrated()} if after else set()
            return self._open(task, attempt, agent, self._tip() if done.intersection(after) else self.base.id)

    def open_conflict(self, conflict: Conflict | RedCheck, task: str, attempt: int, agent: str) -> Place:
        """Make a place in which `task` resolves a conflict, or mends what a check found.

        It holds what is integrated, and of the other side what does not contradict it; the files as the other side has
        them lie in the directory `Place.readable` names.
        """
        with self._lock:
            return self._open(task, attempt, agent, self._tip(), f"{naming.one_name(conflict.task)}+{conflict.attempt}")

    def listing(self) -> dict[str, str]:
        """What the session starts from: kind, mode and content of each path; nothing is copied for that."""
        first = self.root / "steps" / "0000.json"
        found = read_manifest(first) if first.exists() else scan(self.directory, self._limits, self._skipped).manifest
        return {path: f"{entry.kind} {entry.mode:o} {entry.content}" for path, entry in found.items()}

    def given(self, place: Place) -> Manifest:
        """What an attempt was given in its place."""
        return read_manifest(self._files(place.task, place.attempt)("base.json"))

    def set_aside(self, task: str, attempt: int) -> None:
        """Give up a place that was made for an attempt which is to begin anew: its files are kept beside it."""
        files, path = self._files(task, attempt), self.root / "tasks" / naming.one_name(task) / str(attempt)
        with self._lock, disk("move", path):
            if is_directory(path):
                path.rename(free_name(path))
            for name in ("origin", "merging", "base.json"):
                files(name).unlink(missing_ok=True)

    def carry_on(self, place: Place, attempt: int) -> Place:
        """Let another attempt go on in the same directory; what the earlier one did there is collected first."""
        earlier, later = self._files(place.task, place.attempt), self._files(place.task, attempt)
        if not later("base.json").exists():
            self.collect(place)
            for name in ("origin", "merging"):
                if earlier(name).exists():
                    self._write(later(name), earlier(name).read_bytes())
            self._write(later("continues"), self._path(place.task, place.attempt).name.encode())
            write_manifest(later("base.json"), read_manifest(earlier("work.json")), self._write)
        return replace(place, attempt=attempt)

    def collect(self, place: Place, title: str = "") -> Collected:
        """Keep the files that changed in the place, and say what changed. The attempt's processes must have ended.

        Raises:
            WorktreeError: The place is gone, or has become too large.
        """
        path = self._path(place.task, place.attempt)
        if not is_directory(path):
            raise WorktreeError(f"the copy of task {place.task}, {path}, is gone: run the task again")
        found = scan(path, self._limits)
        files = self._files(place.task, place.attempt)
        origin = self._step(files("origin").read_text("ascii"))
        if not files("work.json").exists() or read_manifest(files("work.json")) != found.manifest:
            files("work.json").unlink(missing_ok=True)
            self._keep(path, files("work"), differences(origin, found.manifest), found.manifest)
            write_manifest(files("work.json"), found.manifest, self._write)
        old = self.root / "steps" / files("origin").read_text("ascii")
        changes = _changes(read_manifest(files("base.json")), found.manifest, old, path)
        return Collected(place.task, place.attempt, str(files("work")), (), changes, found.left_out)

    # -- integration ---------------------------------------------------------------------------------------------------

    def integrate(
        self, finished: Sequence[Finished], dependencies: Mapping[str, Sequence[str]], check: Check | None = None
    ) -> list[Outcome]:
        """Bring finished work together, file by file, a step for each task; see `Worktrees.integrate`.

        A file that two sides changed differently is a conflict: contents are not merged.
        """
        with self._merging:
            return outcomes_in_order(
                finished, dependencies, lambda item: self._integrate(item, check), lambda item: self._merged(item) != ""
            )

    def _integrate(self, item: Finished, check: Check | None) -> Outcome:
        files = self._files(item.task, item.attempt)
        if not files("work.json").exists():
            raise WorktreeError(f"the work of task {item.task}, attempt {item.attempt}, was not collected: collect it")
        origin = self._step(files("origin").read_text("ascii"))
        work = read_manifest(files("work.json"))
        tip = self._tip()
        if step := self._merged(item):
            return Merged(item.task, item.attempt, step)
        if origin == work:
            return Unchanged(item.task, item.attempt)
        before = self._step(tip)
        after, conflicts = merged(origin, before, work)
        theirs = Side(str(files("work")), files("work").name, (item.task,))
        if conflicts:
            return Conflict(item.task, item.attempt, tuple(conflicts), self._side(tip, conflicts), theirs)
        step = f"{int(tip[:4]) + 1:04}+{naming.one_name(item.task)}+{item.attempt}"
        changes = _changes(before, after, self.root / "steps" / tip, files("work"))
        candidate = Merged(item.task, item.attempt, step, changes)
        if check is not None:
            trial = self.root / "trial"
            self._build(trial, tip, after, files("work"))
            reason = check(trial, candidate)
            remove_tree(trial)
            if reason:
                return RedCheck(item.task, item.attempt, reason, self._side(tip, None), theirs)
        directory = self.root / "steps" / step
        self._build(directory, tip, after, files("work"))
        with self._lock:
            write_manifest(directory.with_name(f"{step}.json"), after, self._write)
            for earlier in self._steps()[1:-1]:
                remove_tree(self.root / "steps" / earlier)
        return candidate

    def _side(self, tip: str, paths: Sequence[str] | None) -> Side:
        """What is integrated: who changed `paths` (None: anything), and the kept work of the last who did."""
        tasks = []
        directory = self.root / "steps" / "0000"
        for earlier, later in pairwise(self._steps()):
            touched = differences(self._step(earlier), self._step(later))
            if paths is None or set(touched).intersection(paths):
                name, _, attempt = later[5:].rpartition("+")
                directory = self.root / "tasks" / name / f"{attempt}.work"
                tasks.append(naming.task_of(name))
        return Side(str(directory), tip, tuple(tasks))

    # -- cleaning up ---------------------------------------------------------------------------------------------------

    def left_over(self) -> list[LeftOver]:
        """The places that are on disk, by task and attempt."""
        places = [path for path in (self.root / "tasks").glob("*/*") if path.name.isdigit() and is_directory(path)]
        return [self._look(naming.task_of(path.parent.name), path) for path in sorted(places)]

    def remove(self, place: Place) -> None:
        """Remove a place whose work is kept. Raises `WorkNotKept` if there is work in it that was not collected."""
        path = self._path(place.task, place.attempt)
        if is_directory(path):
            self._remove(self._look(place.task, path))

    def prune(self) -> list[LeftOver]:
        """Remove the places that are clean and merged; returns the others. No attempt may be running."""
        others = []
        for found in self.left_over():
            if found.clean and found.merged:
                self._remove(found)
            else:
                others.append(found)
        sweep((self.root / "tasks").glob("*"))
        return others

    def _remove(self, found: LeftOver) -> None:
        check_clean(found)
        discard(found.path)

    def _look(self, task: str, path: Path) -> LeftOver:
        """Whether all that is in a directory is kept; the last attempt that worked there counts."""
        attempt = int(path.name)
        for link in path.parent.glob("*.continues"):
            if link.read_text("ascii") == path.name:
                attempt = max(attempt, int(link.name.partition(".")[0]))
        work = path.parent / f"{attempt}.work.json"
        reason = "its work was not collected"
        merged_already = False
        if work.exists():
            kept = read_manifest(work)
            try:
                found = scan(path, self._limits)
                reason = "" if found.manifest == kept else "it has changes that were not collected"
                if found.left_out:
                    reason = f"{found.left_out[0].path!r} in it could not be kept ({found.left_out[0].reason})"
            except WorktreeError as error:
                reason = str(error)
            unchanged = kept == self._step(path.with_name(f"{attempt}.origin").read_text("ascii"))
            merged_already = unchanged or (task, attempt) in {(one, number) for _, one, number in self._integrated()}
        return LeftOver(task, attempt, path, not reason, merged_already, reason)

    # -- places and steps on disk --------------------------------------------------------------------------------------

    def _open(self, task: str, attempt: int, agent: str, step: str, merging: str = "") -> Place:
        files = self._files(task, naming.checked_attempt(attempt))
        path = self._path(task, attempt)
        if is_directory(path):
            step = files("origin").read_text("ascii")
            merging = files("merging").read_text("ascii") if files("merging").exists() else ""
        elif files("work.json").exists():
            raise WorktreeError(
                f"the copy of task {task}, attempt {attempt}, was removed after its work was kept: "
                "start another attempt"
            )
        else:
            self._make_place(path, step, merging)
        readable = (self._other_side(merging),) if merging else ()
        return Place(task, attempt, agent, path, path, step, merging, readable)

    def _make_place(self, path: Path, step: str, merging: str) -> None:
        content = self._step(step)
        temporary = path.with_name(f"{path.name}.new")
        remove_tree(temporary)
        copy_tree(self.root / "steps" / step, temporary, content)
        if merging:
            other = self._other_side(merging)
            theirs = self._step(other.with_suffix(".origin").read_text("ascii"))
            after, _ = merged(theirs, content, read_manifest(other.with_suffix(".work.json")))
            apply(temporary, content, after, other)
            self._write(path.with_name(f"{path.name}.merging"), merging.encode())
        self._write(path.with_name(f"{path.name}.origin"), step.encode())
        write_manifest(path.with_name(f"{path.name}.base.json"), content, self._write)
        with disk("make", path):
            temporary.rename(path)

    def _other_side(self, merging: str) -> Path:
        name, _, attempt = merging.rpartition("+")
        return self.root / "tasks" / name / f"{attempt}.work"

    def _build(self, directory: Path, tip: str, after: Manifest, source: Path) -> None:
        """Make a directory that holds `after`: the tip's files, and the others from `source`."""
        temporary = directory.with_name(f"{directory.name}.new")
        remove_tree(temporary)
        remove_tree(directory)
        before = self._step(tip)
        copy_tree(self.root / "steps" / tip, temporary, before)
        apply(temporary, before, after, source)
        with disk("make", directory):
            temporary.rename(directory)

    def _keep(self, path: Path, work: Path, changed: Sequence[str], manifest: Manifest) -> None:
        """Copy the files that changed, so that nothing that happens to the place changes them."""
        temporary = work.with_name(f"{work.name}.new")
        remove_tree(temporary)
        kept: dict[str, Entry] = {name: manifest[name] for name in changed if name in manifest}
        for name in list(kept):
            for parent in Path(name).parents:
                kept.setdefault(parent.as_posix(), Entry("directory"))
        kept.pop(".", None)
        copy_tree(path, temporary, kept)
        remove_tree(work)
        with disk("write", work):
            temporary.rename(work)

    def _integrated(self) -> list[tuple[str, str, int]]:
        """The attempts whose work is integrated, with the step: also those whose conflict another one resolved."""
        found = []
        for step in self._steps()[1:]:
            name, _, attempt = step[5:].rpartition("+")
            found.append((step, naming.task_of(name), int(attempt)))
            merging = self.root / "tasks" / name / f"{attempt}.merging"
            if merging.exists():
                name, _, attempt = merging.read_text("ascii").rpartition("+")
                found.append((step, naming.task_of(name), int(attempt)))
        return found

    def _merged(self, item: Finished) -> str:
        """The step with which an attempt's work was integrated; "" if it was not."""
        one = (naming.task_of(naming.one_name(item.task)), item.attempt)
        return next((step for step, *who in self._integrated() if tuple(who) == one), "")

    def _steps(self) -> list[str]:
        """The steps that count, oldest first."""
        return sorted(path.stem for path in (self.root / "steps").glob("[0-9]*.json"))

    def _tip(self) -> str:
        return self._steps()[-1] if self._steps() else self.base.id

    def _step(self, step: str) -> dict[str, Entry]:
        return read_manifest(self.root / "steps" / f"{step}.json")

    def _files(self, task: str, attempt: int) -> Callable[[str], Path]:
        directory = self.root / "tasks" / naming.one_name(task)
        return lambda name: directory / f"{attempt}.{name}"

    def _path(self, task: str, attempt: int) -> Path:
        """Where an attempt works: a directory of its own, or that of the attempt with which this one carries on."""
        continues = self._files(task, attempt)("continues")
        return continues.with_name(continues.read_text("ascii") if continues.exists() else str(attempt))

    def _write(self, path: Path, data: bytes) -> None:
        Root(self.root).write_atomic(path.relative_to(self.root).as_posix(), data, sync=True)


def _changes(before: Manifest, after: Manifest, old: Path, new: Path) -> tuple[Change, ...]:
    """What differs between two manifests; lines are counted in the directories `old` and `new`, where they have it."""
    found = []
    for path in differences(before, after):
        one, two = before.get(path), after.get(path)
        if {one, two} <= {None, Entry("directory")}:
            continue  # as in git, directories are not counted
        kind = _kind(one, two)
        control = is_control(path) or (two is not None and two.kind == "link" and leads_out(path, two.content))
        added = removed = None
        if kind != "mode" and {one.kind if one else "file", two.kind if two else "file"} == {"file"}:
            added, removed = line_counts(old / path if one else None, new / path if two else None)
        found.append(Change(path, kind, added, removed, control))
    return tuple(found)


def _kind(one: Entry | None, two: Entry | None) -> Kind:
    if one is None:
        return "added"
    if two is None:
        return "deleted"
    if one.kind != two.kind:
        return "type"
    return "mode" if (one.size, one.content) == (two.size, two.content) else "modified"
