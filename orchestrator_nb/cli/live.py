"""The live display of a run on a terminal: what is running first, then what ended last, then what comes next.

A frame costs O(what is on the screen): which tasks run and which ended lately is kept from the events, all else is
read from the published state. At most 10 frames a second, one while nothing happens.
"""

from __future__ import annotations

import textwrap
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator_nb.cli import frames
from orchestrator_nb.cli.following import Reporter, Subject
from orchestrator_nb.cli.output import console, text
from orchestrator_nb.cli.summary import say_summary
from orchestrator_nb.core import events as e
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections.progress import Progress, progress

if TYPE_CHECKING:
    from orchestrator_nb.core.state import State
    from orchestrator_nb.core.tasks import TaskState

#: Seconds between two frames, when something happens and when nothing does.
_FRAME = 0.12
_IDLE_FRAME = 1.0
#: Judging the progress costs O(plan): it may take one part of the time in so many.
_JUDGING = 50
#: Lines of a frame besides those of tasks and of what is below: header, blank lines, how many more.
_OTHER_LINES = 9

_ACTIVE = (
    TaskStatus.RUNNING,
    TaskStatus.AWAITING_REVIEW,
    TaskStatus.AWAITING_APPROVAL,
    TaskStatus.AWAITING_QUOTA,
    TaskStatus.RETRYING,
)
_TO_COME = (TaskStatus.WAITING, TaskStatus.PENDING, TaskStatus.AWAITING_QUOTA)
_BEGINNINGS = e.TaskStarted | e.CheckpointReached | e.TaskRetryScheduled | e.QuotaReached
_ENDINGS = e.TaskCompleted | e.TaskFailed | e.TaskBlocked | e.TaskSkipped | e.TaskCancelled


class LiveReporter(Reporter):
    """Draws a run in place; the last frame stays, with how it ended below."""

    interval: float | None = _FRAME

    def __init__(self) -> None:
        self._live = Live(console=console(), auto_refresh=False, vertical_overflow="crop")
        #: Tasks that run, or nearly; tasks that ended, the last one last; position before which all have ended.
        self._active: dict[str, None] = {}
        self._ended: deque[str] = deque(maxlen=200)
        self._first_open = 0
        self._note = ""
        self._due = True
        self._drawn_at = self._judge_at = 0.0

    def __exit__(self, *exc: object) -> None:
        """Give the cursor back."""
        self._live.stop()

    def begin(self, subject: Subject) -> None:
        """Take the tasks as they are."""
        self._subject = subject
        with subject.reading() as state:
            ended = [task for task in state.by_index if task.status.settled]
            self._active = {task.id: None for task in state.by_index if task.status in _ACTIVE}
        self._ended.extend(task.id for task in sorted(ended, key=lambda task: task.ended_at or 0.0))
        self._live.start()

    def take(self, records: list[e.Record]) -> None:
        """Note which tasks run and which ended."""
        for record in records:
            event = record.event
            if isinstance(event, _BEGINNINGS):
                self._active[event.task] = None
            elif isinstance(event, _ENDINGS):
                self._active.pop(event.task, None)
                self._ended.append(event.task)
            elif isinstance(event, e.PlanAccepted | e.TaskReset):
                self._first_open = 0
        self._due = True

    def tick(self) -> None:
        """Draw a frame, if one is due."""
        if time.monotonic() >= self._drawn_at + (_FRAME if self._due else _IDLE_FRAME):
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
            frame = self._frame(state, last=last)
        self._live.update(frame, refresh=True)
        self._drawn_at, self._due = time.monotonic(), False

    def _frame(self, state: State, *, last: bool) -> RenderableType:
        width, height = console().size
        parts = [frames.header(state, self._judged(state), last=last)]
        below = [] if last else [*frames.questions(state), *frames.warnings(state), *self._noted(width)]
        tasks = self._shown(state, max(3, height - _OTHER_LINES - len(below)))
        left = len(state.by_index) - len(tasks)
        if last:  # all of them in the plan's order, or none: what failed is said below
            tasks = [] if left else sorted(tasks, key=lambda task: task.index)
        if tasks and state.plan is not None:
            parts += [Text(), frames.table(state, state.plan, tasks, width)]
        if last:
            return Group(*parts)
        if left:
            parts.append(text((f"   … and {left:,} more", "dim")))
        if below:
            parts += [Text(), *below]
        return Group(*parts, Text())  # the cursor rests on a line of its own, where a terminal's ^C harms nothing

    def _noted(self, width: int) -> list[RenderableType]:
        lines = textwrap.wrap(self._note, width, break_on_hyphens=False)
        return [text((line, "bold yellow"), overflow="ellipsis") for line in lines]

    def _judged(self, state: State) -> Progress:
        """The progress, not always of just now."""
        begun = time.monotonic()
        if begun >= self._judge_at:
            self._progress = progress(state, time.time())
            now = time.monotonic()
            self._judge_at = now + _JUDGING * (now - begun)
        return self._progress

    # -- which tasks are shown -----------------------------------------------------------------------------------------

    def _shown(self, state: State, room: int) -> list[TaskState]:
        """As many tasks as there is room for: those that run, then of the others half and half."""
        active = [task for name in self._active if (task := state.tasks.get(name)) and task.status in _ACTIVE][:room]
        free = room - len(active)
        ended = list(islice(self._lately_ended(state), free))
        to_come = list(islice(self._to_come(state), free))
        share = max(free // 2, free - len(to_come))
        return [*active, *ended[:share], *to_come[: free - min(len(ended), share)]]

    def _lately_ended(self, state: State) -> Iterator[TaskState]:
        for name in dict.fromkeys(reversed(self._ended)):
            if (task := state.tasks.get(name)) and task.status.settled:
                yield task

    def _to_come(self, state: State) -> Iterator[TaskState]:
        tasks = state.by_index
        while self._first_open < len(tasks) and tasks[self._first_open].status.settled:
            self._first_open += 1
        for index in range(self._first_open, len(tasks)):
            if tasks[index].status in _TO_COME and tasks[index].id not in self._active:
                yield tasks[index]
