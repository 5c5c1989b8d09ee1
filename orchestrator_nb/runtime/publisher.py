"""What others may see: the records that are on stable storage, their fold, and the files made from it.

A thread of its own takes the synced records, folds them into a second state, tells the subscribers, and writes the
derived files at most once an interval. The scheduler never waits for it, and nothing unsynced is ever shown.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from orchestrator_nb.core.events import Record
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import OrchestratorError

Subscriber = Callable[[list[Record]], None]


class Projector(Protocol):
    """Makes files from what is published."""

    def follow(self, record: Record, state: State) -> None:
        """Note what `record` changes; `state` has just taken it in."""

    def write(self) -> None:
        """Write what was noted. Raises `OrchestratorError` or `OSError` for what could not be written."""


class Publisher:
    """The published side of one run."""

    def __init__(self, state: State, projector: Projector | None, interval: float = 0.5) -> None:
        self._state = state
        self._projector = projector
        self._interval = interval
        self._offered: deque[tuple[list[Record], Plan | None]] = deque()
        self._synced = 0
        self._subscribers: list[Subscriber] = []
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._trouble: Exception | None = None
        self._troubled = False

    def start(self) -> None:
        """Begin to publish: what is synced at once, the rest as it comes."""
        self._take()
        self._thread = threading.Thread(target=self._serve, name="orchestrator_nb publisher", daemon=True)
        self._thread.start()

    def offer(self, records: list[Record], plan: Plan | None) -> None:
        """Take records that were written; they are published once `synced` covers them."""
        self._offered.append((records, plan))
        if records[-1].seq <= self._synced:
            self._wake.set()

    def synced(self, seq: int) -> None:
        """Everything up to `seq` is on stable storage."""
        self._synced = seq
        self._wake.set()

    @contextlib.contextmanager
    def reading(self) -> Iterator[State]:
        """The published state, which does not change while the context is open."""
        with self._lock:
            yield self._state

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with each batch of published records, in the publisher's thread; returns its removal."""
        with self._lock:
            self._subscribers.append(subscriber)

        def remove() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._subscribers.remove(subscriber)

        return remove

    def take_trouble(self) -> Exception | None:
        """The first thing that went wrong while files were written or subscribers told; the run itself goes on."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def close(self) -> None:
        """Publish what is synced, write the files a last time, end the thread."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        written_at = time.monotonic()
        pending = False
        while not self._closing:
            wait = None if not pending else max(0.0, written_at + self._interval - time.monotonic())
            self._wake.wait(wait)
            self._wake.clear()
            pending = self._take() or pending
            if pending and time.monotonic() >= written_at + self._interval:
                self._write()
                written_at, pending = time.monotonic(), False
        self._take()
        self._write()

    def _take(self) -> bool:
        """Fold and publish the synced records; True if there were any."""
        batch: list[Record] = []
        with self._lock:
            while self._offered and self._offered[0][0][-1].seq <= self._synced:
                records, plan = self._offered.popleft()
                for record in records:
                    self._state.apply(record, plan)
                    if self._projector is not None:
                        self._projector.follow(record, self._state)
                batch += records
            subscribers = list(self._subscribers)
        if batch:
            for subscriber in subscribers:
                try:
                    subscriber(batch)
                except Exception as error:  # noqa: BLE001 - one onlooker never stops the run, nor the others
                    self._note(error)
        return bool(batch)

    def _write(self) -> None:
        if self._projector is None:
            return
        try:
            self._projector.write()
        except (OrchestratorError, OSError) as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        if not self._troubled:
            self._troubled, self._trouble = True, error
