"""What reviewers are shown of an attempt's work: what was asked, the result, the files, the changes, as one text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.agents.coding.vocabulary import shortened
from orchestrator_nb.agents.coding.working import session_places
from orchestrator_nb.core.models import Work
from orchestrator_nb.core.ports import Assignment
from orchestrator_nb.core.values import as_text, quoted
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.executors.local import Passed
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees.worktrees import Worktrees

#: Characters of the result, of each file, and of the changes that are shown; of what is longer, both ends.
LONGEST_RESULT, LONGEST_FILE, LONGEST_DIFF = 60_000, 20_000, 120_000
#: Files whose content is shown.
MOST_FILES = 10

_CHANGED_FILE = re.compile(r"^\+\+\+ b/(.+)$|^--- a/(.+)$", re.MULTILINE)
_CHANGED_LINE = re.compile(r"^[+-](?![+-]{2} )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Subject:
    """An attempt's work."""

    #: What it is, in a few words, and all that is shown of it.
    words: str
    text: str
    #: Files that it changed, with ``/``, and lines added and removed: of agents that work in git.
    paths: tuple[str, ...] = ()
    changed_lines: int = 0

    @property
    def sha256(self) -> str:
        """Hash of what is shown: a vote is on exactly this."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()


def subject_of(assignment: Assignment, passed: Passed) -> Subject:
    """The work of an attempt that passed its checks. Blocking."""
    task = assignment.task
    parts = [quoted(f"What task '{task.id}' ({task.label}) asks for", _asked(assignment.work))]
    result = passed.reading.value
    if passed.reading.content is not None:
        result = passed.reading.content.decode("utf-8", "replace")
    if result is not None:
        parts.append(quoted("The result", shortened(as_text(result), LONGEST_RESULT)))
    session = Root(Path(assignment.run.directory))
    directory = f"attempts/{task.id}/{assignment.attempt}/outputs/"
    for output in passed.outputs.artifacts[:MOST_FILES]:
        try:
            text = session.read_bytes(output.path, 1 << 24).decode()
        except (OrchestratorError, UnicodeDecodeError):
            text = f"({output.size} bytes that are no text)"
        parts.append(quoted(f"The file {output.path.removeprefix(directory)}", shortened(text, LONGEST_FILE)))
    diff = _changes(assignment, passed.success.commits)
    changed = passed.success.work.changes if passed.success.work is not None else ()
    if diff or changed:
        told = diff or "\n".join(f"{change.path} ({change.kind})" for change in changed)
        parts.append(quoted("The changes of files", shortened(told, LONGEST_DIFF)))
    paths = [name for pair in _CHANGED_FILE.findall(diff) for name in pair if name]
    paths += [change.path for change in changed]
    return Subject(
        words=f"task '{task.id}', attempt {assignment.attempt}",
        text="\n".join(parts),
        paths=tuple(dict.fromkeys(paths)),
        changed_lines=len(_CHANGED_LINE.findall(diff)),
    )


def _asked(work: Work) -> str:
    for key in ("prompt", "command", "function", "notebook"):
        if (value := getattr(work, key)) is not None:
            return value if isinstance(value, str) else " ".join(value)
    return "(nothing)"


def _changes(assignment: Assignment, commits: tuple[str, ...]) -> str:
    """What a coding agent changed, as a diff; empty where it works outside of git."""
    if not commits:
        return ""
    places = session_places(assignment)
    if not isinstance(places, Worktrees):
        return ""
    arguments = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
    return places.repository.git.run(*arguments, f"{commits[0]}^", commits[-1]).decode("utf-8", "replace")
