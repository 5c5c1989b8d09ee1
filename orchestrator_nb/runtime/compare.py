"""Two sessions side by side: what differs in status, duration and results (`orchestrate compare A B`)."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.comparison import Comparison, TaskComparison, compared
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings

__all__ = ["Comparison", "TaskComparison", "compare", "result_difference"]


def compare(
    a: Session | Run | str | Path, b: Session | Run | str | Path, settings: Settings | None = None
) -> Comparison:
    """What differs between two sessions: parameters, and each task's status, duration, result and outputs.

    Args:
        a: A session, a run, the id of a session (or its beginning), or the path of one.
        b: Another.
        settings: Where ids are looked up; as of the other side if that is a session or run, else as found.

    Raises:
        SessionNotFound: There is no such session.

    >>> compare(run, run.rerun("T-03", {"threshold": 0.7}).wait())  # doctest: +SKIP
    """
    known = settings or next((side.settings for side in (a, b) if isinstance(side, Session | Run)), None)
    left, right = _session(a, known), _session(b, known)
    return compared(
        left.state, right.state, (left.status, right.status), lambda task_id: result_difference(left, right, task_id)
    )


def _session(side: Session | Run | str | Path, settings: Settings | None) -> Session:
    if isinstance(side, Session):
        return side
    if isinstance(side, Run):
        return Session(side.directory, side.settings)
    return Session.open(side, settings)


def result_difference(a: Session, b: Session, task_id: str) -> list[str]:
    """The results of one task in two sessions as a unified diff; empty if they are equal or one is missing."""
    try:
        left, right = (_text(session.result_of(task_id)).splitlines() for session in (a, b))
    except OrchestratorError:
        return []
    return list(difflib.unified_diff(left, right, a.id, b.id, lineterm=""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
