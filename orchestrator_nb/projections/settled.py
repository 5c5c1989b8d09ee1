"""What the live view of a run settles into: a bundle that every reader of the saved notebook can show.

An untrusted notebook, GitHub and offline nbconvert show the same ``text/html``: a table, native progress bars, folded
results. It holds no script, no SVG and nothing from elsewhere, and needs neither classes nor colours to be understood;
``text/plain`` says the same to terminals. However large the run is, the HTML keeps within its budget of bytes, and says
what it leaves out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from html import escape
from itertools import islice
from typing import Any
from urllib.parse import quote

from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import SETTLED, TaskState, TaskStatus
from orchestrator_nb.projections.progress import progress
from orchestrator_nb.projections.rendering import Links, markdown_html, more_characters, text_html, value_html
from orchestrator_nb.projections.result_files import is_printed
from orchestrator_nb.projections.settled_plan import plan_bundle
from orchestrator_nb.projections.settled_tables import (
    fitting,
    more_html,
    progress_html,
    progress_text,
    table_html,
    table_text,
)
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.usage import line as usage_line
from orchestrator_nb.projections.words import STATUS_LABELS, approve_command, count, duration, some

__all__ = [
    "BUDGET",
    "MIN_BUDGET",
    "PICTURES",
    "plan_bundle",
    "progress_html",
    "progress_text",
    "results_html",
    "settled_bundle",
    "table_html",
    "table_text",
]

#: Bytes of the ``text/html`` of a run, and the least that can be kept; and of the pictures in it, which come on top.
BUDGET = 96_000
MIN_BUDGET = 24_000
PICTURES = 128_000
#: Shares of what is left for problems, then for the table, then for the final document; results take the rest.
_PROBLEMS, _TABLE, _DOCUMENT = 0.2, 0.6, 0.65
#: Problems that are told one by one, and parameters.
_MAX_PROBLEMS = 20
_MAX_PARAMS = 10
#: Bytes of the parameters.
_PARAMS = 4000
#: Characters of one task's result, and the least that is worth showing.
_MAX_RESULT = 4000
_MIN_RESULT = 200
#: Bytes of the words about what is left out of a text.
_MORE = 60
_ICONS = {"completed": "✅", "failed": "❌", "error": "❌", "running": "🔵", "interrupted": "⚠️"}


def settled_bundle(  # noqa: PLR0913 - by name, one for each thing that is shown
    state: State,
    *,
    now: float,
    status: str,
    document: str | None,
    results: Mapping[str, str],
    path: str,
    images: Mapping[str, bytes] | None = None,
    links: Links | None = None,
    budget: int = BUDGET,
) -> dict[str, str]:
    """A run as ``text/html`` and ``text/plain``.

    Args:
        state: The session's state.
        now: Seconds since the epoch: until then has run what still runs.
        status: Of the run, as `Session.status` says it.
        document: The text of `final_output.md`, if there is one.
        results: Texts of the completed tasks' results, by task: Markdown, or what was printed (`result_files`).
        path: The session's directory, for people.
        images: Pictures that the document may show, by their path in the session (`rendering.markdown_html`).
        links: Where the session's files are found (`rendering.markdown_html`).
        budget: Bytes of HTML, in UTF-8, without the pictures (`PICTURES`); `MIN_BUDGET` at least.
    """
    heading, ending = _heading_html(state, now, status), _ending_html(state, status, path)
    room = max(budget, MIN_BUDGET) - _size(heading) - _size(ending) - 20.0
    problems = _problems_html(state, room * _PROBLEMS)
    room -= _size(problems)
    table = table_html(state, now, room=int(room * _TABLE)) if state.plan is not None else ""
    room -= _size(table)
    merged = ""
    if document is not None:
        shown, pictures = _affordable(images or {}, document)
        merged = _folded(
            "<b>final_output.md</b>",
            document,
            room * _DOCUMENT + pictures,
            lambda text: markdown_html(text, images=shown, links=links),
            is_open=True,
        )
        room -= max(0, _size(merged) - pictures)
    folded = results_html(state, results, links=links, budget=int(room))
    html = f"{heading}{problems}{table}{merged}{folded}{ending}"
    return {"text/html": f"<div>\n{html}</div>", "text/plain": settled_text(state, now=now, status=status, path=path)}


def _affordable(images: Mapping[str, bytes], document: str) -> tuple[dict[str, bytes], int]:
    """The pictures of the document that fit into `PICTURES`, and the bytes that they take (in base64)."""
    affordable, taken = {}, 0
    for path, content in images.items():
        size = len(content) * 4 // 3 + 100
        if quote(path) in document and taken + size <= PICTURES:
            affordable[path] = content
            taken += size
    return affordable, taken


def settled_text(state: State, *, now: float, status: str, path: str) -> str:
    """A run as text: heading, problems, table, where its files are."""
    title = state.plan.title if state.plan else "Untitled plan"
    parts = [f"{one_line(title)}: {_outcome(state, now, status)}", progress_text(state, now)]
    parts += [one_line(used, 500)] if (used := usage_line(state)) else []
    problems = islice(_problems(state), _MAX_PROBLEMS)
    parts += [f"{icon} {name}{': ' if name else ''}{words}" for icon, name, words in problems]
    if state.plan is not None:
        parts.append(f"\n{table_text(state, now)}\n")
    if advice := _advice(state, status):
        parts.append(f"{advice[0]}: {advice[1]}")
    parts.append(f"Files: {one_line(path, 500)}")
    return "\n".join(parts)


# -- heading and end ---------------------------------------------------------------------------------------------------


def _heading_html(state: State, now: float, status: str) -> str:
    title = state.plan.title if state.plan else "Untitled plan"
    heading = f"<h3>{text_html(title, 100)}</h3>\n"
    facts = f"<p>{_ICONS.get(status, '⏹️')} <b>{escape(_outcome(state, now, status))}</b>"
    facts += f" · session <code>{text_html(state.session, 80)}</code>"
    if state.params:
        shown = list(state.params.items())[:_MAX_PARAMS]
        params = (f"<code>{text_html(name, 40)} = {text_html(_value(value), 80)}</code>" for name, value in shown)
        facts += f"<br>With {some(fitting(params, _PARAMS), total=len(state.params))}"
    return f"{heading}{facts}</p>\n{progress_html(state, now)}"


def _outcome(state: State, now: float, status: str) -> str:
    told = progress(state, now)
    return (
        f"{status.replace('_', ' ').capitalize()} after {duration(told.elapsed)}" if state.run else status.capitalize()
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _ending_html(state: State, status: str, path: str) -> str:
    lines = [f"Files: <code>{text_html(path, 300)}</code>"]
    if advice := _advice(state, status):
        lines.insert(0, f"{advice[0]}: <code>{text_html(advice[1], 500)}</code>")
    session = f'Session.open("{one_line(state.session, 80)}")'
    lines.append(f"Live again: <code>run.view</code>, in another notebook <code>{text_html(session)}.view</code>")
    return f"<hr>\n<p>{'<br>'.join(lines)}</p>\n"


def _advice(state: State, status: str) -> tuple[str, str] | None:
    """What to do to go on, and the command that does it."""
    failed = next((task for task in state.by_index if task.status is TaskStatus.FAILED), None)
    resume = f"orchestrate resume {state.session}"
    if failed is not None:
        return "Again", f"orchestrate retry {failed.id} -s {state.session} && {resume}"
    unsettled = any(number for name, number in state.counts.items() if name not in SETTLED)
    return ("Go on", resume) if unsettled and status not in ("running", "paused") else None


# -- problems ----------------------------------------------------------------------------------------------------------


def _problems(state: State) -> Iterator[tuple[str, str, str]]:
    """What people should know before anything else: an icon, the task, and what is the matter; cleaned."""
    if state.ended is not None and state.ended.message:
        yield "❌", "", one_line(state.ended.message, 500)
    for checkpoint in state.open_checkpoints:
        answer = f"Answer with '{one_line(approve_command(checkpoint.id, checkpoint.answer_schema))}'."
        yield "✋", one_line(checkpoint.task), f"{one_line(checkpoint.question, 500)} {answer}"
    blocked = Counter(task.blocked_by for task in state.by_index if task.status is TaskStatus.BLOCKED)
    for task in state.by_index:
        if task.status is TaskStatus.FAILED:
            yield "❌", f"{one_line(task.id)} ({agent_label(task.number)})", _failure(task, blocked[task.id])
    for warning in state.warnings:
        yield "⚠️", one_line(warning.task), one_line(warning.message, 500)


def _failure(task: TaskState, blocked: int) -> str:
    error = one_line(task.error, 500) or "It failed"
    sentences = [error if error.endswith((".", "…")) else f"{error}."]
    if task.attempt > 1:
        sentences.append(f"It was tried {task.attempt} times.")
    if blocked:
        sentences.append(f"{count(blocked, 'task')} could not start because of it.")
    return " ".join(sentences)


def _number_of_problems(state: State) -> int:
    ended_badly = state.ended is not None and bool(state.ended.message)
    return ended_badly + len(state.open_checkpoints) + state.counts[TaskStatus.FAILED] + len(state.warnings)


def _problems_html(state: State, room: float) -> str:
    items = (
        f"<li>{icon} {f'<b>{text_html(name)}</b>: ' if name else ''}{text_html(words, 1000)}</li>\n"
        for icon, name, words in islice(_problems(state), _MAX_PROBLEMS)
    )
    shown = fitting(items, room - 100)
    listed = f"<ul>\n{''.join(shown)}</ul>\n" if shown else ""
    return f"{listed}{more_html(_number_of_problems(state) - len(shown), 'more problem')}"


# -- results -----------------------------------------------------------------------------------------------------------


def results_html(state: State, results: Mapping[str, str], *, links: Links | None = None, budget: int = BUDGET) -> str:
    """The results of tasks in plan order, each folded under its name, within `budget` bytes."""
    plan = state.plan
    with_result = [task for task in state.by_index if results.get(task.id, "").strip()]
    if plan is None or not with_result:
        return ""
    room = budget - 200.0
    each = max(_MIN_RESULT, room / len(with_result))
    parts = (_result_html(plan.tasks[task.index], task, results[task.id], each, links) for task in with_result)
    shown = fitting(parts, room)
    return f"{''.join(shown)}{more_html(len(with_result) - len(shown), 'more result')}"


def _result_html(spec: Task, task: TaskState, text: str, room: float, links: Links | None) -> str:
    took = f" in {duration(task.duration)}" if task.duration is not None else ""
    title = "" if spec.label == task.id else f" · {text_html(spec.label, 60)}"
    summary = f"{agent_label(task.number)} · <b>{text_html(task.id)}</b>{title} · {STATUS_LABELS[task.status]}{took}"
    printed = is_printed(spec, task)
    return _folded(
        summary, text[:_MAX_RESULT], room, lambda part: value_html(part, printed=printed, links=links), len(text)
    )


def _folded(
    summary: str,
    text: str,
    room: float,
    render: Callable[[str], str],
    total: int = 0,
    *,
    is_open: bool = False,
) -> str:
    """A fold with `summary`, and as much of `text` in it as fits into `room` bytes; empty if nothing does.

    HTML is longer than its text, and how much so depends on the text: it is made shorter until it fits.
    """
    head, end = f"<details{' open' if is_open else ''}><summary>{summary}</summary>\n", "</details>\n"
    room -= _size(head + end) + _MORE
    total = max(total, len(text))
    shown = min(len(text), int(room))
    while shown > 0:
        html = render(text[:shown])
        if (size := _size(html)) <= room:
            return f"{head}{html}{more_characters(total - shown)}{end}"
        shown = int(shown * min(0.9, room / size))
    return ""


def _size(html: str) -> int:
    return len(html.encode())
