"""`run["T-03"]`: one task of a run or session, with all that is known of it."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from orchestrator_nb.agents.coding.telling import in_words as told_in_words
from orchestrator_nb.core.agent_attempts import AgentAttempt
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, OrchestratorError, UnsafePath
from orchestrator_nb.projections import agent_words
from orchestrator_nb.projections.explain import Explanation
from orchestrator_nb.projections.text import clean, one_line
from orchestrator_nb.projections.usage import TotalUsage, label, used
from orchestrator_nb.projections.words import STATUS_LABELS, timestamp
from orchestrator_nb.projections.words import duration as in_words
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.reading import open_regular

#: Bytes of the end of a log that are given as text; and characters of it that a notebook shows.
LOG_TAIL = 256 * 1024
#: The same of a coding agent's log, of which most is JSON around the words.
AGENT_LOG = 4 << 20
_SHOWN_LOG = 16 * 1024


class UnknownTask(CommandRefused, KeyError):  # noqa: N818 - it is what a mapping raises
    """There is no task of this id."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes


class Text(str):
    """Text of several lines, which a notebook shows as such."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


class Source(Protocol):
    """The run or session that a task belongs to."""

    @property
    def directory(self) -> SessionDir:
        """Where it lies on disk."""

    def _reading(self) -> AbstractContextManager[State]:
        """The state, which holds still while the context is open."""

    def result_of(self, task_id: str) -> Any:
        """The result of a completed task."""

    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""


def find_task(state: State, task_id: str) -> TaskState:
    """The state of a task. Raises `UnknownTask` (a `KeyError` and a `CommandRefused`) with the nearest id."""
    try:
        return state.tasks[task_id]
    except (KeyError, TypeError):
        hint = did_you_mean(task_id, state.tasks) if isinstance(task_id, str) else ""
        raise UnknownTask(f"session {state.session} has no task {task_id!r}{hint}") from None


class TaskView:
    """One task, as it stands whenever it is asked: of a run that goes on, or of a session on disk.

    >>> task = run["T-03"]  # doctest: +SKIP
    >>> task.status, task.result, task.outputs["table.csv"]  # doctest: +SKIP
    >>> print(task.log)  # doctest: +SKIP
    """

    def __init__(self, source: Source, task_id: str) -> None:
        """Raises `UnknownTask`, naming the nearest id."""
        self._source = source
        with source._reading() as state:
            self.id = find_task(state, task_id).id

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """One line for people; the id where the plan has no title."""
        return one_line(self._spec.label)

    @property
    def agent(self) -> str:
        """The kind of agent that does it: `shell`, `function`, `notebook`, ..."""
        return self._spec.kind

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Ids of the tasks that had to end before it could start."""
        return self._spec.upstream

    # -- what became of it ---------------------------------------------------------------------------------------------

    @property
    def status(self) -> TaskStatus:
        """Where it is in its life; equal to its name: ``task.status == "completed"``."""
        return self._state.status

    @property
    def result(self) -> Any:
        """Its result: a JSON value, or text. Raises `RunFailed` if it has not completed."""
        return self._source.result_of(self.id)

    @property
    def value(self) -> Any:
        """Its result, or None as long as it has not completed."""
        return self.result if self.status is TaskStatus.COMPLETED else None

    @property
    def outputs(self) -> dict[str, Path]:
        """The files that it left, by the names under which the plan declares them."""
        directory = self._source.directory
        begin = f"{directory.outputs(self.id)}/"
        return {output.path.removeprefix(begin): directory.path / output.path for output in self._state.outputs}

    @property
    def log(self) -> str:
        """What its last attempt printed, made harmless, errors last; of a long log the end, with a line that says so.

        That of a coding agent is told in words. Empty if it printed nothing, or did not start.
        """
        if not self.attempts:
            return Text()
        log = self.attempts[-1] / "log"
        out, err = self._in_words(log) or _tail(log), _tail(self.attempts[-1] / "log.stderr")
        if not err:
            return Text(out)
        gap = "\n" if out and not out.endswith("\n") else ""
        return Text(f"{out}{gap}--- standard error ---\n{err}")

    @property
    def attempts(self) -> tuple[Path, ...]:
        """The directory of each attempt so far, the first one first; one that wrote no file has not made its own."""
        directory = self._source.directory
        return tuple(directory.path / directory.attempt(self.id, n + 1) for n in range(self._state.attempt))

    @property
    def path(self) -> Path:
        """The directory in which those of its attempts lie."""
        return self._source.directory.path / "attempts" / self.id

    @property
    def started(self) -> datetime | None:
        """When its last attempt began, in UTC; None if it has not started, or was taken over from another session."""
        return _moment(self._state.started_at)

    @property
    def ended(self) -> datetime | None:
        """When its last attempt ended, in UTC."""
        return _moment(self._state.ended_at)

    @property
    def duration(self) -> float | None:
        """Seconds of its last attempt, so far if it is running; None where there is nothing to say."""
        state = self._state
        if state.status is TaskStatus.RUNNING and state.started_at is not None:
            return max(0.0, time.time() - state.started_at)
        return state.duration

    @property
    def usage(self) -> TotalUsage:
        """What its coding agent has used, over all attempts: tokens, US dollars (None: unknown), seconds.

        >>> run["T-03"].usage.cost, str(run["T-03"].usage)  # doctest: +SKIP
        (0.25, '105 tokens in, 10 out, 0.2500 $')
        """
        return used(self._agent_attempts)

    @property
    def commits(self) -> tuple[str, ...]:
        """The commits of its last attempt, oldest first."""
        return self._state.commits

    @property
    def changes(self) -> dict[str, str]:
        """The files that its coding agent changed, once it has completed: path -> added, modified, deleted, ..."""
        work = self._state.work
        return {change.path: change.kind for change in work.changes} if work is not None else {}

    @property
    def refused(self) -> tuple[str, ...]:
        """What its coding agent was refused in its last attempt: why, and what would let it through."""
        attempts = self._agent_attempts
        return tuple(agent_words.denial(each) for each in attempts[-1].denials) if attempts else ()

    @property
    def error(self) -> str:
        """What its last attempt failed of, made harmless; empty if it did not."""
        return clean(self._state.error)

    @property
    def why(self) -> tuple[str, ...]:
        """Why it has not started, what it waits for, or what became of it, in sentences."""
        return self._source.explain(self.id).sentences

    # -- how it is shown -----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        took = f" in {in_words(self.duration)}" if self.status.settled and self.duration is not None else ""
        return f"<Task {self.id} {self.status.replace('_', ' ')}{took}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self._text(), "text/html": self._html()}

    def _text(self) -> str:
        rows = self._rows()
        width = max(map(len, rows))
        lines = [f"{self.id}: {self.title}", *(f"{name:{width}}  {text}" for name, text in rows.items())]
        return "\n".join(lines)

    def _html(self) -> str:
        from orchestrator_nb.projections.rendering import plain_html, text_html

        left = 'style="text-align:left"'
        cells = "".join(
            f"<tr><th {left}>{name}</th><td {left}>{text_html(text, 1000)}</td></tr>"
            for name, text in self._rows(result=False).items()
        )
        parts = [f"<p><strong>{text_html(self.id)}</strong> {text_html(self.title)}</p><table>{cells}</table>"]
        if self.status is TaskStatus.COMPLETED:
            parts.append(self._result_html())
        if log := self.log:
            cut = log if len(log) <= _SHOWN_LOG else f"…\n{log[-_SHOWN_LOG:]}"
            parts.append(f"<details><summary>Log</summary>{plain_html(cut)}</details>")
        return f"<div>{''.join(parts)}</div>"

    def _result_html(self) -> str:
        from orchestrator_nb.projections.rendering import text_html, value_html

        try:
            result = self.result
        except OrchestratorError as error:
            return f"<p>{text_html(str(error), 1000)}</p>"
        if result is None:
            return ""
        spec = self._spec
        printed = spec.kind == "shell" and (spec.result is None or spec.result.source == "stdout")
        return f"<p>Result</p>{value_html(result, self._state.format, printed=printed)}"

    def _rows(self, result: bool = True) -> dict[str, str]:
        """What the table says, name by name; what there is nothing to say of is left out."""
        started = self._state.started_at
        rows = {
            "status": STATUS_LABELS[self.status],
            "why": " ".join(self.why),
            "agent": self.agent,
            "depends on": ", ".join(self.depends_on),
            "started": f"{timestamp(started)} UTC" if started is not None else "",
            "took": in_words(self.duration) if self.duration is not None else "",
            "attempts": str(len(self.attempts) or ""),
            "by": label(self._agent_attempts[-1]) if self._agent_attempts else "",
            "used": str(self.usage),
            "refused": one_line("; ".join(self.refused), 1000),
            "changed": one_line(", ".join(self.changes), 1000),
            "commits": one_line(", ".join(commit[:12] for commit in self.commits)),
            "outputs": one_line(", ".join(self.outputs), 1000),
            "result": _preview(self) if result else "",
        }
        return {name: text for name, text in rows.items() if text}

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _state(self) -> TaskState:
        with self._source._reading() as state:
            return find_task(state, self.id)  # a changed plan may have dropped it

    def _in_words(self, log: Path) -> str | None:
        """A coding agent's log in words, else None."""
        if not self._agent_attempts or not log.is_file():
            return None
        try:
            with open_regular(log) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - AGENT_LOG))
                told = told_in_words(self._spec.kind, file.read(AGENT_LOG))
        except (OSError, UnsafePath):
            return None
        return told

    @property
    def _agent_attempts(self) -> list[AgentAttempt]:
        with self._source._reading() as state:
            return list(state.agent_attempts.get(self.id, ()))

    @property
    def _spec(self) -> Task:
        with self._source._reading() as state:
            assert state.plan is not None
            return state.plan.tasks[find_task(state, self.id).index]


def _preview(task: TaskView) -> str:
    try:
        value = task.value
    except OrchestratorError as error:
        return one_line(str(error), 1000)
    return "" if value is None else one_line(value if isinstance(value, str) else repr(value))


def _moment(at: float | None) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at is not None else None


def _tail(path: Path) -> str:
    """The end of a log, cleaned; empty if there is none."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL))
            content = file.read(LOG_TAIL)
    except FileNotFoundError:
        return ""
    except (OSError, UnsafePath) as error:
        return f"… [{one_line(str(error), 500)}]\n"
    if size <= LOG_TAIL:
        return clean(content)
    rest = content[content.find(b"\n") + 1 :]
    return f"… [{size - len(rest):,} earlier bytes: {path}]\n{clean(rest)}"
