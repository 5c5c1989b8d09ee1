"""Commands that look at one task: logs, show, explain."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import Part, say, say_json
from orchestrator_nb.errors import CommandRefused

if TYPE_CHECKING:
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.runtime.session import Session

#: Seconds between two looks at a growing log, bytes read at once.
_LOOK = 0.1
_CHUNK = 64 * 1024
#: Characters of a result that `show` prints.
_MAX_RESULT = 4000


def logs(
    task: options.Task,
    session: options.OfSession = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="One of its attempts.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they are, control characters and all.")] = False,
) -> None:
    """Print what a task printed.

    Control characters are made harmless, unless --raw asks for them.
    """
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    state = found.task(task)
    if follow:
        _follow(found, task, attempt, raw)
        return
    if state.attempt == 0 and not state.reused_from:
        raise CommandRefused(f"task '{task}' is {state.status} and was not started yet: 'orchestrate explain {task}'")
    path = _log(found, state, attempt)
    if not path.is_file():
        number = attempt or state.attempt
        raise CommandRefused(f"task '{task}' left no log in attempt {number}: {_without_log(found, state)}")
    with _opened(path) as stream, _Printer(raw) as printer:
        printer.copy(stream)


def _follow(session: Session, task: str, attempt: int | None, raw: bool) -> None:
    """Print an attempt's log as it grows, and those of later attempts, until the task has ended or nobody runs it."""
    number = attempt or max(session.task(task).attempt, 1)
    while True:
        path = _log(session, session.task(task), number)
        with _Printer(raw) as printer:
            stream: BinaryIO | None = None
            while True:
                live = session.holder() is not None
                session.refresh()
                state = session.task(task)
                over = not live or state.attempt > number or state.status.settled
                if stream is None and path.is_file():
                    stream = _opened(path)
                if stream is not None:
                    printer.copy(stream)
                if over:
                    break
                time.sleep(_LOOK)
        if attempt or state.attempt <= number:
            return
        number = state.attempt
        say(f"--- attempt {number} ---", err=True)


class _Printer:
    """Writes a log's bytes to standard output, cleaned or raw."""

    def __init__(self, raw: bool) -> None:
        from orchestrator_nb.projections.text import Cleaner

        self._cleaner = None if raw else Cleaner()

    def __enter__(self) -> _Printer:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._cleaner is not None and (rest := self._cleaner.end()):
            sys.stdout.write(rest)
        sys.stdout.flush()

    def copy(self, stream: BinaryIO) -> None:
        """Write what can be read from `stream` now."""
        while chunk := stream.read(_CHUNK):
            if self._cleaner is None:
                sys.stdout.buffer.write(chunk)
            else:
                sys.stdout.write(self._cleaner.feed(chunk))
        sys.stdout.flush()


def _opened(path: Path) -> BinaryIO:
    """A log to read: tasks can write beside it, so no link is followed and nothing but a file is read."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))


def _log(session: Session, task: TaskState, attempt: int | None) -> Path:
    from orchestrator_nb.cli.facts import log_path

    path: Path = log_path(session, task, attempt)
    return path


def _without_log(session: Session, task: TaskState) -> str:
    kind = session.plan.tasks[task.index].kind
    return f"its agent is '{kind}'; 'orchestrate show {task.id}' has its result"


def show(task: options.Task, session: options.OfSession = None, as_json: options.Json = False) -> None:
    """Show one task and what it left."""
    from orchestrator_nb.cli.facts import result_facts, task_facts
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    state = found.task(task)
    facts = {"session": found.id, **task_facts(found.plan, state), **result_facts(found, state)}
    if as_json:
        say_json(facts)
        return
    for line in _story(found, state, facts):
        say(*line)


def _story(session: Session, task: TaskState, facts: dict[str, object]) -> list[list[Part]]:
    from orchestrator_nb.cli.summary import icon
    from orchestrator_nb.core.ids import agent_label
    from orchestrator_nb.projections.text import clean, one_line
    from orchestrator_nb.projections.words import duration, some, timestamp

    spec = session.plan.tasks[task.index]
    sign, style = icon(task.status)
    work = spec.prompt or spec.command or spec.function or spec.notebook or ""
    rows: dict[str, str] = {
        "Agent": f"{agent_label(task.number)} ({spec.kind})",
        "Work": one_line(work if isinstance(work, str) else " ".join(work), 300),
        "After": some(list(spec.upstream)),
        "Attempt": str(task.attempt or ""),
        "Started": f"{timestamp(task.started_at)} UTC" if task.started_at else "",
        "Took": duration(task.duration) if task.duration is not None else "",
        "Exit code": "" if task.exit_code is None else str(task.exit_code),
        "Error": task.error,
        "Blocked by": task.blocked_by,
        "Taken from": task.reused_from,
        "Log": str(facts["log"] or ""),
        "Result": str(facts["result"] or ""),
    }
    name = task.status.replace("_", " ")
    lines: list[list[Part]] = [
        [(task.id, "bold"), f"  {spec.title}" if spec.title else ""],
        [f"{sign} ", (name, style)],
    ]
    lines += [[(f"{name + ':':<12}", "dim"), value] for name, value in rows.items() if value]
    lines += [[("Output:     ", "dim"), str(session.path / output.path)] for output in task.outputs]
    if task.status == "completed" and (value := session.result_of(task.id)) not in (None, ""):
        lines += [[""], [clean(_as_text(value), _MAX_RESULT).rstrip()]]
    return lines


def _as_text(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def explain(task: options.Task, session: options.OfSession = None, as_json: options.Json = False) -> None:
    """Say why a task has not started."""
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    explanation = found.explain(task)
    if as_json:
        say_json(explanation)
    else:
        for sentence in explanation.sentences:
            say(sentence)
