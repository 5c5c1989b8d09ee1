"""`run.view.plan`: S1's status table with live progress. The page holds every row and draws those that are seen."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator_nb.core.agent_attempts import AgentAttempt
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.jupyter.part import Bundle, Changes, Pane
from orchestrator_nb.projections.progress import expected_duration, usual_durations
from orchestrator_nb.projections.quotas import quota
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.usage import marks, used
from orchestrator_nb.projections.words import origin

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

#: Seconds between two looks at how long tasks of each kind usually take: that is linear in the plan.
_USUAL = 2.0
#: Rows of one message; when more have changed it is shorter to send all.
_ROWS = 2000


class PlanTable(Pane):
    """The table. The page sorts, filters and counts seconds by itself; it is told the rows that changed."""

    name = "plan"

    def __init__(self, view: View) -> None:
        self._plan: Plan | None = None
        self._tasks = msgspec.Raw(b"{}")
        self._selected = ""
        self._usual: dict[str, float] = {}
        self._usual_at = float("-inf")
        super().__init__(view, kind="table")

    def whole(self, state: State) -> dict[str, Any]:
        """What tasks there are, by columns, and a row of what became of each."""
        if state.plan is not self._plan and state.plan is not None:
            self._plan, self._tasks = state.plan, msgspec.Raw(msgspec.json.encode(tasks(state.plan, state)))
        return {
            "tasks": self._tasks,
            "rows": rows(state, range(len(state.by_index))),
            "usual": usual_durations(state, state.plan) if state.plan is not None else {},
            "selected": self.view.selected,
        }

    def refresh(self, changes: Changes) -> None:
        """Send the rows that changed, and what the other parts look at."""
        if changes.everything or len(changes.tasks) > _ROWS:
            self.post_whole()
            return
        told: dict[str, Any] = {}
        with self.view.subject.reading() as state:
            changed = sorted(index for index in changes.tasks if index < len(state.by_index))
            if changed:
                told = {"indices": changed, "rows": rows(state, changed), **self._usual_if_due(state)}
        if self.view.selected != self._selected:
            self._selected = told["selected"] = self.view.selected
        if told:
            self.post("rows", **told)

    def _usual_if_due(self, state: State) -> dict[str, Any]:
        now = time.monotonic()
        if state.plan is None or now < self._usual_at + _USUAL:
            return {}
        self._usual_at = now
        before, self._usual = self._usual, usual_durations(state, state.plan)
        return {"usual": self._usual} if self._usual != before else {}

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """The table as it stands, without anything live."""
        from orchestrator_nb.projections.settled import table_html, table_text

        with view.subject.reading() as state:
            now = view.now()
            return {"text/html": table_html(state, now), "text/plain": table_text(state, now)}


def tasks(plan: Plan, state: State) -> dict[str, Any]:
    """What does not change while a plan is in force, a list a column; phases and dependencies as positions."""
    titles = {phase.id: one_line(phase.title or phase.id) for phase in plan.phases}
    for task in plan.tasks:
        if task.phase:
            titles.setdefault(task.phase, one_line(task.phase))
    places = {phase: place for place, phase in enumerate(titles)}
    return {
        "id": [task.id for task in plan.tasks],
        "title": ["" if task.label == task.id else one_line(task.label) for task in plan.tasks],
        "kind": [one_line(task.kind) for task in plan.tasks],
        "agent": [task.number for task in state.by_index],
        "priority": plan.ranks,
        "phase": [places[task.phase] if task.phase else -1 for task in plan.tasks],
        "phases": list(titles.values()),
        "parents": plan.graph.parents,
    }


def rows(state: State, indices: Iterable[int]) -> list[dict[str, Any]]:
    """What is known of these tasks now; what there is nothing to say of is left out.

    A row has `status`; of its last attempt `attempt`, `started` (seconds since the epoch), `duration` (seconds);
    `done` of `total` steps; `expected` (seconds) where that is known of the task itself; `again` (seconds since the
    epoch), when it is tried again or its quota is back; and a `note` that says what it waits for, fails of or tells. Of
    a coding agent's task there are `marks` (that it is not contained, or was refused something), `used` in words
    (`used_told` in full), and `tokens` to sort by.
    """
    if state.plan is None:
        return []
    specs, by_index = state.plan.tasks, state.by_index
    told = []
    for index in indices:
        task = by_index[index]
        row: dict[str, Any] = {"status": task.status.value}
        if task.attempt:
            row["attempt"] = task.attempt
            if task.started_at is not None:
                row["started"] = task.started_at
        if task.duration is not None:
            row["duration"] = task.duration
        if task.total:
            row["done"], row["total"] = task.done, task.total
        if task.status is TaskStatus.RUNNING and (expected := expected_duration(specs[index], task, {})) is not None:
            row["expected"] = expected
        if task.status is TaskStatus.RETRYING and task.ended_at is not None:
            row["again"] = task.ended_at + task.retry_delay
        if task.status is TaskStatus.AWAITING_QUOTA and (waited := state.quota_of(task)) is not None:
            row["again"] = waited.resets_at
        if task.status in _NOTED and (note := _note(state, task)):
            row["note"] = note
        if state.agent_attempts and (attempts := state.agent_attempts.get(task.id)):
            row |= _of_agent(attempts)
        told.append(row)
    return told


def _of_agent(attempts: list[AgentAttempt]) -> dict[str, Any]:
    row: dict[str, Any] = {"marks": told} if (told := marks(attempts)) else {}
    usage = used(attempts)
    if usage.counted or attempts[-1].over:
        row |= {"used": usage.short, "used_told": str(usage), "tokens": usage.input_tokens + usage.output_tokens}
    return row


#: Those that have nothing to say for themselves: what they wait for follows from the rows of others.
_NOTED = frozenset(TaskStatus) - {TaskStatus.WAITING, TaskStatus.PENDING}


def _note(state: State, task: TaskState) -> str:
    match task.status:
        case TaskStatus.BLOCKED:
            return f"blocked by {task.blocked_by}"
        case TaskStatus.AWAITING_APPROVAL:
            return one_line(state.checkpoints[task.checkpoint].question)
        case TaskStatus.AWAITING_QUOTA:
            waited = state.quota_of(task)
            return quota(waited.vendor) if waited is not None else ""
        case TaskStatus.FAILED | TaskStatus.RETRYING:
            return one_line(task.error)
        case TaskStatus.COMPLETED:
            return one_line(origin(task))
        case _:
            return one_line(task.message) if task.message else ""
