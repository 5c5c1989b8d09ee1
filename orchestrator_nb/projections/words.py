"""How times, durations, sizes and statuses are written for people: the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.projections.theme import STATUSES

#: ``✅ Completed``, ``✋ Awaiting approval``, ...: S1 2.3's icon and the status in words.
STATUS_LABELS = {status: f"{STATUSES[status].icon} {STATUSES[status].name}" for status in TaskStatus}


def duration(seconds: float) -> str:
    """``1.2s``, ``7s``, ``45s``, ``2m 05s``, ``1h 02m``."""
    if seconds < 0.05:
        return "<0.1s"
    if seconds < 9.95:
        return f"{seconds:.1f}s".replace(".0s", "s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


@lru_cache(maxsize=256)
def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(" ")[:19]


def timestamp(at: float) -> str:
    """``2025-01-12 14:30:00``, in UTC (S1's execution log)."""
    return _moment(int(at))


def iso(at: float) -> str:
    """``2025-01-12T14:30:00Z`` (S2's status files)."""
    return f"{_moment(int(at)).replace(' ', 'T')}Z"


def count(number: int, noun: str) -> str:
    """``1 task``, ``5 tasks``, ``1,200 tasks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(names: list[str], limit: int = 10, total: int | None = None) -> str:
    """``a, b, c and 7 more``; `total` when `names` are only the first of them."""
    more = (len(names) if total is None else total) - min(len(names), limit)
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more else "")


def rollback_command(commits: Sequence[str], *, merges: bool = False) -> str:
    """S0's command that takes back `commits` (given oldest first) on a branch that has them, newest first.

    With `merges`, where some of them are: what they brought in is taken back, which git wants to be told (``-m 1``).
    """
    return f"git revert --no-edit {'-m 1 ' if merges else ''}{' '.join(reversed(commits))}"


def approve_command(checkpoint: str, answer_schema: Mapping[str, Any]) -> str:
    """The command that answers a checkpoint; where the answer must have a form and no default, with a place for it."""
    if not answer_schema or "default" in answer_schema:
        return f"orchestrate approve {checkpoint}"
    choices = answer_schema.get("enum")
    if isinstance(choices, list) and choices and all(isinstance(one, str) and one.isidentifier() for one in choices):
        others = f" (or {', '.join(choices[1:])})" if choices[1:] else ""
        return f"orchestrate approve {checkpoint} --answer {choices[0]}{others}"
    return f"orchestrate approve {checkpoint} --answer TEXT"


def origin(task: TaskState) -> str:
    """Where the result of a completed task came from, if its agent did not make it here; else empty."""
    if task.imported:
        return f"imported by {task.imported}"
    return f"taken over from {task.reused_from}" if task.reused_from else ""
