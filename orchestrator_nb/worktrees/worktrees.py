"""Git worktrees for the tasks of a session: each attempt writes in a checkout of its own.

A place has a small repository of its own which borrows the objects of the user's: an agent may commit there, or do
worse, and the user's checkout, branches, index, stash, hooks and settings stay as they are. When an attempt has ended,
its commits and a last snapshot are stored with the user's objects, on private refs::

    refs/orchestrator/<session>/base                                    what the session started from
    refs/orchestrator/<session>/tasks/<task>/<attempt>/base, work, ...  what an attempt started from, and made of it
    refs/heads/orchestrator/<session>                                   where finished work comes together

Nothing else is remembered: after a crash at any point the same calls find what is done by these names, and do the rest.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from orchestrator_nb.errors import OrchestratorError, UnsupportedRepository, WorkNotKept, WorktreeError
from orchestrator_nb.worktrees import naming
from orchestrator_nb.worktrees.collecting import Collector
from orchestrator_nb.worktrees.commits import COMMITTER, Commits
from orchestrator_nb.worktrees.directories import discard, disk, free_name, is_directory, remove_tree, sweep
from orchestrator_nb.worktrees.furnishing import Furniture, furnish
from orchestrator_nb.worktrees.git import LONG, Git, split
from orchestrator_nb.worktrees.integration import SIDES, Integration, merge_files
from orchestrator_nb.worktrees.places import (
    Base,
    Check,
    Collected,
    Conflict,
    Finished,
    LeftOver,
    Outcome,
    Place,
    RedCheck,
    check_clean,
)
from orchestrator_nb.worktrees.repository import Repository, find_repository
from orchestrator_nb.worktrees.snapshot import Limits


class Worktrees:
    """The worktrees of one session. Methods block; they may be called from several threads of one process."""

    def __init__(self, directory: Path, session_dir: Path, session: str, limits: Limits | None = None) -> None:
        """Take the repository that `directory` lies in; everything on disk is put below ``session_dir/worktrees``.

        It is for the session's writer: locks that a git of ours left when it was killed are removed.

        Raises:
            UnsupportedRepository: It is no repository, or one that agents cannot work in: the message says why.
            GitUnusable: There is no git, or it is too old.
            StorageError: The session's directory cannot be written.
        """
        self.session = naming.checked_session(session)
        self.root = session_dir.absolute() / "worktrees"
        self._lock = threading.Lock()
        self._merging = threading.Lock()  # held while checks run: places are made meanwhile
        self._base: Base | None = None
        home = self.root / "home"
        with disk("make", home):
            for made in (home, self.root / "index"):
                made.mkdir(parents=True, exist_ok=True, mode=0o700)
            (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n", "utf-8")  # whether to trust is asked before
        git = Git.find(home)
        repository = find_repository(directory, git)
        if repository is None:
            raise UnsupportedRepository(f"{directory} lies in no git repository: use copies, or run git init there")
        self.repository: Repository = repository
        self._own = self.root / "git"
        self._furnish_own(session_dir.absolute())
        self._break_locks()
        self._git = git.within(git_dir=self._own, git_object_directory=repository.objects)
        self._commits = Commits(self._git)
        self._collector = Collector(self._git, repository, self.root, session, limits or Limits())

    # -- places --------------------------------------------------------------------------------------------------------

    @property
    def base(self) -> Base:
        """The commit that the session starts from: HEAD, or a snapshot of the checkout where that is dirty."""
        with self._lock:
            if self._base is None:
                ref = naming.session_ref(self.session, "base")
                if found := self.repository.ref(ref):
                    facts = naming.trailers(self._commits.message(found))
                    self._base = Base(found, facts.get("Snapshot") == self.session)
                else:
                    made = self._collector.snapshot_of_the_user()
                    self.repository.set_ref(ref, made.id)
                    self._base = made
            return self._base

    @property
    def tip(self) -> str:
        """The commit to which finished work has been brought together: that of `branch`, or of `base` at first."""
        return self.repository.ref(self.branch) or self.base.id

    @property
    def branch(self) -> str:
        """The integration branch: a full ref name."""
        return naming.integration_branch(self.session)

    def open(self, task: str, attempt: int, agent: str, after: Sequence[str] = ()) -> Place:
        """Make the place of an attempt, or find it again as it is.

        It starts from the session's base, or, if work of one of the tasks `after` (all that it depends on, directly or
        not) is integrated, from the integration branch as it is now.

        Raises:
            WorktreeError: `task` is no id, or git or the disk refuses.
        """
        merged = {item.task for item in self._integration().merged()} if after else set()
        base = self.tip if merged.intersection(after) else self.base.id
        return self._open(task, attempt, agent, base)

    def open_conflict(self, conflict: Conflict | RedCheck, task: str, attempt: int, agent: str) -> Place:
        """Make a place in which `task` resolves a conflict, or mends what a check found.

        It starts from the integration branch; the other side is merged into its files, with markers where they
        contradict each other. What is collected there has both sides as parents.
        """
        return self._open(task, attempt, agent, self.tip, conflict.work.id)

    def listing(self) -> dict[str, str]:
        """What the session starts from: mode and id of each file, by path."""
        lines = split(self._git.run("ls-tree", "--full-tree", "-r", "-z", self.base.id, timeout=LONG))
        return {path: facts for facts, _, path in (line.partition("\t") for line in lines)}

    def content(self, commit: str, path: str) -> bytes | None:
        """A file as a commit has it; None if it has no such file."""
        code, data = self._git.ask("cat-file", "blob", f"{commit}:{path}", ok=(0, 128), timeout=LONG)
        return data if code == 0 else None

    def set_aside(self, task: str, attempt: int) -> None:
        """Give up a place that was made for an attempt which is to begin anew: its files are kept beside it."""
        path = self.root / "tasks" / naming.one_name(task) / str(attempt)
        if is_directory(path):
            with disk("move", path):
                path.rename(free_name(path))
        for name in ("base", "merging"):
            if found := self._collector.ref(task, attempt, name):
                self.repository.delete_ref(naming.attempt_ref(self.session, task, attempt, name), found)

    def carry_on(self, place: Place, attempt: int) -> Place:
        """Let another attempt go on in the same directory; what the earlier one did there is collected first."""
        work = self._collector.ref(place.task, attempt, "base") or self.collect(place).work
        first = self._directory(place.task, place.attempt)
        continues = naming.attempt_ref(self.session, place.task, attempt, f"continues/{first.name}")
        self.repository.force_ref(continues, work)
        if place.merging:
            self._collector.set(place.task, attempt, "merging", place.merging)
        self._collector.set(place.task, attempt, "base", work)
        return replace(place, attempt=attempt, base=work)

    def collect(self, place: Place, title: str = "") -> Collected:
        """Keep what is in the place: the agent's commits as they are, the rest as a last commit; say what changed.

        The attempt's processes must have ended. The place gets a new ``.git``, so that people can safely go there.

        Raises:
            WorktreeError: The place is gone, or git or the disk refuses.
        """
        path = self._directory(place.task, place.attempt)
        if not is_directory(path):
            raise WorktreeError(f"the worktree of task {place.task}, {path}, is gone: run the task again")
        return self._collector.collect(place, path, title)

    # -- integration ---------------------------------------------------------------------------------------------------

    def integrate(
        self, finished: Sequence[Finished], dependencies: Mapping[str, Sequence[str]], check: Check | None = None
    ) -> list[Outcome]:
        """Merge finished work into the integration branch, a merge commit for each task.

        Args:
            finished: The attempts whose work counts; each was collected. What is merged already is not merged again.
            dependencies: What each task of the plan depends on, in the plan's order.
            check: Called after each merge with the integrated tree; what it returns is why the merge is not kept.

        Returns:
            What became of each, in the order of the dependencies (of tasks that may come next, the plan's first).
            A conflict or a red check changes nothing, and both sides are kept; the tasks that depend on it wait.

        Raises:
            WorktreeError: Work was not collected, the integration branch is checked out, or git or the disk refuses.
        """
        with self._merging:
            return self._integration().integrate(finished, dependencies, check)

    def _integration(self) -> Integration:
        return Integration(self._git, self.repository, self.root, self.session, self.base.id)

    # -- cleaning up ---------------------------------------------------------------------------------------------------

    def left_over(self) -> list[LeftOver]:
        """The places that are on disk, by task and attempt."""
        found = []
        for directory in sorted((self.root / "tasks").glob("*/*")):
            if directory.name.isdigit():
                found.append(self._look(naming.task_of(directory.parent.name), int(directory.name), directory))
        return found

    def remove(self, place: Place) -> None:
        """Remove a place whose work is kept. Ignored files in it are not: they go.

        Raises:
            WorkNotKept: There is work in it that was not collected: the message says what.
        """
        path = self._directory(place.task, place.attempt)
        if is_directory(path):
            self._remove(self._look(place.task, int(path.name), path))

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

    def forget(self) -> None:
        """Delete the session's private refs; the integration branch stays. The session cannot be resumed afterwards.

        Raises:
            WorkNotKept: There are places on disk, or a task has work of which no attempt is integrated.
        """
        if places := self.left_over():
            raise WorkNotKept(f"{places[0].path} is still there: prune first, and see to what that leaves")
        refs, tip = self.repository.refs(naming.session_ref(self.session, "")), self.tip
        missing: dict[str, bool] = {}
        for name, commit in refs.items():
            task, _, rest = name.partition("/tasks/")[2].partition("/")
            if rest.endswith("/work") and commit != refs.get(f"{name.removesuffix('work')}base"):
                missing[task] = missing.get(task, True) and not self._commits.is_ancestor(commit, tip)
        if lost := [naming.task_of(task) for task, value in missing.items() if value]:
            raise WorkNotKept(f"the work of {', '.join(lost)} is not integrated: integrate it, or keep the refs")
        script = "".join(f"delete {name} {commit}\n" for name, commit in refs.items())
        self.repository.git.run("update-ref", "--no-deref", "--stdin", stdin=os.fsencode(script))
        self._base = None

    def _remove(self, found: LeftOver) -> None:
        check_clean(found)
        discard(found.path)
        self._collector.index(found.path).unlink(missing_ok=True)

    def _look(self, task: str, first: int, path: Path) -> LeftOver:
        """Whether all that is in a directory is kept; the last attempt that worked there counts."""
        attempt = first
        for name in self.repository.refs(naming.session_ref(self.session, f"tasks/{path.parent.name}")):
            parts = name.split("/")
            if parts[-2:] == ["continues", str(first)]:
                attempt = max(attempt, int(parts[-3]))
        prefix = naming.session_ref(self.session, f"tasks/{path.parent.name}/{attempt}")
        refs = self.repository.refs(prefix)
        work = refs.get(f"{prefix}/work", "")
        reason = "its work was not collected"
        if work:
            try:
                reason = self._collector.unkept(path, work, set(refs.values()))
            except OrchestratorError as error:
                reason = str(error)
        merged = bool(work) and (work == refs.get(f"{prefix}/base") or self._commits.is_ancestor(work, self.tip))
        return LeftOver(task, attempt, path, not reason, merged, reason)

    # -- making a place ------------------------------------------------------------------------------------------------

    def _open(self, task: str, attempt: int, agent: str, base: str, merging: str = "") -> Place:
        naming.checked_attempt(attempt)
        base = self._collector.ref(task, attempt, "base") or base
        merging = self._collector.ref(task, attempt, "merging") or merging
        if merging:
            self._collector.set(task, attempt, "merging", merging)
        self._collector.set(task, attempt, "base", base)
        path = self._directory(task, attempt)
        if not path.is_dir():
            self._make_place(path, task, attempt, agent, (base, merging))
        cwd = path / self.repository.prefix
        return Place(task, attempt, agent, path, cwd, base, merging, self.repository.all_objects)

    def _make_place(self, path: Path, task: str, attempt: int, agent: str, commits: tuple[str, str]) -> None:
        base, merging = commits
        start = self._collector.ref(task, attempt, "work") or base  # it was removed after its work was kept
        temporary, index = path.with_name(f"{path.name}.new"), self._collector.index(path)
        remove_tree(temporary)
        index.unlink(missing_ok=True)
        with disk("make", temporary):
            temporary.mkdir(parents=True, mode=0o700)
        git = self._git.within(git_work_tree=temporary, git_index_file=index)
        git.run("read-tree", "--reset", "-u", start, timeout=LONG)
        if merging and start == base:
            merge_files(git, base, merging, SIDES)
            git.run("read-tree", base)
        with disk("make", temporary):
            branch = f"orchestrator/{naming.one_name(task)}-{attempt}"
            furniture = Furniture(branch, start, naming.author(agent), index=index)
            furnish(temporary / ".git", self.repository, furniture)
            self._make_cwd(temporary)
            temporary.rename(path)

    def _make_cwd(self, top: Path) -> None:
        """Make the directory that the plan works in where it is missing, but never through a link."""
        directory = top
        for part in PurePosixPath(self.repository.prefix).parts:
            directory /= part
            if not os.path.lexists(directory):
                directory.mkdir()
            elif not is_directory(directory):
                raise WorktreeError(
                    f"{self.repository.prefix}, where the plan works, is no directory any more in what is integrated: "
                    f"see who changed it (git log {self.branch.removeprefix('refs/heads/')})"
                )

    def _break_locks(self) -> None:
        """Remove the locks on files that only this session writes."""
        branch, private = Path(f"{self.branch}.lock"), naming.session_ref(self.session, "")
        refs = self.repository.common
        with disk("remove", refs):
            for lock in (refs / branch, *(refs / private).rglob("*.lock"), *(self.root / "index").glob("*.lock")):
                lock.unlink(missing_ok=True)

    def _furnish_own(self, session_dir: Path) -> None:
        """Make the repository with which the coordinator reads and writes places, if it is not there."""
        if self._own.is_dir():
            return
        temporary = self._own.with_name("git.new")
        remove_tree(temporary)
        exclude = b""
        with suppress(ValueError):
            inside = session_dir.relative_to(self.repository.top).as_posix()
            exclude = b"\n/" + os.fsencode(re.sub(r"([\\*?\[\s!#])", r"\\\1", inside)) + b"/\n"
        with disk("make", temporary):
            furnish(temporary, self.repository, Furniture("", "", naming.author(COMMITTER), exclude))
            temporary.rename(self._own)

    # -- small things --------------------------------------------------------------------------------------------------

    def _directory(self, task: str, attempt: int) -> Path:
        """Where an attempt works: a directory of its own, or that of the attempt with which this one carries on."""
        tasks = self.root / "tasks" / naming.one_name(task)
        continues = naming.attempt_ref(self.session, task, attempt, "continues")
        for name in self.repository.refs(continues):
            return tasks / name.rpartition("/")[2]
        return tasks / str(attempt)
