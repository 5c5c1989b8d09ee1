"""What is said at the end of a run: how it ended, what failed and what to do about it, where the result is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator_nb.cli import facts
from orchestrator_nb.cli.output import Part, say
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.tasks import SETTLED
from orchestrator_nb.projections.budgets import facts as budget_facts
from orchestrator_nb.projections.budgets import line as budget_line
from orchestrator_nb.projections.quotas import until
from orchestrator_nb.projections.text import gist, one_line
from orchestrator_nb.projections.theme import PLAIN, STATUSES
from orchestrator_nb.projections.usage import line as usage_line
from orchestrator_nb.projections.usage import of_run
from orchestrator_nb.projections.words import approve_command, count, duration

if TYPE_CHECKING:
    from orchestrator_nb.cli.following import Subject
    from orchestrator_nb.core.state import State
    from orchestrator_nb.core.tasks import TaskState

#: Failures and warnings that are told one by one.
_MAX_FAILURES = 10
_MAX_WARNINGS = 5
_MARK = {"completed": ("✔", "bold green"), "failed": ("✘", "bold red"), "error": ("✘", "bold red")}


def summary(subject: Subject) -> dict[str, Any]:
    """How a run ended, as plain values."""
    with subject.reading() as state:
        return {
            "status": subject.status(),
            "counts": facts.counts(state),
            "elapsed": facts.elapsed(state, None),
            "result": _result(subject, state),
            "failures": [
                {"task": task.id, "error": task.error, "kind": task.error_kind, "exit_code": task.exit_code}
                for task in state.by_index
                if task.status == "failed"
            ],
            "checkpoints": [checkpoint.id for checkpoint in state.open_checkpoints],
            "usage": of_run(state).facts() if state.agent_attempts else None,
            "budget": budget_facts(state, time.time()),
            "message": state.ended.message if state.ended else "",
        }


def say_summary(subject: Subject) -> None:
    """Print how a run ended."""
    with subject.reading() as state:
        lines = list(_lines(subject, state))
    for line in lines:
        say(*line)


def _lines(subject: Subject, state: State) -> Iterator[tuple[Part, ...]]:
    status = subject.status()
    mark, style = _MARK.get(status, ("■", "bold yellow"))
    took = duration(facts.elapsed(state, None))
    yield (f"{mark} {status.capitalize()}", style), f" after {took}: ", *_counts(state)
    if state.ended is not None and state.ended.message:
        yield "  ", (one_line(state.ended.message, 500), "red")
    failed = [task for task in state.by_index if task.status == "failed"]
    for task in failed[:_MAX_FAILURES]:
        yield "  ", (task.id, "bold"), f" ({agent_label(task.number)}): ", (one_line(task.error, 300), "red")
    if len(failed) > _MAX_FAILURES:
        yield (f"  … and {len(failed) - _MAX_FAILURES:,} more: orchestrate status {subject.id}",)
    if failed:
        yield from _hints(subject, failed[0])
    yield from notices(state)
    if any(number for name, number in state.counts.items() if name not in SETTLED):
        yield "  Go on:   ", (f"orchestrate resume{subject.which}", "bold")
    if result := _result(subject, state):
        yield "  Result:  ", (short(result), "bold")
    else:
        yield "  Session: ", short(str(subject.path))


def notices(state: State) -> Iterator[tuple[Part, ...]]:
    """Lines with what people should know, what coding agents have used, and what people are asked."""
    if used := usage_line(state):
        yield "  Used:    ", used
    if budget := budget_line(state, time.time()):
        yield "  Budget:  ", budget
    for warning in state.warnings[-_MAX_WARNINGS:]:
        yield ("  Warning: ", "yellow"), one_line(warning.message, 500)
    for checkpoint in state.open_checkpoints:
        command = approve_command(checkpoint.id, checkpoint.answer_schema)
        yield "  Asked:   ", (one_line(gist(checkpoint.question)), "bold"), f"  {command}"
    for waited in state.quotas.values():
        yield "  Waits:   ", f"for {until(waited, time.time())}"


def _hints(subject: Subject, task: TaskState) -> Iterator[tuple[Part, ...]]:
    of = subject.which and f" -s{subject.which}"
    logged = facts.log_path(subject.path, task).is_file()
    yield "  Look:    ", (f"orchestrate {'logs' if logged else 'show'} {task.id}{of}", "bold")
    again = f"orchestrate retry {task.id}{of} && orchestrate resume{subject.which}"
    yield "  Again:   ", (again, "bold")


def _counts(state: State) -> list[Part]:
    """``3 completed, 1 failed of 5 tasks``, in the statuses' colours."""
    parts: list[Part] = []
    for name, style in STATUSES.items():
        if number := facts.counts(state).get(name, 0):
            parts += [", "] if parts else []
            parts.append((f"{number:,} {style.name.lower()}", style.terminal))
    return [*parts, f" of {count(len(state.by_index), 'task')}"]


def _result(subject: Subject, state: State) -> str | None:
    if state.merged is None:
        return None
    return str((subject.output or subject.path) / "final_output.md")


def short(path: str) -> str:
    """A path for people: relative where it lies below the current directory."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def icon(status: str) -> tuple[str, str]:
    """The sign of a status, two cells wide on every terminal, in its colour.

    Terminals disagree about the width of signs with a variation selector: it is left out, and a space put in.
    """
    from rich.cells import cell_len

    style = STATUSES.get(status, PLAIN)
    sign = style.icon.replace("\ufe0f", "")
    return sign + " " * (2 - cell_len(sign)), style.terminal
