"""The live display of a run on a terminal: what is running first, then what ended last, then what comes next.

A frame costs O(what is on the screen): which tasks run and which ended lately is kept from the events, all else is
read from the published state. At most 10 frames a second, one while nothing happens.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator_nb.cli.facts import elapsed
from orchestrator_nb.cli.following import Reporter, Subject
from orchestrator_nb.cli.output import console, text
from orchestrator_nb.cli.summary import icon, say_summary
from orchestrator_nb.core import events as e
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.tasks import SETTLED, TaskStatus
from orchestrator_nb.projections.progress import progress
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.words import duration, some

if TYPE_CHECKING:
    from orchestrator_nb.core.state import State
    from orchestrator_nb.core.tasks import TaskState

#: Seconds between two frames, when something happens and when nothing does.
_FRAME = 0.12
_IDLE_FRAME = 1.0
#: Judging the time left costs O(plan): it may take one part in so many.
_JUDGED = 50
#: Warnings and checkpoints that are shown.
_MAX_WARNINGS = 3
_MAX_QUESTIONS = 5
#: Lines besides those of tasks: header, bar, counts, blank lines, the line below.
_OTHER_LINES = 7

_ACTIVE = (TaskStatus.RUNNING, TaskStatus.AWAITING_APPROVAL, TaskStatus.RETRYING)
_ENDINGS = e.TaskCompleted | e.TaskFailed | e.TaskBlocked | e.TaskSkipped | e.TaskCancelled


class LiveReporter(Reporter):
    """Draws a run in place; the last frame stays, with how it ended below."""

    interval: float | None = _FRAME

    def __init__(self) -> None:
        self._live = Live(console=console(), auto_refresh=False, vertical_overflow="crop")
        self._active: dict[str, None] = {}
        self._ended: deque[str] = deque(maxlen=200)
        self._first_open = 0
        self._note = ""
        self._drawn_at = 0.0
        self._due = True
        self._judged_at = self._judging = 0.0

    def __exit__(self, *exc: object) -> None:
        """Give the cursor back."""
        self._live.stop()

    def begin(self, subject: Subject) -> None:
        """Take the tasks as they are, and draw the first frame."""
        self._subject = subject
        with subject.reading() as state:
            ended = [task for task in state.by_index if task.status in SETTLED]
            self._active = {task.id: None for task in state.by_index if task.status in _ACTIVE}
        self._ended.extend(task.id for task in sorted(ended, key=lambda task: task.ended_at or 0.0))
        self._live.start()

    def take(self, records: list[e.Record]) -> None:
        """Note which tasks run and which ended."""
        for record in records:
            event = record.event
            if isinstance(event, e.TaskStarted | e.CheckpointReached | e.TaskRetryScheduled):
                self._active[event.task] = None
            elif isinstance(event, _ENDINGS | e.AttemptInterrupted):
                self._active.pop(event.task, None)
                if not isinstance(event, e.AttemptInterrupted):
                    self._ended.append(event.task)
            elif isinstance(event, e.PlanAccepted | e.TaskReset):
                self._first_open = 0
        self._due = True

    def tick(self) -> None:
        """Draw a frame, if one is due."""
        since = time.monotonic() - self._drawn_at
        if since >= (_FRAME if self._due else _IDLE_FRAME):
            self._draw()

    def note(self, message: str) -> None:
        """Show a message from now on."""
        self._note = message
        self._draw()

    def end(self, code: int) -> None:
        """Draw the last frame, and say how it ended."""
        self._draw(last=True)
        self._live.stop()
        console().print()
        say_summary(self._subject)

    def _draw(self, *, last: bool = False) -> None:
        with self._subject.reading() as state:
            frame = self._frame(state, last)
        self._live.update(frame, refresh=True)
        self._drawn_at, self._due = time.monotonic(), False

    # -- one frame -----------------------------------------------------------------------------------------------------

    def _frame(self, state: State, last: bool) -> RenderableType:
        width, height = console().size
        below = [] if last else [*_questions(state), *_warnings(state), *self._notes()]
        room = max(3, height - _OTHER_LINES - len(below))
        tasks = self._shown(state, room)
        if last:  # all of them in the plan's order, or none: what failed is said below
            tasks = sorted(tasks, key=lambda task: task.index) if len(tasks) == len(state.by_index) else []
        parts: list[RenderableType] = [_title(state, self._subject), self._whole(state, last)]
        if tasks:
            parts += [Text(), _table(state, tasks, width)]
        if (left := len(state.by_index) - len(tasks)) and not last:
            parts.append(text((f"   … and {left:,} more", "dim")))
        if below:
            parts += [Text(), *below]
        if not last:
            parts.append(Text())  # the cursor rests on a line of its own, where a terminal's ^C harms nothing
        return Group(*parts)

    def _whole(self, state: State, last: bool) -> RenderableType:
        """The whole run: its bar, how much is done, since when, what is left; and the counts in words."""
        now = time.time()
        if time.monotonic() >= self._judged_at + self._judging:
            begun = time.monotonic()
            self._progress = progress(state, now)
            self._judged_at = time.monotonic()
            self._judging = _JUDGED * (self._judged_at - begun)
        total = len(state.by_index)
        done = sum(state.counts[status] for status in SETTLED)
        bad = state.counts[TaskStatus.FAILED] or state.counts[TaskStatus.BLOCKED]
        style = STATUSES["failed" if bad else "completed"].terminal
        share = max(done, self._progress.fraction * total)
        bar = ProgressBar(total=max(total, 1), completed=share, complete_style=style, finished_style=style)
        status = "" if state.status == "running" or last else f"{state.status}  "
        left = self._progress.eta
        words = text(
            (status, "bold yellow"),
            (f"{done:,}/{total:,}", "bold"),
            f"  {duration(elapsed(state, None if last else now))}",
            f", about {duration(round(left))} left" if left and left >= 1 and not last else "",
        )
        line = Table.grid(padding=(0, 2, 0, 0), expand=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        line.add_row(bar, words)
        return Group(line, _counts(state))

    def _notes(self) -> list[RenderableType]:
        return [text((self._note, "bold yellow"), overflow="ellipsis")] if self._note else []

    def _shown(self, state: State, room: int) -> list[TaskState]:
        """The tasks to show: all that fit, in the order running, ended, to come; each kind gets its share."""
        tasks = state.tasks
        active = [tasks[name] for name in self._active if name in tasks and tasks[name].status in _ACTIVE][:room]
        free = room - len(active)
        ended = list(self._lately_ended(state, free))
        to_come = list(self._to_come(state, free))
        if len(ended) + len(to_come) > free:
            share = max(free // 2, free - len(to_come))
            ended = ended[:share]
            to_come = to_come[: free - len(ended)]
        return active + ended + to_come

    def _lately_ended(self, state: State, limit: int) -> Iterator[TaskState]:
        names = dict.fromkeys(reversed(self._ended))
        found = (state.tasks[name] for name in names if name in state.tasks and state.tasks[name].status in SETTLED)
        for task, _ in zip(found, range(limit), strict=False):
            yield task

    def _to_come(self, state: State, limit: int) -> Iterator[TaskState]:
        tasks = state.by_index
        while self._first_open < len(tasks) and tasks[self._first_open].status in SETTLED:
            self._first_open += 1
        found = 0
        for index in range(self._first_open, len(tasks)):
            if found >= limit:
                return
            if tasks[index].status in (TaskStatus.WAITING, TaskStatus.PENDING):
                found += 1
                yield tasks[index]


def _title(state: State, subject: Subject) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    title = state.plan.title if state.plan else "…"
    line.add_row(text((one_line(title), "bold")), text((f"  {subject.id}", "dim")))
    return line


def _counts(state: State) -> RenderableType:
    return Text("  ", overflow="ellipsis", no_wrap=True).join(
        text(icon(name), f" {state.counts[TaskStatus(name)]:,} ", (style.name.lower(), "dim"))
        for name, style in STATUSES.items()
        if state.counts[TaskStatus(name)]
    )


def _table(state: State, tasks: list[TaskState], width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=2, no_wrap=True)
    if width >= 100:
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(16, width // 4))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=4)
    table.add_column(no_wrap=True, justify="right", min_width=6)
    for task in tasks:
        table.add_row(*_cells(state, task, width))
    return table


def _cells(state: State, task: TaskState, width: int) -> Iterator[RenderableType]:
    assert state.plan is not None
    spec = state.plan.tasks[task.index]
    quiet = "dim" if task.status in (TaskStatus.WAITING, TaskStatus.SKIPPED) else ""
    yield text(icon(task.status))
    if width >= 100:
        yield text((agent_label(task.number), "dim"))
    yield text((task.id, quiet or "bold"))
    yield text((one_line(spec.title), quiet))
    yield _detail(state, task)
    yield text((_time(task), "dim"))


def _detail(state: State, task: TaskState) -> RenderableType:
    """How far a task is, or why it is not further."""
    match task.status:
        case TaskStatus.RUNNING if task.total:
            bar = Table.grid(padding=(0, 1, 0, 0))
            bar.add_row(
                ProgressBar(total=task.total, completed=task.done, width=12, complete_style="bright_blue"),
                text(f"{task.done}/{task.total} ", (one_line(task.message), "dim")),
            )
            return bar
        case TaskStatus.WAITING:
            waits = [name for name in state.plan.tasks[task.index].upstream if not state.tasks[name].settled]  # type: ignore[union-attr]
            return text((f"after {some(waits, 3)}" if waits else "", "dim"))
        case TaskStatus.RETRYING:
            return text((f"again after {duration(task.retry_delay)}: {one_line(task.error)}", "magenta"))
        case TaskStatus.AWAITING_APPROVAL:
            return text((one_line(state.checkpoints[task.checkpoint].question), "bold"))
        case TaskStatus.FAILED:
            return text((one_line(task.error), STATUSES["failed"].terminal))
        case TaskStatus.BLOCKED:
            return text((f"blocked by {task.blocked_by}", "dim"))
        case TaskStatus.RUNNING if task.attempt > 1 and not task.message:
            return text((f"attempt {task.attempt}", "dim"))
        case TaskStatus.COMPLETED:
            return text((f"taken over from {task.reused_from}" if task.reused_from else "", "dim"))
    return text((one_line(task.message), "dim"))


def _time(task: TaskState) -> str:
    if task.status is TaskStatus.RUNNING and task.started_at is not None:
        return duration(max(0.0, time.time() - task.started_at))
    return duration(task.duration) if task.duration is not None and task.status.settled else ""


def _questions(state: State) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for checkpoint in state.open_checkpoints[:_MAX_QUESTIONS]:
        lines.append(text(icon("awaiting_approval"), " ", (one_line(checkpoint.question), "bold"), overflow="ellipsis"))
        lines.append(
            text(
                f"   orchestrate approve {checkpoint.id} [--answer …]  or  reject {checkpoint.id} --reason …",
                overflow="ellipsis",
            )
        )
    return lines


def _warnings(state: State) -> list[RenderableType]:
    return [
        text(("⚠ ", "yellow"), one_line(warning.message, 500), overflow="ellipsis")
        for warning in state.warnings[-_MAX_WARNINGS:]
    ]
