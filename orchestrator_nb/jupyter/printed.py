"""What one attempt of a task has written so far: its raw logs, and the steps that it told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator_nb.core import events as e
from orchestrator_nb.jupyter.tail import Line, Recent, Records, Tail
from orchestrator_nb.projections.text import one_line

#: Agents whose logs tell their steps already.
_LOGGING = ("shell", "notebook")


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
        self._logs = (Tail(directory / "log"), Tail(directory / "log.stderr"))
        self._events = None if kind in _LOGGING else Records(events, "task_progressed", after)

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
        for log, kind in zip(self._logs, ("", "stderr"), strict=True):
            self.recent.add(_marked(log.finish() if over else log.read(), kind))
        if self._events is not None:
            self.recent.add(self._steps(self._events.read(until, newest)))
        unfinished = [*_marked([self._logs[0].unfinished], ""), *_marked([self._logs[1].unfinished], "stderr")]
        self.recent.open = [line for line in unfinished if line and line[0]]
        self.over = over
        return over or self.recent.end > self.told or self.recent.open != open_before

    def _steps(self, records: Iterable[e.Record]) -> Iterable[Line]:
        for record in records:
            event = record.event
            if isinstance(event, e.TaskProgressed) and (event.task, event.attempt) == (self._task, self._attempt):
                steps = f"{event.done}/{event.total}" if event.total else ""
                yield " ".join(part for part in (steps, one_line(event.message)) if part)


def _marked(texts: list[str], kind: str) -> Iterable[Line]:
    return [(text, kind) for text in texts] if kind else texts
