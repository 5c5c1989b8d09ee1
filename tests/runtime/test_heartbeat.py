"""That a run which stood still says so, and only then."""

from __future__ import annotations

import ctypes
import threading
import time

from orchestrator_nb.runtime.heartbeat import TOLERATED, Heartbeat


def kept_the_interpreter(seconds: float) -> None:
    """Sleep in C with Python's lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def test_a_wait_that_took_too_long_is_told_once() -> None:
    heartbeat = Heartbeat()
    told = []
    for _ in range(2):
        heartbeat.rests()
        threading.Thread(target=kept_the_interpreter, args=(3 * TOLERATED,)).start()
        time.sleep(0.01)
        told.append(heartbeat.beat(0.01))
    assert told[0] is not None
    assert "interpreter lock" in told[0]
    assert told[1] is None


def test_what_was_planned_and_what_the_thread_computed_itself_do_not_count() -> None:
    heartbeat = Heartbeat()
    time.sleep(2 * TOLERATED)
    assert heartbeat.beat(2 * TOLERATED) is None
    heartbeat.rests()
    end = time.thread_time() + 2 * TOLERATED
    while time.thread_time() < end:
        pass
    assert heartbeat.beat(0.0) is None
