"""Commits: what is asked of them, and how they are made, without hooks, signatures or a checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator_nb.worktrees.git import LONG, Git
from orchestrator_nb.worktrees.naming import author

#: Who commits; the author is the agent.
COMMITTER = "orchestrator"


@dataclass(frozen=True, slots=True)
class Commits:
    """The commits that `git` finds. Methods raise `GitUnusable` for one that is not there."""

    git: Git

    def make(self, tree: str, parents: Sequence[str], agent: str, message: str) -> str:
        """Store a commit of `agent`'s; nothing names it yet."""
        (name, address), (committer, office) = author(agent), author(COMMITTER)
        git = self.git.within(
            git_author_name=name, git_author_email=address, git_committer_name=committer, git_committer_email=office
        )
        arguments = [word for parent in dict.fromkeys(parents) for word in ("-p", parent)]
        raw = message.encode("utf-8", "replace")
        return git.run("commit-tree", tree, *arguments, stdin=raw).decode().strip()

    def tree(self, commit: str) -> str:
        """The id of its tree."""
        return self.git.word("rev-parse", "--verify", f"{commit}^{{tree}}")

    def parents(self, commit: str) -> list[str]:
        """Its parents, the first one first."""
        return self.git.word("rev-list", "-1", "--parents", commit).split()[1:]

    def message(self, commit: str) -> str:
        """Its message."""
        return (
            self.git.run("log", "-1", "--no-show-signature", "--format=%B", commit).decode("utf-8", "replace").strip()
        )

    def between(self, base: str, commit: str) -> list[str]:
        """The commits from `base` to `commit` that changed something, along first parents, oldest first.

        Reverting these takes back everything; git stops at one that changed nothing.
        """
        arguments = ("log", "--reverse", "--first-parent", "--no-show-signature", "--format=%H %T")
        found, tree = [], self.tree(base)
        for line in self.git.word(*arguments, f"{base}..{commit}").splitlines():
            name, _, after = line.partition(" ")
            if after != tree:
                found.append(name)
            tree = after
        return found

    def exists(self, commit: str) -> bool:
        """Whether it is there."""
        return self.git.ask("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128))[0] == 0

    def is_ancestor(self, earlier: str, later: str) -> bool:
        """Whether `later` builds upon `earlier`, or is it."""
        return self.git.ask("merge-base", "--is-ancestor", earlier, later, ok=(0, 1), timeout=LONG)[0] == 0
