"""What an attempt changed: paths, kinds, lines, and which of the files can make programs run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator_nb.system.sandbox.control_files import is_control_name
from orchestrator_nb.worktrees.git import LONG, Git, split

Kind = Literal["added", "modified", "deleted", "type", "mode"]

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
    return any(map(is_control_name, path.split("/")))


def leads_out(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` with this target leaves the tree (or points into a ``.git``)."""
    if target.startswith("/") or ".git" in target.lower().split("/"):
        return True
    end = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 - text in, text out
    return end == ".." or end.startswith("../")


def changes_between(git: Git, before: str, after: str) -> tuple[Change, ...]:
    """The paths in which two commits or trees differ, by path."""
    arguments = ("diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", before, after)
    lines = _line_counts(git.run(*arguments, "--numstat", timeout=LONG))
    fields = split(git.run(*arguments, "--raw", timeout=LONG))
    facts = [fact.lstrip(":").split(" ") for fact in fields[::2]]
    targets = _targets(git, [new_id for _, mode, _, new_id, _ in facts if mode == _LINK])
    found = []
    for (old_mode, mode, old_id, new_id, letter), path in zip(facts, fields[1::2], strict=True):
        kind = "mode" if old_id == new_id and letter == "M" else _LETTERS[letter[0]]
        added, removed = lines.get(path, (None, None))
        control = is_control(path) or _SUBMODULE in (old_mode, mode)
        if mode == _LINK and not control:
            control = new_id not in targets or leads_out(path, targets[new_id])
        found.append(Change(path, kind, added, removed, control))
    return tuple(found)


def _targets(git: Git, links: list[str]) -> dict[str, str]:
    """What links lead to, by the ids of their objects; without those that are longer than any link can be."""
    if not links:
        return {}
    wanted = "".join(f"{link}\n" for link in dict.fromkeys(links)).encode()
    sizes = [line.split() for line in git.run("cat-file", "--batch-check", stdin=wanted).decode().splitlines()]
    short = [link for link, _, size in sizes if int(size) <= _LONGEST_LINK]
    raw = git.run("cat-file", "--batch", stdin="".join(f"{link}\n" for link in short).encode())
    found, at = {}, 0
    for _ in short:
        end = raw.index(b"\n", at)
        link, _, size = raw[at:end].decode().split()
        found[link] = os.fsdecode(raw[end + 1 : end + 1 + int(size)])
        at = end + 1 + int(size) + 1
    return found


def _line_counts(numstat: bytes) -> dict[str, tuple[int | None, int | None]]:
    counts: dict[str, tuple[int | None, int | None]] = {}
    for item in numstat.split(b"\0"):
        if item:
            added, removed, path = item.split(b"\t", 2)
            counts[os.fsdecode(path)] = (None, None) if added == b"-" else (int(added), int(removed))
    return counts
