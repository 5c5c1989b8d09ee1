"""Finished work comes together: one merge commit for each task on the session's integration branch.

Which tasks are in is read from the branch itself, along first parents: only merges made here stand there, each with
trailers that name task, attempt, agent and session. A merge is made in a directory of its own, a check looks at the
result, and only then does the branch move: whatever is interrupted before is done again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.core.graph import Graph
from orchestrator_nb.errors import GitUnusable, OrchestratorError, WorktreeError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees import naming
from orchestrator_nb.worktrees.changes import changes_between
from orchestrator_nb.worktrees.commits import COMMITTER, Commits
from orchestrator_nb.worktrees.directories import disk, is_directory, remove_tree
from orchestrator_nb.worktrees.furnishing import Furniture, furnish
from orchestrator_nb.worktrees.git import LONG, Git, split
from orchestrator_nb.worktrees.places import (
    Check,
    Conflict,
    Finished,
    Merged,
    Outcome,
    RedCheck,
    Side,
    Unchanged,
    Waiting,
)
from orchestrator_nb.worktrees.repository import Repository


def in_order(finished: Sequence[Finished], dependencies: Mapping[str, Sequence[str]]) -> list[Finished]:
    """Finished tasks in the order in which they are integrated: dependencies first, the plan's order among equals.

    Raises `WorktreeError` for a task that the plan does not have, or that is given twice.
    """
    by_task = {item.task: item for item in finished}
    if unknown := [item.task for item in finished if item.task not in dependencies]:
        raise WorktreeError(f"the plan has no task {unknown[0]!r} whose work could be integrated")
    if len(by_task) < len(finished):
        raise WorktreeError("a task is given twice: only one of its attempts can be integrated")
    graph = _graph(dependencies)
    return [by_task[graph.ids[node]] for node in graph.sorted_order() if graph.ids[node] in by_task]


def outcomes_in_order(
    finished: Sequence[Finished],
    dependencies: Mapping[str, Sequence[str]],
    merge: Callable[[Finished], Outcome],
    resolved: Callable[[Finished], bool],
) -> list[Outcome]:
    """Let `merge` integrate task by task; what depends on a task that cannot be integrated waits.

    Where a later task brought in the work of one that could not be integrated (`resolved`), that and what waited for
    it are taken up again.
    """
    above = _ancestors(dependencies)
    order = in_order(finished, dependencies)
    outcomes: dict[str, Outcome] = {}
    pending = order
    while pending:
        for item in pending:
            outcomes.pop(item.task, None)
        for item in pending:
            stuck = [task for task, outcome in outcomes.items() if not isinstance(outcome, Merged | Unchanged)]
            on = tuple(task for task in stuck if task in above[item.task])
            outcomes[item.task] = Waiting(item.task, item.attempt, on) if on else merge(item)
        contradicting = [item for item in order if isinstance(outcomes[item.task], Conflict | RedCheck)]
        freed = {item.task for item in contradicting if resolved(item)}
        pending = [
            item
            for item in order
            if item.task in freed or (isinstance(outcomes[item.task], Waiting) and above[item.task] & freed)
        ]
    return [outcomes[item.task] for item in order]


def _ancestors(dependencies: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """All that each task depends on, directly or not."""
    graph = _graph(dependencies)
    found: dict[str, set[str]] = {}
    for node in graph.sorted_order():
        parents = [graph.ids[parent] for parent in graph.parents[node]]
        found[graph.ids[node]] = {*parents, *(one for parent in parents for one in found.get(parent, ()))}
    return found


def _graph(dependencies: Mapping[str, Sequence[str]]) -> Graph:
    return Graph(list(dependencies), [[one for one in ups if one in dependencies] for ups in dependencies.values()])


#: What stands for the two sides in the files of a conflict that somebody is to settle.
SIDES = ("integrated", "task")
_MARKER = re.compile(rf"^(?:<{{7}} {SIDES[0]}|>{{7}} {SIDES[1]})\r?$".encode(), re.MULTILINE)
#: Bytes of a file in which markers are looked for.
_LONGEST = 100 * 2**20


def marked(directory: Path, paths: Sequence[str]) -> list[str]:
    """Those of `paths` in which a marker of a conflict is left."""
    found = []
    for path in paths:
        with suppress(OrchestratorError):  # it is gone, or no file any more
            if _MARKER.search(Root(directory).read_bytes(path, _LONGEST)):
                found.append(path)
    return found


def merge_files(git: Git, ours: str, theirs: str, labels: tuple[str, str]) -> list[str]:
    """Merge `theirs` into the work tree and index of `git`, which hold `ours`; returns the paths in conflict."""
    named = git.within(**{f"GITHEAD_{commit}": label for commit, label in zip((ours, theirs), labels, strict=True)})
    bases = git.word("merge-base", "--all", ours, theirs).split()
    code, _ = named.ask("merge-recursive", *bases, "--", ours, theirs, ok=(0, 1), timeout=LONG)
    entries = split(git.run("ls-files", "-u", "-z"))
    paths = list(dict.fromkeys(entry.partition("\t")[2] for entry in entries))
    if code and not paths:
        raise WorktreeError(f"git could not merge {theirs} into {ours}, and names no file in conflict")
    return paths


@dataclass(frozen=True, slots=True)
class Integration:
    """The integration branch of a session, and the directory in which merges are made."""

    git: Git
    repository: Repository
    root: Path
    session: str
    base: str

    @property
    def branch(self) -> str:
        """The full name of the branch."""
        return naming.integration_branch(self.session)

    @property
    def tip(self) -> str:
        """The commit that the branch names, or the session's base as long as there is no branch."""
        return self.repository.ref(self.branch) or self.base

    def merged(self) -> list[Merged]:
        """What is integrated, oldest first (without the changes)."""
        tip = self.repository.ref(self.branch)
        if not tip:
            return []
        form = "--format=%H%n%B"
        said = self.git.run(
            "log", "-z", "--first-parent", "--reverse", "--no-show-signature", form, f"{self.base}..{tip}"
        )
        found = []
        for text in said.decode("utf-8", "replace").split("\0"):
            commit, _, message = text.strip().partition("\n")
            facts = naming.trailers(message)
            if facts.get("Session") == self.session and facts.get("Attempt", "").isdigit():
                found.append(Merged(facts.get("Task", ""), int(facts["Attempt"]), commit))
        return found

    def integrate(
        self, finished: Sequence[Finished], dependencies: Mapping[str, Sequence[str]], check: Check | None
    ) -> list[Outcome]:
        """Merge what is not merged yet; see `Worktrees.integrate`."""
        return outcomes_in_order(finished, dependencies, lambda item: self._merge(item, check), self._resolved)

    def _resolved(self, item: Finished) -> bool:
        work = self.repository.ref(naming.attempt_ref(self.session, item.task, item.attempt, "work"))
        return bool(work) and Commits(self.git).is_ancestor(work, self.tip)

    def _merge(self, item: Finished, check: Check | None) -> Outcome:
        work_ref = naming.attempt_ref(self.session, item.task, item.attempt, "work")
        work = self.repository.ref(work_ref)
        if not work:
            raise WorktreeError(
                f"the work of task {item.task}, attempt {item.attempt}, was not collected: collect it first"
            )
        tip, commits = self.tip, Commits(self.git)
        if commits.is_ancestor(work, tip):
            start = self.repository.ref(naming.attempt_ref(self.session, item.task, item.attempt, "base"))
            merge = next((one for one in self.merged() if commits.is_ancestor(work, one.id)), None)
            if merge is None or work == start:
                return Unchanged(item.task, item.attempt)
            return Merged(item.task, item.attempt, merge.id, changes_between(self.git, f"{merge.id}^1", merge.id))
        self._refuse_if_checked_out()
        directory = self._directory()
        index = self.root / "index" / "integration"
        git = self.git.within(git_work_tree=directory, git_index_file=index)
        self._clean(git, tip)
        theirs = Side(work_ref, work, (item.task,))
        if paths := merge_files(git, tip, work, ("integrated", f"{item.task} ({item.agent})")):
            self._clean(git, tip)
            ours = Side(self.branch, tip, self._who_changed(paths))
            return Conflict(item.task, item.attempt, tuple(paths), ours, theirs)
        facts = {"Session": self.session, "Task": item.task, "Agent": item.agent, "Attempt": item.attempt}
        message = naming.message(f"{item.task}: {item.title or 'integrated'}", facts)
        commit = commits.make(git.word("write-tree"), [tip, work], item.agent, message)
        candidate = Merged(item.task, item.attempt, commit, changes_between(self.git, tip, commit))
        self._furnish(directory, commit, index)
        if check is not None and (reason := check(directory, candidate)):
            red = naming.attempt_ref(self.session, item.task, item.attempt, "red")
            self.repository.force_ref(red, commit)
            ours = Side(self.branch, tip, tuple(one.task for one in self.merged()))
            return RedCheck(item.task, item.attempt, reason, ours, theirs, red)
        self.repository.set_ref(
            self.branch, commit, "" if tip == self.base and not self.repository.ref(self.branch) else tip
        )
        return candidate

    def _directory(self) -> Path:
        directory = self.root / "integration"
        with disk("make", directory):
            if not is_directory(directory):
                directory.unlink(missing_ok=True)
                directory.mkdir(mode=0o700)
        return directory

    def _clean(self, git: Git, commit: str) -> None:
        """Let files and index be those of `commit` and nothing else: checks leave things behind.

        What git cannot clear away (directories that are locked against us, a lock of a git that was ended) is all made
        anew.
        """
        directory, index = self.root / "integration", self.root / "index" / "integration"
        remove_tree(directory / ".git")
        try:
            git.run("read-tree", "--reset", "-u", commit, timeout=LONG)
            git.run("clean", "-ffdxq", timeout=LONG)
        except GitUnusable:
            remove_tree(directory)
            for rest in (index, index.with_name(f"{index.name}.lock")):
                rest.unlink(missing_ok=True)
            self._directory()
            git.run("read-tree", "--reset", "-u", commit, timeout=LONG)

    def _furnish(self, directory: Path, commit: str, index: Path) -> None:
        """Give the directory a repository of its own: checks, and people who look, may ask git."""
        with disk("write", directory):
            branch = self.branch.removeprefix("refs/heads/")
            furnish(
                directory / ".git", self.repository, Furniture(branch, commit, naming.author(COMMITTER), index=index)
            )

    def _refuse_if_checked_out(self) -> None:
        """Moving a branch that is checked out would change what the user sees there."""
        fields = os.fsdecode(self.repository.git.run("worktree", "list", "--porcelain")).split("\n")
        if f"branch {self.branch}" in fields:
            short = self.branch.removeprefix("refs/heads/")
            raise WorktreeError(f"the integration branch {short} is checked out: check out another branch, then go on")

    def _who_changed(self, paths: Sequence[str]) -> tuple[str, ...]:
        """The tasks whose integrated work touched one of `paths`."""
        found = []
        for merge in self.merged():
            touched = {change.path for change in changes_between(self.git, f"{merge.id}^1", merge.id)}
            if touched.intersection(paths):
                found.append(merge.task)
        return tuple(found)
