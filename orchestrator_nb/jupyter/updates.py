"""The pace at which the page is told what changed: one thread a kernel, few messages, the newest state in each.

A part of a view says that it is due; the thread lets it send when its turn has come. A first change goes out at once,
further ones wait until they can go together: at most 10 times a second for one part, `RATE` messages a second for all
of them on average, and about `MOST` in any second (jupyter_server drops what comes faster than 1,000 a second, and a
page that is told less often does less). All writes to widgets happen in this thread: traits are not safe in several.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from orchestrator_nb.jupyter.comm import LiveComm

#: Seconds between two updates of one part.
INTERVAL = 0.1
#: Messages a second of all parts together, and how many may go at once after a quiet time.
RATE = 15.0
BURST = 5.0
#: The most messages in any second: a part that sends many waits until there is room for as many as it sent lately. It
#: may send a few more then; so that they stay below 20.
MOST = 18

logger = logging.getLogger(__name__)


class Sender(Protocol):
    """A part of a view.

    It may have `most`: how many messages it sends at one turn, as far as it knows; and `envelope`, a context: parts
    that have the same one send one message together.
    """

    #: When it last sent, on the monotonic clock; 0 before.
    sent_at: float

    def flush(self) -> None:
        """Send what has changed since the last time. Called in the updates' thread only."""


class Updates:
    """The thread, started when first needed. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._due: dict[Sender, float] = {}
        self._calls: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._tokens, self._counted_at = BURST, time.monotonic()
        #: When how many messages were sent, of the last second.
        self._sent: deque[tuple[float, int]] = deque()
        #: How many messages parts may send at their next turn, where that is more than one: the most of late.
        self._costs: WeakKeyDictionary[Sender, int] = WeakKeyDictionary()

    def due(self, *parts: Sender, after: float = 0.0) -> None:
        """Let `parts` send soon, or `after` so many seconds, unless they do before."""
        at = time.monotonic() + after
        with self._changed:
            sooner = [part for part in parts if at < self._due.get(part, float("inf"))]
            if sooner:
                self._due.update(dict.fromkeys(sooner, at))
                self._wake()

    def call(self, function: Callable[[], None], after: float = 0.0) -> None:
        """Call `function` in the thread, `after` so many seconds: what else writes to widgets."""
        if after > 0:
            self.due(_Later(function), after=after)
            return
        with self._changed:
            self._calls.append(function)
            self._wake()

    def forget(self, part: Sender) -> None:
        """`part` is closed."""
        with self._changed:
            self._due.pop(part, None)

    def start(self) -> None:
        """Start the thread, best from a cell: without a cell's context ipykernel 7.0 sends nothing."""
        with self._changed:
            if self._thread is None:
                work = functools.partial(contextvars.copy_context().run, self._serve)
                self._thread = threading.Thread(target=work, name="orchestrator_nb views", daemon=True)
                self._thread.start()

    def _wake(self) -> None:
        self.start()
        self._changed.notify()

    def _serve(self) -> None:
        while True:
            work = self._next()
            before = LiveComm.sent
            try:
                work()
            except Exception:  # one view in trouble must not silence the others
                logger.exception("a view could not be updated")
            self._count(LiveComm.sent - before)
            del work  # an idle thread keeps nothing alive

    def _count(self, sent: int) -> None:
        # What opens many widgets at once, as a question does, holds up the others for a second at most.
        self._tokens = max(-RATE, self._tokens - sent)
        if sent:
            self._sent.append((time.monotonic(), sent))

    def _cost(self, part: Sender) -> int:
        """How many messages it may send at its next turn."""
        return max(getattr(part, "most", 1), self._costs.get(part, 1))

    def _next(self) -> Callable[[], None]:
        """Wait for what is to be done next."""
        with self._changed:
            while True:
                if self._calls:
                    return self._calls.pop(0)
                part, at = self._first()
                if part is None:
                    self._changed.wait()
                    continue
                now = time.monotonic()
                wait = max(at - now, self._full_for(self._cost(part), now))
                if wait <= 0:
                    return functools.partial(self._flush, self._take(part, now))
                self._changed.wait(wait)

    def _take(self, first: Sender, now: float) -> list[Sender]:
        """The part whose turn it is, with those that can go in the same envelope: not such as send more than that."""
        envelope = getattr(first, "envelope", None)
        parts = [first]
        if envelope is not None and self._cost(first) == 1:
            for part, at in self._due.items():
                ready = part is not first and max(at, part.sent_at + INTERVAL) <= now
                if ready and getattr(part, "envelope", None) is envelope and self._cost(part) == 1:
                    parts.append(part)
        for part in parts:
            del self._due[part]
            part.sent_at = now
        return parts

    def _flush(self, parts: list[Sender]) -> None:
        with getattr(parts[0], "envelope", None) or contextlib.nullcontext():
            for part in parts:
                before = LiveComm.sent
                try:
                    part.flush()
                except Exception:  # one view in trouble must not silence the others
                    logger.exception("a view could not be updated")
                if (cost := max(LiveComm.sent - before, self._costs.get(part, 1) - 1)) > 1:
                    self._costs[part] = cost
                else:
                    self._costs.pop(part, None)

    def _full_for(self, cost: int, now: float) -> float:
        """Seconds until so many messages may be sent."""
        self._tokens = min(BURST, self._tokens + (now - self._counted_at) * RATE)
        self._counted_at = now
        while self._sent and self._sent[0][0] <= now - 1.0:
            self._sent.popleft()
        wait = (1 - self._tokens) / RATE
        over = sum(sent for _, sent in self._sent) + min(cost, MOST) - MOST
        for at, sent in self._sent:
            if over <= 0:
                break
            over -= sent
            wait = max(wait, at + 1.0 - now)
        return wait

    def _first(self) -> tuple[Sender | None, float]:
        """The part whose turn comes first, and when that is; of those whose time has come, who waits longest."""
        now = time.monotonic()
        first, when, rank = None, float("inf"), (float("inf"), float("inf"))
        for part, at in self._due.items():
            ready = max(at, part.sent_at + INTERVAL)
            order = (max(ready, now), part.sent_at)
            if order < rank:
                first, when, rank = part, ready, order
        return first, when


class _Later:
    """A call whose time has not come."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.flush = function
        self.sent_at = time.monotonic()


updates = Updates()
