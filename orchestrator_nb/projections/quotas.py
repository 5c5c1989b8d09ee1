"""How people are told of a vendor's usage limit that is waited for. Times are shown as their clock shows them."""

from __future__ import annotations

from datetime import datetime, tzinfo

from orchestrator_nb.core.state import QuotaState, State
from orchestrator_nb.core.tasks import RUNNING, TaskState, TaskStatus
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.words import count, some

#: Tasks that a sentence names.
_NAMED = 3


def moment(at: float, zone: tzinfo | None = None, *, today: float | None = None) -> str:
    """``14:30``; with its date where that is not the day of `today`: ``14:30 on 2026-11-24``."""
    shown = datetime.fromtimestamp(at, zone)
    same_day = today is not None and datetime.fromtimestamp(today, zone).date() == shown.date()
    return shown.strftime("%H:%M") if same_day else shown.strftime("%H:%M on %Y-%m-%d")


def left(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 05 min``, ``2 d 4 h``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def quota(vendor: str) -> str:
    """``claude's quota``."""
    return f"{one_line(vendor.rpartition(':')[2] or vendor, 40)}'s quota"


def until(waited: QuotaState, now: float) -> str:
    """``claude's quota until 14:30 (in 12 min)``; `now` is in seconds since the epoch."""
    name = quota(waited.vendor)
    if waited.probe:
        return f"{name}: '{waited.probe}' finds out whether it is back"
    if now >= waited.resets_at:
        return f"{name}, which should be back since {moment(waited.resets_at, today=now)}"
    return f"{name} until {moment(waited.resets_at, today=now)} (in {left(waited.resets_at - now)})"


def of_task(state: State, task: TaskState, now: float) -> str:
    """What a task waits for, in the same words; empty if it is no quota."""
    waited = state.quota_of(task) if task.status is TaskStatus.AWAITING_QUOTA else None
    return until(waited, now) if waited is not None else ""


def waiting(state: State, *, alone: bool = False) -> str:
    """What a run that goes on waits for, in words that stay true; empty where it waits for no quota.

    With `alone` only if nothing else is running.
    """
    if not state.quotas or state.ended is not None or (alone and state.counts[RUNNING]):
        return ""
    told = []
    for waited in state.quotas.values():
        ids = [
            task.id
            for task in state.by_index
            if task.status is TaskStatus.AWAITING_QUOTA and state.quota_of(task) is waited
        ]
        if ids:
            until_when = moment(waited.resets_at, today=waited.met_at)
            named = some(ids[:_NAMED], _NAMED, len(ids))
            told.append(f"{quota(waited.vendor)} until {until_when}: {count(len(ids), 'task')} ({named})")
    if not told:
        return ""
    return (
        f"Waiting for {'; for '.join(told)}. 'orchestrate retry TASK' tries now, 'orchestrate stop' ends the waiting."
    )
