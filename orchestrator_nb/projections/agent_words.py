"""The events of coding agents in words: how one was started, what it was refused and what would help, what it used."""

from __future__ import annotations

from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.usage import spent
from orchestrator_nb.projections.words import count


def started(event: e.AgentStarted, *, over: bool = False) -> str:
    """``claude runs with level edit, contained by bubblewrap; open: the network``, and what it was granted by whom."""
    if event.recorded:
        return f"{event.agent} {'was' if over else 'is'} replayed from a recording"
    parts = [f"{event.agent} {'ran' if over else 'runs'}"]
    if event.sandbox:
        parts = [f"{parts[0]} with level {event.level}, {contained(event.sandbox, event.why)}"]
    if event.open and event.sandbox != "uncontained":
        parts.append(f"open: {', '.join(event.open)}")
    if event.granted:
        parts.append(f"granted: {event.granted}{f' (by {event.by})' if event.by else ''}")
    if event.session:
        parts.append(f"it {'went' if over else 'goes'} on with its session")
    return one_line("; ".join(parts), 1000)


def contained(sandbox: str, why: str) -> str:
    """``contained by bubblewrap``, ``contained by landlock (...)``, ``uncontained (asked for)``."""
    if sandbox == "uncontained":
        return f"uncontained ({why})" if why else "uncontained"
    return f"contained by {sandbox}{f' ({why})' if why and sandbox != 'bubblewrap' else ''}"


def denied(event: e.AgentDenied) -> str:
    """What was refused, why, and what would let it through: ``refused: ...``."""
    return f"refused: {denial(event)}"


def denial(event: e.AgentDenied) -> str:
    """The same without the word."""
    target = f" {event.target}" if event.target else ""
    hint = " (as a program that it ran says)" if event.source == "text" else ""
    reason = event.reason.rstrip(". ")
    remedy = f"it would need {event.remedy}" if event.remedy else "nothing that could be granted would help"
    return one_line(f"{event.tool}{target}: {reason}{hint}; {remedy}", 1200)


def of(event: Any) -> str:
    """An event of a coding agent in words; empty for what nobody needs to be told, and for other events."""
    match event:
        case e.AgentStarted() if event.sandbox:
            return started(event)
        case e.AgentDenied():
            return denied(event)
        case e.AgentSpent(final=True):
            return f"used {spent(event)}"
    return ""


def left(event: e.TaskCompleted) -> str:
    """What a task left in the repository: ``2 commits, 3 files changed``; empty for nothing."""
    changed = len(event.work.changes) + event.work.more_changes if event.work is not None else 0
    parts = [count(len(event.commits), "commit") if event.commits else ""]
    parts += [f"{count(changed, 'file')} changed" if changed else ""]
    return ", ".join(part for part in parts if part)
