"""Threads for blocking functions: daemons, so that a function that never ends cannot keep the interpreter alive."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds after which a thread without work ends.
IDLE = 10.0

_jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
#: One permit for each thread that waits for a job nobody has been promised to yet.
_idle = threading.Semaphore(0)


async def in_thread(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call `function` in a thread, with the caller's context variables, and wait for its answer.

    Cancelling the wait does not end the function: no thread can be ended from outside.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def job() -> None:
        answer, error = None, None
        try:
            answer = context.run(function, **arguments)
        except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
            error = raised
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(_settle, future, answer, error)

    _jobs.put(job)
    if not _idle.acquire(blocking=False):
        threading.Thread(target=_serve, name="orchestrator-function", daemon=True).start()
    answer, error = await future
    if error is not None:
        raise error
    return answer


async def in_daemon_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a blocking function in a thread that neither keeps the interpreter alive nor ends with its exit handlers."""
    result: T = await in_thread(functools.partial(function, *arguments), {})
    return result


def _settle(future: asyncio.Future[tuple[Any, BaseException | None]], answer: Any, error: BaseException | None) -> None:
    if not future.done():
        future.set_result((answer, error))


def _serve() -> None:
    while True:
        try:
            job = _jobs.get(timeout=IDLE)
        except queue.Empty:
            if _idle.acquire(blocking=False):
                return
            continue  # a job was promised to this thread just now
        job()
        del job
        _idle.release()
