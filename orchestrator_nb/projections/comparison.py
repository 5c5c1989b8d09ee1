"""Two sessions side by side: what differs, as data, as text and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass
from typing import Any

from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.core.values import as_text
from orchestrator_nb.projections.rendering import plain_html, text_html
from orchestrator_nb.projections.text import clean, one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.words import STATUS_LABELS, count, duration

#: Tasks that are shown, results whose difference is, lines of each, and characters of a line.
MAX_TASKS, MAX_DIFFERENCES, MAX_LINES, MAX_WIDTH = 200, 50, 300, 500

#: Seconds; of two durations that are shorter the ratio says nothing, and is not shown.
LEAST_DURATION = 0.1

#: The results of a task in both sessions as a unified diff; empty where there is none.
Difference = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task in both sessions; a side is None where the session has no such task."""

    task: str
    statuses: tuple[str | None, str | None]
    #: Seconds of the last attempt.
    durations: tuple[float | None, float | None]
    #: `same`, `different`, or empty where there is nothing to compare.
    result: str
    #: Names of outputs whose content differs or that only one side has.
    outputs: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything but the duration differs."""
        return self.statuses[0] != self.statuses[1] or self.result == "different" or bool(self.outputs)

    @property
    def ratio(self) -> float | None:
        """How many times as long it took in the second session; None where that cannot be said."""
        before, after = self.durations
        return after / before if before and after is not None else None


@dataclass(frozen=True)
class Comparison:
    """Two sessions, task by task, in the first one's plan order. A notebook shows them side by side."""

    sessions: tuple[str, str]
    statuses: tuple[str, str]
    #: What differs of the plan's parameters, by name, and of the tasks' own, as ``TASK.NAME``.
    params: dict[str, tuple[Any, Any]]
    tasks: tuple[TaskComparison, ...]
    difference: InitVar[Difference | None] = None

    def __post_init__(self, difference: Difference | None) -> None:
        object.__setattr__(self, "_difference", difference or (lambda _: ()))

    def diff(self, task_id: str) -> str:
        """How the results of one task differ, as a unified diff; empty if they do not, or if one is missing."""
        lines: Sequence[str] = self._difference(task_id)  # type: ignore[attr-defined]
        return clean("\n".join(lines))

    def __str__(self) -> str:
        return text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": text(self), "text/html": html(self)}


def compared(a: State, b: State, statuses: tuple[str, str], difference: Difference | None = None) -> Comparison:
    """What differs between two sessions, whose runs have these `statuses`."""
    ids = dict.fromkeys([*a.tasks, *b.tasks])
    params = {name: (left, right) for name, left, right in _differing(a.params, b.params)}
    if a.plan is not None and b.plan is not None:
        others = {task.id: task.parameters for task in b.plan.tasks}
        for task in a.plan.tasks:
            for name, left, right in _differing(task.parameters, others.get(task.id, task.parameters)):
                params[f"{task.id}.{name}"] = left, right
    tasks = tuple(_compared(task_id, a.tasks.get(task_id), b.tasks.get(task_id)) for task_id in ids)
    return Comparison((a.session, b.session), statuses, params, tasks, difference)


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Names with both values, None where there is none."""
    for name in dict.fromkeys([*a, *b]) if a != b else ():
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)


def _compared(task_id: str, a: TaskState | None, b: TaskState | None) -> TaskComparison:
    result = ""
    if a and b and a.status is TaskStatus.COMPLETED and b.status is TaskStatus.COMPLETED:
        result = "same" if _content(a) == _content(b) else "different"
    hashes_a, hashes_b = _output_hashes(a), _output_hashes(b)
    outputs = tuple(name for name in sorted({*hashes_a, *hashes_b}) if hashes_a.get(name) != hashes_b.get(name))
    return TaskComparison(
        task_id,
        (a.status.value if a else None, b.status.value if b else None),
        (a.duration if a else None, b.duration if b else None),
        result,
        outputs,
    )


def _output_hashes(task: TaskState | None) -> dict[str, str]:
    if task is None:
        return {}
    return {output.path.removeprefix(f"outputs/{task.id}/"): output.sha256 for output in task.outputs}


def _content(task: TaskState) -> Any:
    return task.result.sha256 if task.result is not None else task.value


# -- for people --------------------------------------------------------------------------------------------------------

_STATUS_NAMES = {status: STATUSES[status].name.lower() for status in TaskStatus}
_HEADER = ("task", "A", "B", "took A", "took B", "ratio", "result", "outputs that differ")


def text(comparison: Comparison) -> str:
    """The comparison as an aligned table, for terminals; without the differences of results line by line."""
    shown, left_out = _shown(comparison)
    rows = [_HEADER, *(_cells(task, _STATUS_NAMES) for task in shown)]  # icons are of any width
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [
        *(f"{side} {name}: {status}" for side, name, status in zip("AB", *_heads(comparison), strict=True)),
        *(f"parameter {name}: {left} | {right}" for name, left, right in _params(comparison)),
        "",
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
        *left_out,
        _summary(comparison),
    ]
    return "\n".join(lines)


def html(comparison: Comparison) -> str:
    """The comparison as HTML without script: a table, and what is different in the results to be unfolded."""
    shown, left_out = _shown(comparison)
    heads = [f"{side} {name}: {status}" for side, name, status in zip("AB", *_heads(comparison), strict=True)]
    parts = [
        f"<p>{'<br>'.join(map(text_html, heads))}</p>",
        _table(("parameter", "A", "B"), _params(comparison)) if comparison.params else "",
        _table(_HEADER, (_cells(task, STATUS_LABELS) for task in shown), {task.task for task in shown if task.differs}),
        *(f"<p>{text_html(line)}</p>" for line in (*left_out, _summary(comparison))),
        *_differences(comparison, shown),
    ]
    return f"<div>{''.join(parts)}</div>"


def _shown(comparison: Comparison) -> tuple[list[TaskComparison], list[str]]:
    """The tasks that are shown, all or those that differ; and a line about the others."""
    tasks = list(comparison.tasks)
    if len(tasks) > MAX_TASKS:
        tasks = [task for task in tasks if task.differs][:MAX_TASKS]
    more = len(comparison.tasks) - len(tasks)
    return tasks, [f"… and {count(more, 'more task')}, see .tasks"] if more else []


def _heads(comparison: Comparison) -> tuple[tuple[str, str], tuple[str, str]]:
    a, b = (one_line(name) for name in comparison.sessions)
    return (a, b), comparison.statuses


def _params(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    for name, (left, right) in comparison.params.items():
        yield one_line(name), one_line(as_text(left)), one_line(as_text(right))


def _cells(task: TaskComparison, names: Mapping[TaskStatus, str]) -> tuple[str, ...]:
    left, right = ("(none)" if status is None else names[TaskStatus(status)] for status in task.statuses)
    took = ["" if seconds is None else duration(seconds) for seconds in task.durations]
    measurable = max(seconds or 0.0 for seconds in task.durations) >= LEAST_DURATION
    ratio = f"×{task.ratio:.2f}" if task.ratio is not None and measurable else ""
    return task.task, left, right, *took, ratio, task.result, one_line(", ".join(task.outputs))


def _summary(comparison: Comparison) -> str:
    same = sum(1 for task in comparison.tasks if not task.differs)
    return f"{same:,} of {count(len(comparison.tasks), 'task')} have the same status, result and outputs."


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], marked: Iterable[str] = ()) -> str:
    """A table of plain texts; rows whose first cell is `marked` stand out."""
    bold = frozenset(marked)
    lines = [_line("th", map(text_html, header))]
    for first, *rest in rows:
        name = text_html(first)
        lines.append(_line("td", [f"<strong>{name}</strong>" if first in bold else name, *map(text_html, rest)]))
    return f"<table>{''.join(lines)}</table>"


def _line(tag: str, cells: Iterable[str]) -> str:
    """A row of a table; `cells` are HTML."""
    begin, end = f'<{tag} style="text-align:left">', f"</{tag}>"
    return f"<tr>{''.join([begin + cell + end for cell in cells])}</tr>"


def _differences(comparison: Comparison, shown: Iterable[TaskComparison]) -> Iterator[str]:
    """What is different in the results, task by task, folded."""
    different = [task.task for task in shown if task.result == "different"]
    for task_id in different[:MAX_DIFFERENCES]:
        lines = comparison.diff(task_id).splitlines()
        if len(lines) > MAX_LINES:
            lines[MAX_LINES:] = [f"… [{len(lines) - MAX_LINES:,} more lines]"]
        if lines:
            body = plain_html("\n".join([line if len(line) <= MAX_WIDTH else f"{line[:MAX_WIDTH]}…" for line in lines]))
            yield f"<details><summary>{text_html(task_id)}: results differ</summary>{body}</details>"
    if len(different) > MAX_DIFFERENCES:
        yield f"<p>… and {len(different) - MAX_DIFFERENCES:,} more results that differ, see .diff(task)</p>"
