"""What a view shows: a run of this process, or a session on disk, running elsewhere or not at all; alike to look at.

Both give the published state, tell of new records, and take verbs: a run directly, a session through its inbox.
"""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.events import Record
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.explain import Explanation
from orchestrator_nb.runtime.results import read_artifact, read_result
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session, who
from orchestrator_nb.storage.inbox import Verb
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir

Listener = Callable[[list[Record]], None]

#: Seconds between two looks at a session that runs elsewhere, and at one that does not run.
LOOK = 0.2
LOOK_IDLE = 2.0


class Subject(ABC):
    """A session as a view sees it."""

    directory: SessionDir
    settings: Settings

    @property
    def id(self) -> str:
        """The session's id."""
        return self.directory.id

    @property
    def path(self) -> Path:
        """The session's directory."""
        return self.directory.path

    @property
    @abstractmethod
    def here(self) -> bool:
        """Whether this process runs it."""

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether anybody runs it."""

    @property
    @abstractmethod
    def status(self) -> str:
        """Of the run: as `Session.status`, and ``error`` for a run of this process that broke."""

    @property
    def waits(self) -> str:
        """What a run waits for that has nothing left to do, in words; empty where it does not, or nobody here knows."""
        return ""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    @abstractmethod
    def reading(self) -> AbstractContextManager[State]:
        """The published state, which holds still while the context is open."""

    @abstractmethod
    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""

    @abstractmethod
    def tell(self, verb: Verb, **fields: Any) -> str:
        """Carry out a verb of DESIGN's table; returns what was done in words. May wait for an answer: not for threads
        that must not wait. Raises `OrchestratorError` with the reason if it is refused.
        """

    @abstractmethod
    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with new records, in some thread, and with none when only `status` may have changed; returns
        its removal.
        """

    def read(self, artifact: e.Artifact) -> bytes:
        """The content of a promoted file. Raises `StorageError` if it is gone or was changed."""
        return read_artifact(self.directory, artifact, self.settings)

    def result_of(self, task: TaskState) -> Any:
        """The result of a completed task: its JSON value or its text."""
        return read_result(task, self.read)

    def log_path(self, task: TaskState) -> Path | None:
        """The raw output of the task's last attempt, if it has begun one."""
        return self.path / self.directory.attempt(task.id, task.attempt) / "log" if task.attempt else None


class RunSubject(Subject):
    """A run of this process."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.directory, self.settings = run.directory, run.settings

    @property
    def here(self) -> bool:
        """Whether this process runs it."""
        return not self.run.done

    @property
    def live(self) -> bool:
        """Whether anybody runs it."""
        return not self.run.done

    @property
    def status(self) -> str:
        """Of the run."""
        return self.run.status

    @property
    def waits(self) -> str:
        """For kept kernels of failed notebooks, to be gone on in."""
        return self.run.waits

    def reading(self) -> AbstractContextManager[State]:
        """The published state."""
        return self.run.state()

    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""
        return self.run.explain(task_id)

    def tell(self, verb: Verb, **fields: Any) -> str:
        """Carry out a verb; once the run is over, what can be recorded for its next resume is."""
        if self.run.done:
            return Session(self.directory, self.settings).tell(verb, **fields)
        return self.run.tell(verb, **{"by": who(), **fields})

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with new records, and once more when the run is over."""
        unsubscribe, listeners = self.run.subscribe(listener), [listener]

        def over() -> None:
            for tell in listeners:
                tell([])

        def remove() -> None:
            unsubscribe()
            listeners.clear()

        self.run.on_done(over)
        return remove


class SessionSubject(Subject):
    """A session on disk. A thread looks at its log as long as somebody listens."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.directory, self.settings = session.directory, session.settings
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._stop = threading.Event()
        #: Number of the last record that listeners were told of, and the status.
        self._told = (session.state.seq, "")

    @property
    def here(self) -> bool:
        """Never: a run of this process is shown as a `RunSubject`."""
        return False

    @property
    def live(self) -> bool:
        """Whether anybody runs it."""
        return self.session.holder() is not None

    @property
    def status(self) -> str:
        """Of the run."""
        with self._lock:
            return self.session.status

    @contextlib.contextmanager
    def reading(self) -> Iterator[State]:
        """The state as of the last look at the log."""
        with self._lock:
            yield self.session.state

    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""
        with self._lock:
            return self.session.explain(task_id)

    def tell(self, verb: Verb, **fields: Any) -> str:
        """Carry out a verb through the session's inbox, or on disk if nobody runs it."""
        said = Session(self.directory, self.settings).tell(verb, **fields)  # its own: it may wait for seconds
        with contextlib.suppress(OrchestratorError):
            self._look()
        return said

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with what another process writes, within `LOOK` seconds."""
        with self._lock:
            self._listeners.append(listener)
            if len(self._listeners) == 1:
                self._told = (self._told[0], self.session.status)  # as it stands is no news
                self._stop = threading.Event()
                name = "orchestrator_nb watcher"
                threading.Thread(target=self._watch, args=(self._stop,), name=name, daemon=True).start()

        def remove() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)
                if not self._listeners:
                    self._stop.set()

        return remove

    def _watch(self, stop: threading.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                status = self._look()
            except OrchestratorError:
                return  # the session was removed or damaged: what is shown stays
            live = status in ("running", "paused", "stopping", "halting")
            stop.wait(max(0.0, began + (LOOK if live else LOOK_IDLE) - time.monotonic()))

    def _look(self) -> str:
        """Take in what is new and tell the listeners; returns the status."""
        with self._lock:
            told, status_told = self._told
            records, status = self.session.refresh(), self.session.status
            seq = self.session.state.seq
            if len(records) != seq - told:  # a look at the status may have taken in some
                records = [record for record in self.session.records() if told < record.seq <= seq]
            changed, self._told = bool(records) or status != status_told, (seq, status)
            listeners = list(self._listeners)
        if changed:
            for listener in listeners:
                listener(records)
        return status
