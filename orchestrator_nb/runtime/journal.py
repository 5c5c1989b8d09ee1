"""The log and its fold, together: the only door through which a run's state changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from orchestrator_nb.core.events import AnyEvent, Record
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.storage.log import EventLog, encoded

Listener = Callable[[list[Record], Plan | None], None]


class Journal:
    """Stamps events, applies them to the state, and has them written.

    The state is the judge: an event that it refuses is not written. A step of the run may `apply` several times and
    `commit` once: one write a step. Nothing is acted on before the commit returned; what was acted on is in the log
    (safe against a kill), and on stable storage a moment later.
    """

    def __init__(self, log: EventLog, state: State, listener: Listener, clock: Callable[[], float] = time.time) -> None:
        self.state = state
        self._log = log
        self._listener = listener
        self._clock = clock
        self._records: list[Record] = []
        self._bodies: list[bytes] = []
        self._at = 0.0

    def wall(self) -> float:
        """The time by the wall clock, in seconds since the epoch, as records are stamped."""
        return self._clock()

    def apply(self, events: Sequence[AnyEvent], now: float, plan: Plan | None = None) -> None:
        """Let `events` have happened, not yet written. `now` is the monotonic time, `plan` that of a `PlanAccepted`.

        Raises `OrchestratorError` if one cannot be written (no JSON, too large), `IllegalTransition` if the state
        refuses one; what stood before it in `events` has happened then.
        """
        records, bodies = self._records, self._bodies
        if not records:
            self._at = self._clock()
        seq = self._log.seq + len(records)
        for event in events:
            seq += 1
            record = Record(seq, self._at, event)
            body = encoded(record)
            self.state.apply(record, plan, now)
            records.append(record)
            bodies.append(body)

    def commit(self, plan: Plan | None = None) -> None:
        """Write what was applied. Raises `StorageError` if the log cannot take it: then the run is over."""
        if self._records:
            records, bodies = self._records, self._bodies
            self._records, self._bodies = [], []
            self._log.write(bodies)
            self._listener(records, plan)

    def record(self, events: Sequence[AnyEvent], now: float, plan: Plan | None = None) -> None:
        """Apply and commit."""
        self.apply(events, now, plan)
        self.commit(plan)
