"""How an IPython kernel wakes the thread that sends what it says: once for all that waits, not for each message.

ipykernel writes to an inner socket for each message and three times for each ``flush``, of which a cell makes ten,
most of them of nothing. Each wake-up costs two threads a switch: a fifth of what a small cell costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipykernel.iostream import IOPubThread, OutStream

#: The methods that are known here, by the names that they use: those of another ipykernel are left alone.
KNOWN = {
    IOPubThread.schedule: ("thread", "is_alive", "_events", "append", "_event_pipe", "send"),
    IOPubThread._handle_event: ("len", "_events", "range", "popleft"),
    OutStream.flush: (
        *("pub_thread", "thread", "is_alive", "ident", "threading", "current_thread", "schedule", "_flush", "Event"),
        *("set", "wait", "flush_timeout", "print", "sys", "__stderr__"),
    ),
}


def wake_seldom() -> None:
    """Let the kernels that are made from now on wake their sending thread only when it has to be."""
    if any(method.__code__.co_names != names for method, names in KNOWN.items()):
        return
    handle, flush_all = IOPubThread._handle_event, OutStream.flush

    def schedule(self: Any, task: Callable[[], Any]) -> None:
        if not self.thread.is_alive():
            task()
            return
        self._events.append(task)
        if not vars(self).get("_woken"):  # otherwise it is about to look at what waits
            self._woken = True
            self._event_pipe.send(b"")

    def handle_event(self: Any, message: Any) -> None:
        self._woken = False  # before it looks: what comes from now on wakes it again
        handle(self, message)

    def flush(self: Any) -> None:
        if self._buffers or self.echo or not self.pub_thread or self.pub_thread._events:
            flush_all(self)

    IOPubThread.schedule = schedule  # type: ignore[method-assign]
    IOPubThread._handle_event = handle_event  # type: ignore[method-assign]
    OutStream.flush = flush  # type: ignore[method-assign]
