"""What is in a worktree after an attempt: kept as commits, whatever the agent made of it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees import naming
from orchestrator_nb.worktrees.changes import changes_between
from orchestrator_nb.worktrees.commits import COMMITTER, Commits
from orchestrator_nb.worktrees.directories import disk, remove_tree
from orchestrator_nb.worktrees.furnishing import Furniture, alternates, configuration, furnish
from orchestrator_nb.worktrees.git import Git
from orchestrator_nb.worktrees.own_commits import Heads, fault_of, read_heads, take_over
from orchestrator_nb.worktrees.places import Base, Collected, Place
from orchestrator_nb.worktrees.repository import Repository
from orchestrator_nb.worktrees.snapshot import Limits, Recorded, record

#: How a note begins which says that commits of an agent are in its place only.
_NOT_TAKEN = "the agent's own commits could not be taken over"


@dataclass(frozen=True, slots=True)
class Collector:
    """Reads the files and commits of places, and stores them with the user's objects, on refs of ours."""

    #: git with a repository of ours, and the user's objects.
    git: Git
    repository: Repository
    root: Path
    session: str
    limits: Limits

    @property
    def commits(self) -> Commits:
        """The commits of the user's repository."""
        return Commits(self.git)

    def collect(self, place: Place, path: Path, title: str) -> Collected:
        """Keep what is in the directory `path`; see `Worktrees.collect`."""
        heads, notes = self._own_commits(place, path)
        recorded = self._record(path)
        work = self._commit(place, title, heads.head, recorded.tree)
        self.set(place.task, place.attempt, "work", work)
        if not any(note.startswith(_NOT_TAKEN) for note in notes):
            self._refurnish(place, path, work)
        notes += [f"{file}: git's filter was not run, the file is committed as it is" for file in recorded.unfiltered]
        return Collected(
            task=place.task,
            attempt=place.attempt,
            work=work,
            commits=tuple(self.commits.between(place.base, work)),
            changes=changes_between(self.git, place.base, work),
            left_out=recorded.left_out,
            notes=tuple(notes),
        )

    def unkept(self, path: Path, work: str, kept: set[str]) -> str:
        """What is in a directory and not in `work`; "" if there is nothing."""
        heads = read_heads(path / ".git")
        others = {heads.head, *heads.others.values()} - kept - {""}
        if any(not self.commits.exists(commit) or not self.commits.is_ancestor(commit, work) for commit in others):
            return "it has commits that were not collected"
        recorded = self._record(path)
        if recorded.left_out:
            first = recorded.left_out[0]
            return f"{len(recorded.left_out)} files in it could not be kept, such as {first.path!r} ({first.reason})"
        return "" if recorded.tree == self.commits.tree(work) else "it has changes that were not collected"

    def snapshot_of_the_user(self) -> Base:
        """The user's HEAD, or what the checkout holds, as a commit upon it. Index and files are only read."""
        user = self.repository
        head = user.ref("HEAD")
        index = self.root / "index" / "base.new"
        index.unlink(missing_ok=True)
        git = self.git.within(git_work_tree=user.top, git_index_file=index)
        if (user.git_dir / "index").exists() and not any(user.git_dir.glob("sharedindex.*")):
            shutil.copy2(user.git_dir / "index", index)
        else:
            git.run("read-tree", head)
        recorded = record(git, user.top, self.limits, of_the_user=True)
        index.unlink(missing_ok=True)
        if recorded.tree == self.commits.tree(head):
            return Base(head, False, recorded.left_out)
        message = naming.message("Changes that were not committed", {"Snapshot": self.session})
        return Base(self.commits.make(recorded.tree, [head], COMMITTER, message), True, recorded.left_out)

    def index(self, path: Path) -> Path:
        """The index that fits a place's files: no agent could write it."""
        return self.root / "index" / f"{path.parent.name}+{path.name}"

    def ref(self, task: str, attempt: int, name: str) -> str:
        """The commit that a private ref of an attempt names; "" if there is none."""
        return self.repository.ref(naming.attempt_ref(self.session, task, attempt, name))

    def set(self, task: str, attempt: int, name: str, commit: str) -> None:
        """Let a private ref of an attempt name a commit."""
        self.repository.force_ref(naming.attempt_ref(self.session, task, attempt, name), commit)

    def _own_commits(self, place: Place, path: Path) -> tuple[Heads, list[str]]:
        """Take over what the agent committed; returns the heads that can be used, and notes."""
        git_dir = path / ".git"
        notes = self._planted(place, git_dir)
        heads = read_heads(git_dir)
        earlier = self.ref(place.task, place.attempt, "work") or place.base
        new = sorted({heads.head, *heads.others.values()} - {place.base, place.merging, earlier, ""})
        if not new:
            return replace(heads, head=heads.head or earlier), notes
        fault = fault_of(git_dir, alternates(self.repository.objects), self.limits.history)
        fault = fault or take_over(self.git, git_dir, new, place.base, self.limits.history)
        if fault:
            return Heads(earlier, {}), [*notes, f"{_NOT_TAKEN}: {fault}"]
        aside = [commit for commit in new if commit != heads.head]
        if heads.head and not self.commits.is_ancestor(place.base, heads.head):
            notes.append("the agent's history does not build upon the commit that it was given: it is kept aside")
            aside, heads = new, replace(heads, head=place.base)
        for commit in aside:
            self.set(place.task, place.attempt, f"own/{commit}", commit)
        return replace(heads, head=heads.head or earlier), notes

    def _planted(self, place: Place, git_dir: Path) -> list[str]:
        """What an agent changed in its repository so that git would run it. Nothing of ours does."""
        found = []
        config = configuration(self.repository, naming.author(place.agent)).encode()
        try:
            changed = Root(git_dir).read_bytes("config", len(config)) != config
        except OrchestratorError:
            changed = True
        if changed:
            found.append("the agent changed .git/config of its worktree; that was not used")
        if next((git_dir / "hooks").glob("*"), None) is not None:
            found.append("the agent made .git/hooks in its worktree; they were not run")
        return found

    def _record(self, path: Path) -> Recorded:
        index = self.index(path)
        temporary = index.with_name(f"{index.name}.new")
        for rest in (temporary, temporary.with_name(f"{temporary.name}.lock")):
            rest.unlink(missing_ok=True)
        if index.exists():
            shutil.copy2(index, temporary)
        git = self.git.within(git_work_tree=path, git_index_file=temporary)
        recorded = record(git, path, self.limits)
        temporary.replace(index)
        return recorded

    def _commit(self, place: Place, title: str, head: str, tree: str) -> str:
        """The commit that holds the attempt's work: `head`, or a new one upon it where files differ."""
        parents = [head]
        if place.merging and not self.commits.is_ancestor(place.merging, head):
            parents.append(place.merging)
        earlier = self.ref(place.task, place.attempt, "work")
        if (
            earlier
            and self.commits.tree(earlier) == tree
            and (earlier == head or self.commits.parents(earlier) == parents)
        ):
            return earlier
        if len(parents) == 1 and self.commits.tree(head) == tree:
            return head
        facts = {"Session": self.session, "Task": place.task, "Agent": place.agent, "Attempt": place.attempt}
        return self.commits.make(tree, parents, place.agent, naming.message(title or f"Work of {place.task}", facts))

    def _refurnish(self, place: Place, path: Path, work: str) -> None:
        """Replace the ``.git`` in which the agent worked by one that nobody touched."""
        new, old = path.with_name(f"{path.name}.git.new"), path.with_name(f"{path.name}.git.old")
        for leftover in (new, old):
            remove_tree(leftover)
        with disk("make", new):
            branch = f"orchestrator/{naming.one_name(place.task)}-{place.attempt}"
            furnish(new, self.repository, Furniture(branch, work, naming.author(place.agent), index=self.index(path)))
            with suppress(FileNotFoundError):
                (path / ".git").rename(old)
            new.rename(path / ".git")
        remove_tree(old)
