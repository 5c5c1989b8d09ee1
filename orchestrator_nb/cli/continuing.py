"""What a resume is about to do: what is kept, what runs again, what has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator_nb.cli.output import say
from orchestrator_nb.projections.words import count, some

if TYPE_CHECKING:
    from orchestrator_nb.runtime.orchestrator import Orchestrator
    from orchestrator_nb.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Continuation:
    """Ids of tasks by what a resume does with them."""

    session: str
    #: How it stands before.
    status: str
    kept: list[str]
    #: Were running when the run died or was halted.
    interrupted: list[str]
    #: Were not started yet, or are tried again.
    to_run: list[str]
    #: Stay as they are: failed, blocked, cancelled.
    left: list[str]
    waiting: list[str]
    #: How the plan differs from the session's; empty if it does not.
    changes: str

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def continuation(orchestrator: Orchestrator, session: Session) -> Continuation:
    """Look ahead. Raises `PlanError` if the plan's file has changed and is no plan any more."""
    from orchestrator_nb.core.changes import differences

    by_kind: dict[str, list[str]] = {"kept": [], "interrupted": [], "to_run": [], "left": [], "waiting": []}
    for task in session.state.by_index:
        by_kind[_KIND[task.status]].append(task.id)
    changed = orchestrator.changed_plan(session)
    changes = "" if changed is None else str(differences(session.plan, changed.require()))
    return Continuation(session.id, session.status, changes=changes, **by_kind)


_KIND = {
    "completed": "kept",
    "skipped": "kept",
    "running": "interrupted",
    "waiting": "to_run",
    "pending": "to_run",
    "retrying": "to_run",
    "failed": "left",
    "blocked": "left",
    "cancelled": "left",
    "awaiting_approval": "waiting",
    "awaiting_quota": "waiting",
    "awaiting_review": "waiting",
}


def say_continuation(ahead: Continuation) -> None:
    """Print what a resume is about to do."""
    say(f"Session {ahead.session} ({ahead.status}):")
    rows = (
        ("kept", ahead.kept, "finished, not run again"),
        ("run again", ahead.interrupted, "interrupted"),
        ("to run", ahead.to_run, "not finished yet"),
        ("asked", ahead.waiting, "wait for an answer"),
        ("left", ahead.left, "as they are; 'orchestrate retry TASK' tries failed ones again"),
    )
    for name, tasks, meaning in rows:
        if tasks:
            say(f"  {name + ':':<11} ", (count(len(tasks), "task"), "bold"), f" ({some(tasks, 5)}): {meaning}")
    if ahead.changes:
        say(("The plan has changed:", "bold yellow"), f"\n{ahead.changes}")
