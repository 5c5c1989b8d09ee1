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
    #: Have ended, and run again because the plan has changed.
    changed: list[str]
    #: Were not started yet, or are tried again.
    to_run: list[str]
    waiting: list[str]
    #: Stay as they are: failed, blocked, cancelled.
    left: list[str]
    #: How the plan differs from the session's; empty if it does not.
    changes: str

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def continuation(orchestrator: Orchestrator, session: Session) -> Continuation:
    """Look ahead. Raises `PlanError` if the plan's file has changed and is no plan any more."""
    from orchestrator_nb.core.changes import differences

    loaded = orchestrator.changed_plan(session)
    plan = session.plan if loaded is None else loaded.require()
    difference = differences(session.plan, plan)
    again = orchestrator.stale_tasks(session.state, loaded) if loaded is not None else set()
    by_kind: dict[str, list[str]] = {name: [] for name in set(_KIND.values()) | {"changed"}}
    for task in plan.tasks:
        state = session.state.tasks.get(task.id)
        kind = _KIND[state.status] if state is not None else "to_run"
        by_kind["changed" if task.id in again and kind in ("kept", "left") else kind].append(task.id)
    return Continuation(session.id, session.status, changes=str(difference), **by_kind)


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
    "awaiting_quota": "to_run",
    "awaiting_review": "waiting",
}


def say_continuation(ahead: Continuation, *, changes: bool) -> None:
    """Print what a resume is about to do; with `changes`, how the plan differs."""
    say(f"Session {ahead.session} ({ahead.status}):")
    rows = (
        ("kept", ahead.kept, "finished, not run again"),
        ("run again", ahead.interrupted, "interrupted"),
        ("changed", ahead.changed, "run again"),
        ("to run", ahead.to_run, "not finished yet"),
        ("asked", ahead.waiting, "wait for an answer"),
        ("left", ahead.left, "as they are; 'orchestrate retry TASK' tries failed ones again"),
    )
    for name, tasks, meaning in rows:
        if tasks:
            say(f"  {name + ':':<11} ", (count(len(tasks), "task"), "bold"), f" ({some(tasks, 5)}): {meaning}")
    if ahead.changes and changes:
        say(("The plan has changed:", "bold yellow"), f"\n{ahead.changes}")
