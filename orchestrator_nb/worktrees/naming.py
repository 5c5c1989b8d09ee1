"""What is named after a session, a task and an attempt: refs and directories, so that they are found again by name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from orchestrator_nb.core.ids import fault_of_id
from orchestrator_nb.errors import WorktreeError

#: Longest name in a file system, less what is put behind it.
_LONGEST = 200
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_UNPRINTABLE = re.compile(r"[^\w .,()@+-]")


def one_name(task: str) -> str:
    """A task's id as one name, the same for no other id: ``review/api`` is ``review+api``.

    It can be a part of a ref: no ``..``, no ``.lock`` at its end. Raises `WorktreeError` if it is no id.
    """
    if fault := fault_of_id(task):
        raise WorktreeError(f"{task!r} is no task id: {fault}")
    name = re.sub(r"(?<=\.)\.|\.(?=lock$)", "%2e", task).replace("/", "+")
    if len(name) > _LONGEST:
        return f"{name[:100]}%{hashlib.sha256(task.encode()).hexdigest()[:32]}"
    return name


def checked_session(session: str) -> str:
    """The session's id, if it can be a part of refs. Raises `WorktreeError`."""
    if not _SESSION.fullmatch(session):
        raise WorktreeError(f"{session!r} cannot be part of a branch's name: use letters, digits, '-' and '_'")
    return session


def checked_attempt(attempt: int) -> int:
    """The number of an attempt, from 1 on. Raises `WorktreeError`."""
    if attempt < 1:
        raise WorktreeError(f"attempts are counted from 1, not {attempt}")
    return attempt


def task_of(name: str) -> str:
    """The task's id that `one_name` made the name of; of one that was too long, the name itself."""
    return name.replace("+", "/").replace("%2e", ".")


def integration_branch(session: str) -> str:
    """The branch on which finished work comes together."""
    return f"refs/heads/orchestrator/{session}"


def session_ref(session: str, name: str) -> str:
    """A private ref of a session: ``base``."""
    return f"refs/orchestrator/{session}/{name}"


def attempt_ref(session: str, task: str, attempt: int, name: str) -> str:
    """A private ref of an attempt: ``base``, ``work``, ``own/0``, ``red``, ``merging``, ``continues/2``."""
    return session_ref(session, f"tasks/{one_name(task)}/{attempt}/{name}")


def author(agent: str) -> tuple[str, str]:
    """Name and address under which an agent's work is committed. The address leads nowhere (RFC 2606)."""
    name = " ".join(_UNPRINTABLE.sub(" ", agent).split())[:80] or "orchestrator"
    local = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "agent"
    return name, f"{local}@orchestrator.invalid"


def message(title: str, trailers: Mapping[str, object]) -> str:
    """A commit's message: one line, and below it what is said of the commit for programs."""
    subject = " ".join(title.split())[:200]
    return f"{subject}\n\n" + "".join(f"Orchestrator-{name}: {value}\n" for name, value in trailers.items())


def trailers(text: str) -> dict[str, str]:
    """What `message` put below a message's first line."""
    found = {}
    for line in text.rpartition("\n\n")[2].splitlines():
        name, separator, value = line.partition(": ")
        if separator and name.startswith("Orchestrator-"):
            found[name.removeprefix("Orchestrator-")] = value
    return found
