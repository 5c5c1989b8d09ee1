"""The command logs: what an attempt printed, made harmless, and followed as it grows."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say, say_json
from orchestrator_nb.errors import CommandRefused

if TYPE_CHECKING:
    from orchestrator_nb.agents.coding.cli import Parser
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.runtime.session import Session

#: Seconds between two looks at a growing log, bytes read at once.
_LOOK = 0.1
_CHUNK = 64 * 1024


def logs(
    task: options.Task,
    session: options.OfSession = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="One of its attempts.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they are, control characters and all.")] = False,
    as_json: options.Json = False,
) -> None:
    """Print what a task printed.

    Control characters are made harmless, unless --raw asks for them; what a coding agent printed is told in words. What
    it printed on standard error goes there.
    """
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    state = found.task(task)
    number = attempt or state.attempt
    if as_json:
        _say_json(found, state, number)
        return
    if state.attempt == 0 and not (follow and found.holder()):
        raise CommandRefused(f"task '{task}' is {state.status} and was not started yet: 'orchestrate explain {task}'")
    if follow:
        _follow(found, task, attempt, raw=raw)
        return
    if not sum(copy.finish() for copy in _copies(found, state, number, raw=raw)):
        kind = found.plan.tasks[state.index].kind
        raise CommandRefused(
            f"task '{task}' (agent: {kind}) printed nothing in attempt {number}: see 'orchestrate show {task}'"
        )


def _say_json(session: Session, state: TaskState, number: int) -> None:
    """Where the logs are, and what is in them as text: the first 256 KiB of each."""
    from orchestrator_nb.projections.text import MAX_TEXT, clean

    told: dict[str, object] = {"session": session.id, "task": state.id, "attempt": number}
    for name, copy in zip(("out", "err"), _copies(session, state, number, raw=False), strict=True):
        told[name] = (
            {"path": str(copy.path), "text": clean(copy.beginning(MAX_TEXT + 1))} if copy.path.is_file() else None
        )
    say_json(told)


def _follow(session: Session, task: str, attempt: int | None, *, raw: bool) -> None:
    """Print an attempt's log as it grows, and those of later attempts, until the task has ended or nobody runs it."""
    state = session.task(task)
    number = attempt or max(state.attempt, 1)
    while True:
        copies = _copies(session, state, number, raw=raw)
        while session.holder() is not None and state.attempt <= number and not state.status.settled:
            for copy in copies:
                copy.go_on()
            time.sleep(_LOOK)
            session.refresh()
            state = session.task(task)
        for copy in copies:
            copy.finish()
        session.refresh()
        state = session.task(task)
        if attempt or state.attempt <= number:
            return
        number = state.attempt
        say(f"--- attempt {number} ---", err=True)


def _copies(session: Session, state: TaskState, number: int, *, raw: bool) -> list[_Copy]:
    directory = session.path / session.directory.attempt(state.id, number)
    parser = None if raw or state.id not in session.state.agent_attempts else _parser(session, state)
    return [_Copy(directory / "log", sys.stdout, raw, parser), _Copy(directory / "log.stderr", sys.stderr, raw)]


def _parser(session: Session, state: TaskState) -> Parser | None:
    from orchestrator_nb.agents.coding.telling import parser_for

    return parser_for(session.plan.tasks[state.index].kind)


class _Copy:
    """One log file on its way to a stream, cleaned or raw."""

    def __init__(self, path: Path, stream: TextIO, raw: bool, parser: Parser | None = None) -> None:
        from orchestrator_nb.projections.text import Cleaner

        self.path = path
        self._stream = stream
        self._cleaner: Cleaner | _Words | None = None if raw else Cleaner() if parser is None else _Words(parser)
        self._source: BinaryIO | None = None
        self._any = False

    def beginning(self, size: int) -> bytes:
        """The first bytes."""
        with _opened(self.path) as source:
            return source.read(size)

    def go_on(self) -> None:
        """Write what there is by now."""
        if self._source is None:
            try:
                self._source = _opened(self.path)
            except FileNotFoundError:
                return
        while chunk := self._source.read(_CHUNK):
            self._any = True
            if self._cleaner is None:
                self._stream.buffer.write(chunk)
            else:
                self._stream.write(self._cleaner.feed(chunk))
        self._stream.flush()

    def finish(self) -> bool:
        """Write the rest; return whether there was anything at all."""
        self.go_on()
        if self._cleaner is not None:
            self._stream.write(self._cleaner.end())
        self._stream.flush()
        if self._source is not None:
            self._source.close()
        return self._any


class _Words:
    """A coding agent's log in words, as a `Cleaner` gives text."""

    def __init__(self, parser: Parser) -> None:
        from orchestrator_nb.agents.coding.telling import Telling

        self._telling = Telling(parser)

    def feed(self, chunk: bytes) -> str:
        """What the lines say that `chunk` finishes."""
        return "".join(f"{line}\n" for line, _ in self._telling.feed(chunk))

    def end(self) -> str:
        """The rest."""
        return "".join(f"{line}\n" for line, _ in self._telling.end())


def _opened(path: Path) -> BinaryIO:
    """A log to read: tasks can write beside it, so no link is followed and nothing but a file is read."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))
