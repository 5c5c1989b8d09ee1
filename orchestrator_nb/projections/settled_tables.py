"""The table of tasks and the progress of a run as static HTML and as text, for whoever has no live view.

Nothing here needs a class, a script or a colour to be understood. Colours are small accents that show on light and on
dark paper; everything else takes the colours of the page.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from typing import NamedTuple

from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.projections.progress import Progress, progress
from orchestrator_nb.projections.quotas import of_task
from orchestrator_nb.projections.rendering import text_html
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.theme import PLAIN, STATUSES, mix
from orchestrator_nb.projections.usage import line as usage_line
from orchestrator_nb.projections.usage import marks, used
from orchestrator_nb.projections.words import STATUS_LABELS, count, duration, origin, some

#: Rows of a table in HTML and of one in text.
MAX_ROWS = 200
MAX_LINES = 50
#: Characters of a task's title and of its note.
_TITLE = 60
_NOTE = 160
#: Dependencies that a note names, and bytes of the progress of phases.
_NAMED = 3
_PHASES = 4000

LEFT = 'style="text-align:left"'


class Row(NamedTuple):
    """What is told of one task."""

    agent: str
    id: str
    #: Empty where it is the id.
    title: str
    priority: str
    status: TaskStatus
    duration: str
    attempts: str
    #: What failed, what it waits for, who decided: in one sentence.
    note: str


def rows(state: State, now: float, limit: int) -> list[Row]:
    """At most `limit` tasks in plan order; where that is not all of them, the failed ones come first."""
    plan = state.plan
    if plan is None:
        return []
    tasks: Iterable[TaskState] = state.by_index
    if len(state.by_index) > limit:
        tasks = islice(_failed_first(state), limit)
    return [_row(state, plan, task, now) for task in tasks]


def _failed_first(state: State) -> Iterator[TaskState]:
    yield from (task for task in state.by_index if task.status is TaskStatus.FAILED)
    yield from (task for task in state.by_index if task.status is not TaskStatus.FAILED)


def _row(state: State, plan: Plan, task: TaskState, now: float) -> Row:
    spec = plan.tasks[task.index]
    return Row(
        agent=agent_label(task.number),
        id=task.id,
        title="" if spec.label == task.id else one_line(spec.label, _TITLE),
        priority=f"P{plan.ranks[task.index]}",
        status=task.status,
        duration=_spent(task, now),
        attempts=str(task.attempt) if task.attempt else "–",
        note=one_line("; ".join(part for part in (_marks(state, task), _note(state, task, now)) if part), _NOTE),
    )


def _spent(task: TaskState, now: float) -> str:
    if task.status is TaskStatus.RUNNING and task.started_at is not None:
        return duration(max(0.0, now - task.started_at))
    return duration(task.duration) if task.duration is not None and task.status.settled else "–"


def _marks(state: State, task: TaskState) -> str:
    """That a coding agent was not contained, or was refused something; and what it has used."""
    attempts = state.agent_attempts.get(task.id)
    return ", ".join(part for part in (marks(attempts), str(used(attempts))) if part) if attempts else ""


def _note(state: State, task: TaskState, now: float) -> str:
    match task.status:
        case TaskStatus.WAITING:
            parents = [state.by_index[index] for index in state.graph.parents[task.index]]
            unsettled = [parent.id for parent in parents if not parent.settled]
            return f"waits for {some(unsettled, _NAMED)}" if unsettled else ""
        case TaskStatus.BLOCKED:
            return f"because of {task.blocked_by}"
        case TaskStatus.AWAITING_APPROVAL:
            return f"asks: {one_line(state.checkpoints[task.checkpoint].question, _NOTE)}"
        case TaskStatus.AWAITING_QUOTA:
            return f"waits for {of_task(state, task, now)}"
        case TaskStatus.AWAITING_REVIEW:
            review = state.reviews[task.id]
            said = some([f"{vote.reviewer}: {vote.verdict}" for vote in review.votes], _NAMED)
            return f"under review: {said or some(list(review.request.reviewers), _NAMED)}"
        case TaskStatus.RUNNING:
            steps = f"{task.done} of {task.total}" if task.total else ""
            return ": ".join(part for part in (steps, task.message) if part)
        case TaskStatus.COMPLETED:
            told = [
                origin(task),
                "by its fallback" if task.fallback else "",
                count(len(task.outputs), "file") if task.outputs else "",
            ]
            return ", ".join(part for part in told if part)
    return task.error or task.message


# -- HTML --------------------------------------------------------------------------------------------------------------


def table_html(state: State, now: float, limit: int = MAX_ROWS, room: int = 1_000_000) -> str:
    """S1's status table: at most `limit` rows, as many as fit into `room` bytes, and how many tasks are left out."""
    lines = fitting(map(_row_html, rows(state, now, limit)), room - len(_HEAD) - _FRAME)
    return f"{_HEAD}{''.join(lines)}</tbody></table>\n{more_html(len(state.by_index) - len(lines), 'more task')}"


_HEAD = (
    f"<table><thead><tr><th {LEFT}>Status</th><th {LEFT}>Agent</th><th {LEFT}>Task</th><th>Priority</th>"
    f"<th>Duration</th><th>Attempts</th><th {LEFT}>Note</th></tr></thead><tbody>\n"
)
#: Bytes of what comes after the rows.
_FRAME = 100


def _row_html(row: Row) -> str:
    title = f" · {text_html(row.title)}" if row.title else ""
    return (
        f'<tr><td style="text-align:left;white-space:nowrap;border-left:4px solid {accent(row.status)}">'
        f"{STATUS_LABELS[row.status]}</td><td {LEFT}>{row.agent}</td><td {LEFT}><b>{text_html(row.id)}</b>{title}</td>"
        f"<td>{row.priority}</td><td>{row.duration}</td><td>{row.attempts}</td>"
        f"<td {LEFT}>{text_html(row.note)}</td></tr>\n"
    )


def more_html(left_out: int, noun: str) -> str:
    """How many things are left out, if any are."""
    return f"<p>… and {count(left_out, noun)}</p>\n" if left_out > 0 else ""


def fitting(parts: Iterable[str], room: float) -> list[str]:
    """The parts from the first on that take at most `room` bytes together."""
    fit: list[str] = []
    for part in parts:
        room -= len(part.encode())
        if room < 0:
            break
        fit.append(part)
    return fit


def accent(status: str) -> str:
    """The colour of a status where the paper is unknown: reaches a contrast of 3 on white and on black."""
    style = STATUSES.get(status, PLAIN)
    return mix(style.light, style.dark, 0.6)


def progress_html(state: State, now: float) -> str:
    """The bar of the run with how far it is in words, and those of its phases."""
    told = progress(state, now)
    phases = (
        f"<br>{_bar(phase.completed / phase.total if phase.total else 0)} {text_html(phase.title, _TITLE)}: "
        f"{phase.completed:,} of {phase.total:,} completed"
        for phase in told.phases
    )
    used = f"<br>{text_html(usage_line(state), 500)}" if state.agent_attempts else ""
    return f"<p>{_bar(told.fraction)} {escape(_overall(told))}{''.join(fitting(phases, _PHASES))}{used}</p>\n"


def _bar(share: float) -> str:
    return f'<progress max="100" value="{share * 100:.0f}"></progress>'


def _overall(told: Progress) -> str:
    eta = f", about {duration(told.eta)} left" if told.eta else ""
    return f"{told.fraction * 100:.0f} %: {told.settled:,} of {count(told.total, 'task')} ended ({tally(told)}){eta}"


def tally(told: Progress) -> str:
    """``3 completed, 1 failed``."""
    return ", ".join(f"{number:,} {STATUSES[status].name.lower()}" for status, number in told.counts.items())


# -- text --------------------------------------------------------------------------------------------------------------


def table_text(state: State, now: float, limit: int = MAX_LINES, width: int = 120) -> str:
    """The same table as text of at most `width` columns, for terminals and ``text/plain``; no newline at its end."""
    shown = rows(state, now, limit)
    cells = [
        (STATUSES[row.status].name, row.agent, row.id, row.title, row.priority, row.duration, row.attempts, row.note)
        for row in shown
    ]
    header = ("STATUS", "AGENT", "TASK", "TITLE", "PRIO", "TIME", "TRIES", "NOTE")
    left_out = len(state.by_index) - len(shown)
    return aligned(header, cells, width) + (f"\n… and {count(left_out, 'more task')}" if left_out else "")


def progress_text(state: State, now: float) -> str:
    """How far the run is, in one line."""
    return _overall(progress(state, now))


#: Columns that one cell may fill, but for the last one: it takes what is left.
_CELL = 40


def aligned(header: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> str:
    """Lines with columns below one another; empty columns are left out, long lines are cut."""
    filled = [at for at in range(len(header)) if any(line[at] for line in cells)]
    lines = [[one_line(line[at], _CELL if at != filled[-1] else width) for at in filled] for line in (header, *cells)]
    widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        _cut("  ".join(cell + " " * (wide - columns(cell)) for cell, wide in zip(line, widths, strict=True)), width)
        for line in lines
    )


def columns(text: str) -> int:
    """Columns of a terminal that clean `text` takes: wide signs two, those that join the one before none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(line: str, width: int) -> str:
    line = line.rstrip()
    if columns(line) <= width:
        return line
    while columns(line) >= width:
        line = line[:-1]
    return f"{line.rstrip()}…"
