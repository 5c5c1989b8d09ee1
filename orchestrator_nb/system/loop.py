"""One asyncio loop in one helper thread per process, on which every run and its supervisor live (DESIGN 4 "Loop").

The thread starts with the first run, not at import, and is a daemon: it never keeps an interpreter alive. Callers in
any thread, with or without a loop of their own, hand coroutines to it and wait for futures.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def library_loop() -> asyncio.AbstractEventLoop:
    """The library's loop, started if it does not run yet."""
    global _loop  # noqa: PLW0603 - one loop a process is the point
    with _lock:
        if _loop is None or _loop.is_closed():
            loop = asyncio.new_event_loop()
            started = threading.Event()
            thread = threading.Thread(target=_serve, args=(loop, started), name="orchestrator_nb", daemon=True)
            thread.start()
            started.wait()
            _loop = loop
        return _loop


def _serve(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(started.set)
    loop.run_forever()


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Run `coroutine` on the library's loop; the future may be waited for in any other thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, library_loop())


def on_library_loop() -> bool:
    """Whether the caller is running on the library's loop, where waiting for a run would wait for ever."""
    try:
        return asyncio.get_running_loop() is _loop
    except RuntimeError:
        return False


def _forget_after_fork() -> None:
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
