"""`Run`: what `orchestrate(...)` returns, for scripts, running loops and notebooks alike."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.core.events import Record
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused, RunError, RunFailed, RunNotFinished
from orchestrator_nb.projections.explain import Explanation, explain
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.loop import library_loop, on_library_loop
from orchestrator_nb.storage.inbox import Reply, Request, Verb

#: Seconds that a verb may wait for the run's loop.
ANSWER_TIMEOUT = 10.0


class Run:
    """A plan being run by this process. It goes on in a thread of its own; every method returns at once but `wait`.

    Wait with `run.wait()` in a script or a cell, or with ``await run`` in a loop of your own.
    """

    def __init__(self, engine: Engine, future: concurrent.futures.Future[str]) -> None:
        self._engine = engine
        self._future = future
        self.results = Results(self)

    def __repr__(self) -> str:
        with self._engine.publisher.reading() as state:
            done = sum(count for status, count in state.counts.items() if status.settled)
            return f"<Run {self.id} {self.status}: {done} of {len(state.tasks)} tasks>"

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The session's id."""
        return self._engine.directory.id

    @property
    def path(self) -> Path:
        """The session's directory."""
        return self._engine.directory.path

    @property
    def plan(self) -> Plan:
        """The plan that is being run."""
        assert self._engine.state.plan is not None
        return self._engine.state.plan

    @property
    def status(self) -> str:
        """created, running, paused, stopping, halting, completed, failed, stopped, halted or error."""
        if self._future.done() and not self._future.cancelled() and self._future.exception() is not None:
            return "error"
        with self._engine.publisher.reading() as state:
            return state.status

    @property
    def done(self) -> bool:
        """Whether the run is over."""
        return self._future.done()

    def state(self) -> Any:
        """A context that holds the published state still while it is read: ``with run.state() as state: ...``."""
        return self._engine.publisher.reading()

    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""
        with self._engine.publisher.reading() as state:
            return explain(state, task_id, self._engine.admission)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until the run is over and return it. Ctrl-C once stops the run, twice halts it; in a notebook an
        interrupt only ends the waiting.

        Raises `TimeoutError` after `timeout` seconds, and what broke the run if something did (`StorageError`, ...).
        A task that failed is no such error: look at `status`, or ask for `result`.
        """
        if on_library_loop():
            raise RunError("wait() would wait for ever here: inside a task of the run use 'await run' elsewhere")
        interrupts = 0
        while True:
            try:
                self._future.result(timeout)
                return self
            except KeyboardInterrupt:
                if "ipykernel" in sys.modules:
                    print(f"The run goes on. To stop it: run.stop(), or 'orchestrate stop {self.id}'.")  # noqa: T201
                    raise
                interrupts += 1
                with contextlib.suppress(CommandRefused, RunError):  # it may be ending already
                    if interrupts > 1:
                        self.halt(by="Ctrl-C")
                    else:
                        self.stop(by="Ctrl-C")

    def __await__(self) -> Generator[Any, None, Run]:
        """``await run``: wait in any asyncio loop."""
        return self._wait_async().__await__()

    async def _wait_async(self) -> Run:
        await asyncio.shield(asyncio.wrap_future(self._future))
        return self

    # -- results -------------------------------------------------------------------------------------------------------

    @property
    def result(self) -> str:
        """The text of `final_output.md`.

        Raises `RunNotFinished` before the end, `RunFailed` if the run ended without it (stopped, halted).
        """
        if not self._future.done():
            raise RunNotFinished
        self._future.result()
        with self._engine.publisher.reading() as state:
            merged = state.merged
        if merged is None:
            raise RunFailed(f"the run was {self.status}: there is no result; 'orchestrate resume {self.id}' goes on")
        return self._engine.read(merged.document).decode("utf-8")

    def result_of(self, task_id: str) -> Any:
        """The result of one task: its JSON value or its text.

        Raises `KeyError` for an unknown task, `RunFailed` if it has not completed.
        """
        with self._engine.publisher.reading() as state:
            task = state.tasks[task_id]
            if task.status is not TaskStatus.COMPLETED:
                why = f": {task.error}" if task.error else ""
                raise RunFailed(f"task '{task_id}' has no result, it is {task.status}{why}")
            return self._engine.result_of(task)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def pause(self, by: str = "") -> None:
        """No new task starts; running ones go on."""
        self._obey("pause", by=by)

    def resume(self, by: str = "") -> None:
        """Go on after a pause."""
        self._obey("resume", by=by)

    def stop(self, by: str = "", reason: str = "") -> None:
        """No new task starts; the run ends when the running ones have. Resumable."""
        self._obey("stop", by=by, reason=reason)

    def halt(self, by: str = "", reason: str = "") -> None:
        """Emergency: running tasks are ended too (TERM, then KILL). Resumable."""
        self._obey("halt", by=by, reason=reason)

    def cancel(self, task_id: str, by: str = "", reason: str = "") -> None:
        """End one task for good."""
        self._obey("cancel", task=task_id, by=by, reason=reason)

    def retry(self, task_id: str, by: str = "") -> None:
        """Run a task again that failed or was cancelled."""
        self._obey("retry", task=task_id, by=by)

    def approve(self, checkpoint: str, answer: Any = None, by: str = "") -> None:
        """Answer a checkpoint (its id, or its task's) with yes."""
        self._obey("approve", checkpoint=checkpoint, answer=answer, by=by)

    def reject(self, checkpoint: str, reason: str, by: str = "") -> None:
        """Answer a checkpoint with no."""
        self._obey("reject", checkpoint=checkpoint, reason=reason, by=by)

    def _obey(self, verb: Verb, **fields: Any) -> None:
        """Carry out a verb on the loop. Raises `CommandRefused` as the runner does, `RunError` if the run is over."""
        reply: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        request = Request(id="", at=0.0, verb=verb, **fields)

        def obey() -> None:
            try:
                reply.set_result(self._engine.obey(request))
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                reply.set_exception(error)

        while not self._future.done() and not self._engine.started.wait(0.05):
            pass
        if self._future.done():
            raise RunError(f"the run is over ({self.status}): there is nothing to {verb}")
        if on_library_loop():
            obey()
        else:
            library_loop().call_soon_threadsafe(obey)
        try:
            answer = reply.result(ANSWER_TIMEOUT)
        except TimeoutError:
            raise RunError(
                f"the run did not take '{verb}' within {ANSWER_TIMEOUT:g} s: something holds its loop"
            ) from None
        if not answer.ok:
            raise CommandRefused(answer.message)

    # -- events --------------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Call `subscriber` with every batch of durable records, from a thread of the run; returns its removal."""
        return self._engine.publisher.subscribe(subscriber)

    def __iter__(self) -> Iterator[Record]:
        """Every record of the session, the past ones first, then as they happen, until the run is over."""
        inbox: queue.SimpleQueue[list[Record] | None] = queue.SimpleQueue()
        remove = self.subscribe(inbox.put)
        self._future.add_done_callback(lambda _: inbox.put(None))
        last = 0
        try:
            for record in self._engine.past_records():
                last = record.seq
                yield record
            while (batch := inbox.get()) is not None:
                for record in batch:
                    if record.seq > last:
                        last = record.seq
                        yield record
        finally:
            remove()

    async def __aiter__(self) -> AsyncIterator[Record]:
        """As iterating, in an asyncio loop."""
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[list[Record] | None] = asyncio.Queue()

        def put(batch: list[Record] | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed
                loop.call_soon_threadsafe(inbox.put_nowait, batch)

        remove = self.subscribe(put)
        self._future.add_done_callback(lambda _: put(None))
        last = 0
        try:
            for record in await asyncio.to_thread(lambda: list(self._engine.past_records())):
                last = record.seq
                yield record
            while (batch := await inbox.get()) is not None:
                for record in batch:
                    if record.seq > last:
                        last = record.seq
                        yield record
        finally:
            remove()


class Results(Mapping[str, Any]):
    """``run.results["T-03"]``: the results of the tasks that completed."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getitem__(self, task_id: str) -> Any:
        return self._run.result_of(task_id)

    def __iter__(self) -> Iterator[str]:
        with self._run.state() as state:
            return iter([task.id for task in state.by_index if task.status is TaskStatus.COMPLETED])

    def __len__(self) -> int:
        with self._run.state() as state:
            return int(state.counts[TaskStatus.COMPLETED])

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<Results of {', '.join(self) or 'no task yet'}>"
