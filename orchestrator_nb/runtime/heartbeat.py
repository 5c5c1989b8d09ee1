"""Notices when a run stood still because nothing else in its process could go on.

The engine has a thread of its own, so cells may block and compute as they like. What stops it all the same is a call
into C that keeps Python's interpreter lock, and a disk that does not answer (RELIABILITY D6).
"""

from __future__ import annotations

import time
from pathlib import Path

#: Seconds that a run may stand still without a word.
TOLERATED = 0.25
_SCHEDULING = Path("/proc/thread-self/schedstat")


class Heartbeat:
    """To be asked again and again, always in the same thread."""

    def __init__(self) -> None:
        self._told = False
        self._begin()

    def rests(self) -> None:
        """From now on the thread waits for something."""
        self._begin()

    def beat(self, planned: float) -> str | None:
        """What is to be said, once: that the thread should have gone on after `planned` seconds, and how late it was.

        Neither what it computed itself counts, nor what it waited for a processor on a busy machine.
        """
        stood = time.monotonic() - self._at - planned
        if self._told or stood <= TOLERATED:
            return None
        stood -= time.thread_time() - self._computed + _waited_for_processor() - self._queued
        if stood <= TOLERATED:
            return None
        self._told = True
        return (
            f"for {stood:.1f} s nothing could go on, no task was started and no verb obeyed: a call in this process "
            "kept Python's interpreter lock (compiled code in a cell can), or the disk did not answer; told once"
        )

    def _begin(self) -> None:
        self._at, self._computed, self._queued = time.monotonic(), time.thread_time(), _waited_for_processor()


def _waited_for_processor() -> float:
    """Seconds that this thread was ready to run and did not, since it began; 0 where the system does not tell."""
    try:
        return int(_SCHEDULING.read_bytes().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
