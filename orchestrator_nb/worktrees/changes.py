"""What an attempt changed: paths, kinds, lines, and which of the files can make programs run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator_nb.worktrees.git import Git

Kind = Literal["added", "modified", "deleted", "type", "mode"]

#: Names of files and directories that programs obey: a change in them, or below them, is flagged (RELIABILITY H2).
CONTROL_NAMES = frozenset(
    [
        *(".git", ".gitattributes", ".gitconfig", ".gitmodules", ".githooks", ".husky", ".pre-commit-config.yaml"),
        *(".claude", ".claude.json", ".codex", ".gemini", ".agents", ".mcp.json", ".cursor", ".aider.conf.yml"),
        *("agents.md", "agents.override.md", "claude.md", "claude.local.md", "gemini.md", ".cursorrules"),
        *(".env", ".envrc", ".direnv", ".vscode", ".idea", ".devcontainer", ".zed"),
        *(".github", ".gitlab-ci.yml", ".circleci", "jenkinsfile", "azure-pipelines.yml"),
        *("conftest.py", "sitecustomize.py", "usercustomize.py", ".pdbrc", ".pythonrc"),
        *(".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "pip.conf", ".pypirc", ".cargo"),
        *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".ssh", ".ipython", ".jupyter", ".orchestrator"),
    ]
)
_CONTROL_PATTERN = re.compile(r"\.env\..+|.+\.pth|.+\.code-workspace|jupyter_.*config\.(?:py|json)")

_LETTERS: Mapping[str, Kind] = {"A": "added", "D": "deleted", "T": "type", "M": "modified"}
_LINK, _SUBMODULE = "120000", "160000"
#: Bytes of a link's target (Linux, PATH_MAX).
_LONGEST_LINK = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """One changed path."""

    path: str
    #: ``type``: a file became a link or the other way round; ``mode``: only whether it can be executed.
    kind: Kind
    #: Lines added and removed; None for what is no text.
    added: int | None = None
    removed: int | None = None
    #: It can make a program run, or leads out of the tree: see `is_control`.
    control: bool = False


def is_control(path: str) -> bool:
    """Whether programs obey the file: settings of agents, editors, git, Python, shells and build machines."""
    names = path.lower().split("/")
    return any(name in CONTROL_NAMES or _CONTROL_PATTERN.fullmatch(name) for name in names)


def leads_out(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` with this target leaves the tree (or points into a ``.git``)."""
    if target.startswith("/") or ".git" in target.lower().split("/"):
        return True
    end = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 - text in, text out
    return end == ".." or end.startswith("../")


def changes_between(git: Git, before: str, after: str) -> tuple[Change, ...]:
    """The paths in which two commits or trees differ, by path."""
    arguments = ("diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", before, after)
    lines = _line_counts(git.run(*arguments, "--numstat"))
    fields = [os.fsdecode(item) for item in git.run(*arguments, "--raw").split(b"\0") if item]
    found = []
    for facts, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, mode, old_id, new_id, letter = facts.lstrip(":").split(" ")
        kind = "mode" if old_id == new_id and letter == "M" else _LETTERS[letter[0]]
        added, removed = lines.get(path, (None, None))
        control = is_control(path) or _SUBMODULE in (old_mode, mode)
        if mode == _LINK and not control:
            control = int(git.run("cat-file", "-s", new_id)) > _LONGEST_LINK or leads_out(
                path, os.fsdecode(git.run("cat-file", "blob", new_id))
            )
        found.append(Change(path, kind, added, removed, control))
    return tuple(found)


def _line_counts(numstat: bytes) -> dict[str, tuple[int | None, int | None]]:
    counts: dict[str, tuple[int | None, int | None]] = {}
    for item in numstat.split(b"\0"):
        if item:
            added, removed, path = item.split(b"\t", 2)
            counts[os.fsdecode(path)] = (None, None) if added == b"-" else (int(added), int(removed))
    return counts
