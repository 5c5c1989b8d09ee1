"""`run.view.log`: the run told in lines."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.jupyter.part import Bundle, Changes, Pane
from orchestrator_nb.jupyter.tail import Recent, Records
from orchestrator_nb.projections.lines import Lines
from orchestrator_nb.runtime.session import Session

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

#: Lines that are kept, and those of a saved notebook.
MAX_LINES = 2000
_SETTLED = 200

#: What the lines of these events are marked with, beside their words.
_KINDS: dict[type[e.Event], str] = {
    e.TaskFailed: "error",
    e.WarningRaised: "warning",
    e.TaskBlocked: "warning",
    e.AttemptInterrupted: "warning",
    e.QuotaReached: "warning",
    e.HaltRequested: "warning",
    e.CheckpointRejected: "warning",
    e.CheckpointReached: "question",
}


class LogPane(Pane):
    """The log: what has happened, from the event log's end, and what happens."""

    name = "log"

    def __init__(self, view: View) -> None:
        self._records = Records(view.subject.directory.log_path)
        self._words = Lines(datetime.now().astimezone().tzinfo)  # type: ignore[arg-type]
        self._recent = Recent(MAX_LINES)
        self._reading = threading.Lock()
        self._told = 0
        super().__init__(view, kind="text")

    def whole(self, state: State) -> dict[str, Any]:
        """The newest lines that were read; the rest follows when the page begins to show them."""
        return {"text": {"key": "", **self._recent.since(0)}}

    def refresh(self, changes: Changes) -> None:
        """Send the lines that are new."""
        self._read(changes.records)
        if self._recent.end > self._told:
            self.post("text", text={"key": "", **self._recent.since(self._told)})
            self._told = self._recent.end

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """The last lines."""
        lines = str(Session(view.subject.directory, view.subject.settings).log).splitlines()
        head = [f"… [{len(lines) - _SETTLED:,} earlier lines]"] if len(lines) > _SETTLED else []
        return {"text/plain": "\n".join([*head, *lines[-_SETTLED:]]) or "Nothing has happened yet."}

    def _read(self, newest: list[e.Record]) -> None:
        subject = self.view.subject
        with self._reading:
            with subject.reading() as state:
                published = state.seq
            records = self._records.read(published, newest)
            with subject.reading() as state:
                for record in records:
                    kind = _KINDS.get(type(record.event))
                    lines = self._words.of(record, state)
                    self._recent.add((line, kind) for line in lines) if kind else self._recent.add(lines)
