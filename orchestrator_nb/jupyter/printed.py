"""What one attempt of a task has written so far: its raw logs, and the steps that it told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orchestrator_nb.agents.coding.telling import parser_for
from orchestrator_nb.core import events as e
from orchestrator_nb.jupyter.tail import AgentLog, Line, Recent, Records, Tail
from orchestrator_nb.projections import agent_words
from orchestrator_nb.projections.text import one_line

#: Agents whose logs tell their steps already.
_LOGGING = ("shell", "notebook")
#: Sources of refusals that the log does not hold (`AgentDenied.source`).
_ELSEWHERE = ("stderr", "rollout")
#: Types of the events that tell steps.
_STEPS = ("task_progressed", "agent_started", "agent_denied", "agent_spent")


class Printed:
    """The text of one attempt, read as it grows, in one thread."""

    def __init__(self, kind: str, task: str, attempt: int, directory: Path, events: Path, after: int = 0) -> None:
        """`directory` is the attempt's, `events` the session's log, in which no step was told up to number `after`."""
        self.key = f"{task}/{attempt}"
        self.recent = Recent()
        #: Up to which line the page was told (it has not heard of it yet), and whether there is no more to come.
        self.told = -1
        self.over = False
        self._task, self._attempt = task, attempt
        parser = parser_for(kind)
        #: Whether the log is told in words, which leaves less to be told by events.
        self._in_words = parser is not None
        log = directory / "log"
        self._logs = (Tail(log) if parser is None else AgentLog(log, parser), Tail(directory / "log.stderr"))
        self._events = None if kind in _LOGGING else Records(events, _STEPS, after)

    @property
    def note(self) -> str:
        """What was left out, and what could not be read."""
        notes = [log.trouble or f"{log.left_out:,} earlier bytes: {log.path}" for log in self._logs if log.left_out]
        return "; ".join([*notes, *(log.trouble for log in self._logs if log.trouble and not log.left_out)])

    def read(self, until: int, over: bool, newest: Sequence[e.Record] = ()) -> bool:
        """Take in what is new, of the events up to number `until`; return whether the page has to be told.

        `over` says that the attempt has ended. `newest` are the last events, if they are at hand.
        """
        if self.over:
            return False
        open_before = self.recent.open
        steps = list(self._steps(self._events.read(until, newest))) if self._events is not None else []
        self.recent.add(line for event, line in steps if isinstance(event, e.AgentStarted))
        for log, kind in zip(self._logs, ("", "stderr"), strict=True):
            self.recent.add(_marked(log.finish() if over else log.read(), kind))
        self.recent.add(line for event, line in steps if not isinstance(event, e.AgentStarted))
        unfinished = [*_marked([self._logs[0].unfinished], ""), *_marked([self._logs[1].unfinished], "stderr")]
        self.recent.open = [line for line in unfinished if line and line[0]]
        self.over = over
        return over or self.recent.end > self.told or self.recent.open != open_before

    def _steps(self, records: Iterable[e.Record]) -> Iterator[tuple[e.AnyEvent, Line]]:
        """What is told by events, each with its line; what the log tells in words is not told again."""
        for record in records:
            event = record.event
            if not isinstance(event, e.AttemptEvent) or (event.task, event.attempt) != (self._task, self._attempt):
                continue
            if isinstance(event, e.TaskProgressed):
                steps = f"{event.done}/{event.total}" if event.total else ""
                if not (event.logged and self._in_words):
                    yield event, " ".join(part for part in (steps, one_line(event.message)) if part)
            elif isinstance(event, e.AgentDenied):
                if not (self._in_words and event.id and event.source not in _ELSEWHERE):
                    yield event, (agent_words.denied(event), "warning")
            elif words := agent_words.of(event):
                yield event, f"[{words}]"


def _marked(lines: Sequence[Line], kind: str) -> Iterable[Line]:
    return [(line, kind) if isinstance(line, str) else line for line in lines] if kind else lines
