"""The parts of a live display's frame, as rich draws them: header, table of tasks, questions and warnings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator_nb.cli.facts import elapsed, took
from orchestrator_nb.cli.output import Part, text
from orchestrator_nb.cli.summary import icon
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections.budgets import line as budget_line
from orchestrator_nb.projections.quotas import of_task
from orchestrator_nb.projections.text import gist, one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.usage import line as usage_line
from orchestrator_nb.projections.usage import marks
from orchestrator_nb.projections.words import approve_command, duration, origin, some

if TYPE_CHECKING:
    from orchestrator_nb.core.models import Plan
    from orchestrator_nb.core.state import State
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.projections.progress import Progress

#: Columns that a terminal must have for the agents' names to be shown.
_WIDE = 100
#: Warnings and checkpoints that are shown.
_MAX_WARNINGS = 3
_MAX_QUESTIONS = 5


def header(state: State, judged: Progress, *, last: bool) -> RenderableType:
    """Title and session; the whole run's bar, how long it takes; the tasks by status, the phases."""
    title = Table.grid(expand=True)
    title.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    title.add_column(justify="right", no_wrap=True)
    name = state.plan.title if state.plan else "…"
    title.add_row(text((one_line(name), "bold")), text((f"  {state.session}", "dim")))
    return Group(title, _whole(state, judged, last=last), _counts(state), *_phases(judged), *_used(state))


def _used(state: State) -> Iterator[RenderableType]:
    """What agents have used so far, once they tell; and the merge, while it goes on."""
    if used := usage_line(state):
        yield text(("Used ", "dim"), used, overflow="ellipsis")
    if state.merging is not None:
        told = one_line(state.merge_message or state.merging.label)
        yield text(("Merging ", "dim"), f"by {state.merging.agent}: {told}", overflow="ellipsis")
    if budget := budget_line(state, time.time()):
        yield text(("Budget ", "dim"), budget, overflow="ellipsis")


def _whole(state: State, judged: Progress, *, last: bool) -> RenderableType:
    total = len(state.by_index)
    done = sum(number for status, number in state.counts.items() if status.settled)
    bad = state.counts[TaskStatus.FAILED] or state.counts[TaskStatus.BLOCKED]
    style = STATUSES["failed" if bad else "completed"].terminal
    share = max(done, judged.fraction * total)
    since = duration(elapsed(state, None if last else time.time()))
    words: list[Part] = [(f"{done:,}/{total:,}", "bold"), f"  {since}"]
    if not last:
        status = "" if state.status == "running" else f"{state.status}  "
        left = f", about {duration(round(judged.eta))} left" if judged.eta and judged.eta >= 1 else ""
        words = [(status, "bold yellow"), *words, left]
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(total=max(total, 1), completed=share, complete_style=style, finished_style=style)
    line.add_row(bar, text(*words))
    return line


def _phases(judged: Progress) -> Iterator[RenderableType]:
    """How far each phase is, in one line, for plans that have phases."""
    parts: list[Part] = []
    for phase in judged.phases:
        parts += ["   "] if parts else []
        parts += [
            f"{one_line(phase.title, 30)} ",
            (f"{phase.completed}/{phase.total}", "bold" if phase.running else "dim"),
        ]
    if parts:
        yield text(*parts, overflow="ellipsis")


def _counts(state: State) -> RenderableType:
    return Text("  ", overflow="ellipsis", no_wrap=True).join(
        text(icon(name), f" {state.counts[TaskStatus(name)]:,} ", (style.name.lower(), "dim"))
        for name, style in STATUSES.items()
        if state.counts[TaskStatus(name)]
    )


def table(state: State, plan: Plan, tasks: Sequence[TaskState], width: int) -> RenderableType:
    """One line a task: status, agent, id, title, how far it is or why not further, for how long."""
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=2, no_wrap=True)
    if width >= _WIDE:
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(16, width // 4))
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=4)
    grid.add_column(no_wrap=True, justify="right", min_width=6)
    for task in tasks:
        grid.add_row(*_cells(state, plan, task, width))
    return grid


def _cells(state: State, plan: Plan, task: TaskState, width: int) -> Iterator[RenderableType]:
    quiet = task.status in (TaskStatus.WAITING, TaskStatus.SKIPPED)
    yield text(icon(task.status))
    if width >= _WIDE:
        yield text((agent_label(task.number), "dim"))
    yield text((task.id, "dim" if quiet else "bold"))
    yield text((one_line(plan.tasks[task.index].title), "dim" if quiet else ""))
    if task.status is TaskStatus.RUNNING and task.total:
        yield _steps(task)
    else:
        yield text(*_marks(state, task), _detail(state, plan, task))
    yield text((took(task), "dim"))


def _marks(state: State, task: TaskState) -> Iterator[tuple[str, str]]:
    """That a coding agent is not contained, or was refused something."""
    if state.agent_attempts and (told := marks(state.agent_attempts.get(task.id, ()))):
        yield f"{told}  ", "yellow"


def _steps(task: TaskState) -> RenderableType:
    line = Table.grid(padding=(0, 1, 0, 0))
    bar = ProgressBar(total=task.total, completed=task.done, width=12, complete_style=STATUSES["running"].terminal)
    line.add_row(bar, text(f"{task.done}/{task.total} ", (one_line(task.message), "dim")))
    return line


def _detail(state: State, plan: Plan, task: TaskState) -> tuple[str, str]:
    """What there is to say of a task, and its style."""
    match task.status:
        case TaskStatus.WAITING:
            waits = [name for name in plan.tasks[task.index].upstream if not state.tasks[name].settled]
            return (f"after {some(waits, 3)}" if waits else "", "dim")
        case TaskStatus.RUNNING:
            again = f"attempt {task.attempt}" if task.attempt > 1 else ""
            return (one_line(task.message) or again, "dim")
        case TaskStatus.RETRYING:
            return (f"again after {duration(task.retry_delay)}: {one_line(task.error)}", STATUSES["retrying"].terminal)
        case TaskStatus.AWAITING_APPROVAL:
            return (one_line(gist(state.checkpoints[task.checkpoint].question)), "bold")
        case TaskStatus.AWAITING_QUOTA:
            return (of_task(state, task, time.time()), STATUSES["awaiting_quota"].terminal)
        case TaskStatus.AWAITING_REVIEW:
            review = state.reviews[task.id]
            votes = some([f"{vote.reviewer}: {vote.verdict}" for vote in review.votes], 4)
            return (f"{len(review.votes)} of {len(review.request.reviewers)} have voted {votes}".rstrip(), "")
        case TaskStatus.FAILED:
            return (one_line(task.error), STATUSES["failed"].terminal)
        case TaskStatus.BLOCKED:
            return (f"blocked by {task.blocked_by}", "dim")
        case TaskStatus.COMPLETED:
            return (one_line(origin(task)), "dim")
    return (one_line(task.message), "dim")


def questions(state: State) -> Iterator[RenderableType]:
    """What waits for a person, and how to answer."""
    for checkpoint in state.open_checkpoints[:_MAX_QUESTIONS]:
        yield text(icon("awaiting_approval"), " ", (one_line(gist(checkpoint.question)), "bold"), overflow="ellipsis")
        command = approve_command(checkpoint.id, checkpoint.answer_schema)
        answer = f"{command}  or  reject {checkpoint.id} --reason …"
        yield text(f"   {answer}", overflow="ellipsis")


def warnings(state: State) -> Iterator[RenderableType]:
    """The last things that people should know."""
    for warning in state.warnings[-_MAX_WARNINGS:]:
        yield text(("⚠ ", "yellow"), one_line(warning.message, 500), overflow="ellipsis")
