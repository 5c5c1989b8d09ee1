"""The plain ways to show a run: lines for pipes, S1's transcript, JSON lines for programs, or only the end."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator_nb.cli.following import Reporter, Subject
from orchestrator_nb.cli.output import is_terminal, say, say_json
from orchestrator_nb.cli.summary import say_summary, summary

if TYPE_CHECKING:
    from orchestrator_nb.core.events import Record


def reporter_for(*, as_json: bool, transcript: bool, progress: bool, quiet: bool) -> Reporter:
    """The reporter that was asked for, or that fits where the output goes."""
    if as_json:
        return JsonReporter()
    if quiet:
        return QuietReporter()
    if transcript:
        return TranscriptReporter()
    if progress and is_terminal():
        from orchestrator_nb.cli.live import LiveReporter

        return LiveReporter()
    return LineReporter()


class QuietReporter(Reporter):
    """Says only how it ended."""

    def begin(self, subject: Subject) -> None:
        """Keep what the summary is of."""
        self.subject = subject

    def note(self, message: str) -> None:
        """To standard error."""
        if message:
            say(message, err=True)

    def end(self, code: int) -> None:
        """Print the summary."""
        say_summary(self.subject)


class LineReporter(QuietReporter):
    """One line an event."""

    def begin(self, subject: Subject) -> None:
        """Name the session."""
        from orchestrator_nb.projections.lines import Lines

        super().begin(subject)
        say(f"Session {subject.id} in {subject.path.parent}")
        self._lines = Lines(datetime.now().astimezone().tzinfo or UTC)

    def take(self, records: list[Record]) -> None:
        """Print what happened."""
        with self.subject.reading() as state:
            lines = [line for record in records for line in self._lines.of(record, state)]
        for line in lines:
            say(line)


class TranscriptReporter(QuietReporter):
    """S1 3.2's transcript."""

    def begin(self, subject: Subject) -> None:
        """Begin the transcript."""
        from orchestrator_nb.projections.transcript import Transcript

        super().begin(subject)
        say(f"Session {subject.id} in {subject.path.parent}")
        self._transcript = Transcript()

    def take(self, records: list[Record]) -> None:
        """Print what the records add."""
        with self.subject.reading() as state:
            parts = [self._transcript.of(record, state) for record in records]
        for part in parts:
            if part:
                say(part)


class JsonReporter(Reporter):
    """JSON lines: ``launch`` with session, path and pid; ``event`` for each record of the log; ``end``."""

    def begin(self, subject: Subject) -> None:
        """Print the launch record."""
        self._subject = subject
        with subject.reading() as state:
            launch: dict[str, Any] = {
                "type": "launch",
                "session": subject.id,
                "path": str(subject.path),
                "pid": os.getpid() if subject.own else (state.run.pid if state.run else None),
                "title": state.plan.title if state.plan else "",
                "tasks": len(state.by_index),
            }
        say_json(launch, line=True)
        sys.stdout.flush()

    def take(self, records: list[Record]) -> None:
        """Print the records."""
        for record in records:
            say_json({"type": "event", **msgspec.to_builtins(record)}, line=True)
        sys.stdout.flush()

    def end(self, code: int) -> None:
        """Print how it ended."""
        say_json({"type": "end", "session": self._subject.id, "exit_code": code, **summary(self._subject)}, line=True)
        sys.stdout.flush()
