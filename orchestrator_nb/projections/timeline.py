"""When each attempt of a session ran, and which chain of them determined the end: the data of a Gantt chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskStatus

#: How an attempt ended that came to no verdict (crash, halt); all other ends are statuses of tasks.
INTERRUPTED = "interrupted"


class Bar(NamedTuple):
    """One attempt, or the time in which a task waited for a person. Times are seconds since the session's first run."""

    task: str
    attempt: int
    start: float
    end: float
    #: How it ended: `completed`, `failed`, `cancelled`, `interrupted`; else `running`, or `awaiting_approval`.
    status: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


class Row(NamedTuple):
    """A task that was started, with its bars in order."""

    task: str
    title: str
    bars: tuple[Bar, ...]


class Lane(NamedTuple):
    """Rows that belong together: a phase, or a kind of agent where the plan has no phases."""

    title: str
    rows: tuple[Row, ...]


class Break(NamedTuple):
    """A place where nobody ran the session for some `seconds`, which are cut out of the timeline."""

    at: float
    seconds: float


class Timeline(NamedTuple):
    """What happened when. Lanes, and rows in them, are in the order in which they began."""

    title: str
    lanes: tuple[Lane, ...]
    #: Seconds in all, without those that were cut out.
    length: float
    #: The chain that determined the end, first bar first: each began after the one before it, its own task's or that
    #: of a dependency, had ended, and no other of these ended later. What it leaves free was spent waiting for room.
    critical: tuple[Bar, ...]
    breaks: tuple[Break, ...]
    #: Tasks that no run started: how many were taken over from another session, and all the others.
    taken_over: int
    not_started: int

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, from top to bottom."""
        return tuple(row for lane in self.lanes for row in lane.rows)


def timeline(records: Iterable[e.Record], plan: Plan, until: float | None = None) -> Timeline:
    """The timeline of a session's log, linear in it.

    Args:
        records: All of the log, in order.
        plan: The plan that is in force.
        until: Now, in seconds since the epoch, if somebody runs the session; else what is left open ends with the log.
    """
    story = _Story()
    for record in records:
        story.take(record)
    bars = story.finish(until)
    rows = _rows(bars, plan)
    taken_over = len(story.taken_over - rows.keys())
    return Timeline(
        plan.title,
        _lanes(rows, plan),
        max((bar.end for bar in bars), default=0.0),
        tuple(_chain(bars, rows, plan)),
        tuple(Break(at, seconds) for at, seconds in story.breaks.items()),
        taken_over,
        len([task for task in plan.tasks if task.id not in rows]) - taken_over,
    )


# -- from records to bars ----------------------------------------------------------------------------------------------


class _Story:
    """Reads records one by one; its clock never runs backwards, and stands still while nobody runs the session."""

    def __init__(self) -> None:
        self.breaks: dict[float, float] = {}
        self.taken_over: set[str] = set()
        self._bars: list[Bar] = []
        #: What has begun and not ended, by task: attempt, start, and status should it end now.
        self._open: dict[str, tuple[int, float, str]] = {}
        self._checkpoints: dict[str, str] = {}
        self._now = 0.0
        self._at: float | None = None
        self._idle = True

    def take(self, record: e.Record) -> None:
        """Read the next record."""
        self._pass_time(record)
        match record.event:
            case e.TaskStarted(task=task, attempt=attempt):
                self._open[task] = attempt, self._now, TaskStatus.RUNNING
            case e.TaskCompleted(task=task, reused_from=origin):
                self._close(task, TaskStatus.COMPLETED)
                if origin:
                    self.taken_over.add(task)
            case e.TaskFailed(task=task):
                self._close(task, TaskStatus.FAILED)
            case e.AttemptInterrupted(task=task) | e.QuotaReached(task=task):
                self._close(task, INTERRUPTED)
            case e.TaskCancelled(task=task) | e.TaskReset(task=task):
                self._close(task, TaskStatus.CANCELLED)
            case e.CheckpointReached(task=task, attempt=attempt, checkpoint=checkpoint):
                self._close(task, TaskStatus.COMPLETED)
                self._checkpoints[checkpoint] = task
                self._open[task] = attempt, self._now, TaskStatus.AWAITING_APPROVAL
            case e.CheckpointApproved(checkpoint=checkpoint) | e.CheckpointRejected(checkpoint=checkpoint):
                self._close(self._checkpoints.get(checkpoint, ""), TaskStatus.AWAITING_APPROVAL)

    def finish(self, until: float | None) -> list[Bar]:
        """All bars, after the last record."""
        if until is not None and self._at is not None and not self._idle:
            self._now += max(0.0, until - self._at)
        for task, (_, _, status) in list(self._open.items()):
            self._close(task, status)
        return self._bars

    def _pass_time(self, record: e.Record) -> None:
        event = record.event
        passed = max(0.0, record.at - self._at) if self._at is not None else 0.0
        if self._idle or _found_dead(event):
            self._idle = True
            if self._now and passed:
                self.breaks[self._now] = self.breaks.get(self._now, 0.0) + passed
        else:
            self._now += passed
        self._at = record.at
        if isinstance(event, e.RunStarted | e.RunEnded):
            self._idle = isinstance(event, e.RunEnded)

    def _close(self, task: str, status: str) -> None:
        if task in self._open:
            attempt, start, was = self._open.pop(task)
            shown = was if was == TaskStatus.AWAITING_APPROVAL else status
            self._bars.append(Bar(task, attempt, start, self._now, str(shown)))


def _found_dead(event: e.AnyEvent) -> bool:
    """Whether the event shows that the run before had died, some time after its last record."""
    match event:
        case e.AttemptInterrupted(crashed=True) | e.TaskFailed(kind="crash_loop") | e.RunStarted():
            return True
    return False


# -- from bars to the picture's parts ----------------------------------------------------------------------------------


def _rows(bars: Iterable[Bar], plan: Plan) -> dict[str, Row]:
    found: dict[str, list[Bar]] = {}
    for bar in bars:
        found.setdefault(bar.task, []).append(bar)
    index = plan.graph.index
    return {
        task: Row(task, plan.tasks[index[task]].title if task in index else "", tuple(its))
        for task, its in sorted(found.items(), key=lambda item: (item[1][0].start, index.get(item[0], len(index))))
    }


def _lanes(rows: Mapping[str, Row], plan: Plan) -> tuple[Lane, ...]:
    titles = {phase.id: phase.title or phase.id for phase in plan.phases}
    phased = any(task.phase for task in plan.tasks)
    index = plan.graph.index
    lanes: dict[str, list[Row]] = {}
    for task, row in rows.items():
        if task not in index:
            lane = "not in the plan any more"
        elif phased:
            phase = plan[task].phase or ""
            lane = titles.get(phase, phase) or "no phase"
        else:
            lane = plan[task].kind
        lanes.setdefault(lane, []).append(row)
    return tuple(Lane(title, tuple(its)) for title, its in lanes.items())


def _chain(bars: Iterable[Bar], rows: Mapping[str, Row], plan: Plan) -> list[Bar]:
    """The chain that determined the end, found from its end."""
    bar = max(bars, key=lambda bar: (bar.end, bar.start), default=None)
    chain: list[Bar] = []
    seen: set[Bar] = set()
    while bar is not None and bar not in seen:
        chain.append(bar)
        seen.add(bar)
        before = [other for other in _earlier(bar, rows, plan) if other not in seen]
        bar = max(before, key=lambda other: (other.end, other.start), default=None)
    return chain[::-1]


def _earlier(bar: Bar, rows: Mapping[str, Row], plan: Plan) -> Iterator[Bar]:
    """What had ended when `bar` began, of its task and of those that it depends on."""
    position = plan.graph.index.get(bar.task)
    parents = () if position is None else [plan.tasks[parent].id for parent in plan.graph.parents[position]]
    for task in (bar.task, *parents):
        if task in rows:
            yield from (other for other in rows[task].bars if other.end <= bar.start)
