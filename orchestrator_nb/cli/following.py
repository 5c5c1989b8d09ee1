"""Following a session until its run is over: one queue for what happens and for signals, one reporter that shows it."""

from __future__ import annotations

import contextlib
import errno
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator_nb.cli.codes import after_signal, of_end
from orchestrator_nb.cli.output import mute
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.words import count

if TYPE_CHECKING:
    from orchestrator_nb.core.events import Record
    from orchestrator_nb.core.state import State
    from orchestrator_nb.runtime.run import Run
    from orchestrator_nb.runtime.session import Session

#: Seconds between two looks at the log of a run in another process.
_LOOK = 0.1
#: No exit code: following has ended, the run has not.
INTERRUPTED = -1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is followed: a run of this process, or a session that another one runs."""

    id: str
    path: Path
    #: The published state, held still while the context is open.
    reading: Callable[[], AbstractContextManager[State]]
    status: Callable[[], str]
    #: Where else the results go (``-o``).
    output: Path | None = None
    #: Whether it is a run of this process.
    own: bool = False

    @property
    def which(self) -> str:
        """How a command names the session, with a space before: not at all if it is the latest."""
        with contextlib.suppress(OSError):
            if (self.path.parent / "latest").readlink() == Path(self.id):
                return ""
        return f" {self.id}"

    @classmethod
    def of_run(cls, run: Run, output: Path | None = None) -> Subject:
        """A run of this process."""
        return cls(run.id, run.path, run.state, lambda: run.status, output, own=True)

    @classmethod
    def of_session(cls, session: Session) -> Subject:
        """A session on disk."""
        return cls(session.id, session.path, lambda: contextlib.nullcontext(session.state), lambda: session.status)


class Reporter:
    """Shows a run to people or programs. All calls come from one thread; this one says nothing."""

    #: Seconds between two calls of `tick` while nothing happens; None: it needs none.
    interval: float | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave the terminal as it was, whatever went wrong."""

    def begin(self, subject: Subject) -> None:
        """Before anything else."""

    def take(self, records: list[Record]) -> None:
        """Something happened."""

    def tick(self) -> None:
        """After everything that happened, and every `interval` seconds."""

    def note(self, message: str) -> None:
        """Something to tell whoever sits at the terminal; empty: what was told is over."""

    def end(self, code: int) -> None:
        """It is over, and the command will end with `code`."""


def follow_run(
    run: Run, subject: Subject, reporter: Reporter, since: int = 0, pause: Callable[[Run], bool] = lambda _: False
) -> int:
    """Show `run` until it is over; obey signals; return the exit code.

    Ctrl-C once stops the run, twice halts it; SIGTERM and SIGHUP halt it. Records up to number `since` are old. As soon
    as `pause` says so, it returns `INTERRUPTED`, and the run goes on. Raises what broke the run, if something did.
    """
    inbox: queue.SimpleQueue[list[Record] | int | None] = queue.SimpleQueue()
    show = _Shower(reporter)
    cause = 0  # the last signal that came
    told = ""  # that it waits
    with _caught(inbox.put), reporter:
        with run.state() as state:
            seen = state.seq
            unsubscribe = run.subscribe(inbox.put)
        threading.Thread(target=_announce_end, args=(run, inbox.put), daemon=True).start()
        show(reporter.begin, subject)
        show(reporter.take, _records(subject.path, since, seen))
        while (item := _next(inbox, reporter.interval)) is not None:
            if isinstance(item, int):
                _obey(run, item, first=not cause, note=lambda message: show(reporter.note, message))
                cause = item
            elif item:
                show(reporter.take, item)
            waits = run.waits
            if bool(waits) != bool(told):
                told = waits
                show(reporter.note, told)
            show(reporter.tick)
            if pause(run):
                unsubscribe()
                return INTERRUPTED
        with run.state() as state:
            code = of_end(run.status, state)
        if cause and run.status in ("stopped", "halted"):
            code = after_signal(cause)
        show(reporter.end, code)
    run.wait()
    return code


def follow_session(session: Session, subject: Subject, reporter: Reporter) -> int:
    """Show a session that another process runs, until nobody runs it; return the exit code. Ctrl-C ends the looking."""
    show = _Shower(reporter)
    shown = time.monotonic()
    live = session.holder() is not None
    with reporter:
        show(reporter.begin, subject)
        try:
            while live:
                live = session.holder() is not None  # asked first: what is written before it ends is still shown
                if records := session.refresh():
                    show(reporter.take, records)
                if records or (reporter.interval is not None and time.monotonic() >= shown + reporter.interval):
                    show(reporter.tick)
                    shown = time.monotonic()
                if live:
                    time.sleep(_LOOK)
        except KeyboardInterrupt:
            show(reporter.note, f"The run goes on: 'orchestrate watch {session.id}' shows it again.")
            return after_signal(signal.SIGINT)
        code = of_end(session.status, session.state)
        show(reporter.end, code)
    return code


class _Shower:
    """Calls a reporter; when nobody reads the output any more, the run goes on without."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def __call__(self, method: Callable[..., None], *arguments: Any) -> None:
        try:
            method(*arguments)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            mute(sys.stdout)
            if error.errno == errno.EIO:  # the terminal is gone
                mute(sys.stderr)


def _next(inbox: queue.SimpleQueue[Any], interval: float | None) -> Any:
    """What comes next: records, a signal, None for the end; an empty list if nothing came within `interval`."""
    try:
        return inbox.get(timeout=interval)
    except queue.Empty:
        return []


def _announce_end(run: Run, put: Callable[[None], None]) -> None:
    with contextlib.suppress(BaseException):  # whoever waits for the run is told what broke it
        run.wait()
    put(None)


def _records(path: Path, since: int, until: int) -> list[Record]:
    """What this run has published before anybody listened."""
    from orchestrator_nb.storage.log import read_records

    if until <= since:
        return []
    return [record for record in read_records(path / "events.jsonl") if since < record.seq <= until]


@contextlib.contextmanager
def _caught(put: Callable[[int], None]) -> Iterator[None]:
    """Signals as messages, as long as the context is open; one that is ignored (nohup) stays so."""
    before = {
        signum: signal.signal(signum, lambda number, _: put(number))
        for signum in _SIGNALS
        if signal.getsignal(signum) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _obey(run: Run, signum: int, *, first: bool, note: Callable[[str], None]) -> None:
    """Carry out what a signal asks for."""
    name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
    with contextlib.suppress(OrchestratorError, TimeoutError):  # it is over already
        if signum == signal.SIGINT and first:
            run.stop(by=name)
            with run.state() as state:
                running = count(state.running, "running task")
            note(f"Stopping: waiting for {running}. Ctrl-C again ends the run at once.")
        elif run.status != "halting":
            run.halt(by=name)
            note("Halting: running tasks are being ended. 'orchestrate resume' goes on later.")
