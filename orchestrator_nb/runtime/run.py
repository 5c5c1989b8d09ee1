"""`Run`: what `orchestrate(...)` returns, for scripts, running loops and notebooks alike."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from orchestrator_nb import displays
from orchestrator_nb.core.decide import ending
from orchestrator_nb.core.events import Record
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused, RunError, RunFailed, RunNotFinished
from orchestrator_nb.projections import quotas
from orchestrator_nb.projections.explain import Explanation, explain
from orchestrator_nb.projections.going_on import waiting
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.exploring import Explorable
from orchestrator_nb.runtime.task_view import find_task
from orchestrator_nb.storage.inbox import Reply, Request, Verb
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.loop import library_loop, on_library_loop

if TYPE_CHECKING:
    from orchestrator_nb.runtime.companions import Companion

#: Seconds that a verb may wait for the run's loop.
ANSWER_TIMEOUT = 10.0
#: Seconds within which a kernel hears of an interrupt while a cell awaits the run.
TICK = 0.1

_runs: WeakValueDictionary[Path, Run] = WeakValueDictionary()


class Run(Explorable):
    """A plan being run by this process. It goes on in a thread of its own; every method returns at once but `wait`.

    Wait with `run.wait()` in a script or a cell, or with ``await run`` in a loop of your own.
    """

    def __init__(self, engine: Engine, future: concurrent.futures.Future[str]) -> None:
        self._engine = engine
        self._future = future
        #: What goes on beside it, and is waited for with it.
        self.companion: Companion | None = None
        self.results = Results(self)
        _runs[self.path] = self

    @classmethod
    def of_session(cls, path: Path) -> Run | None:
        """The run of the session at `path`, if this process is running it now."""
        run = _runs.get(path)
        return run if run is not None and not run.done else None

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
    def directory(self) -> SessionDir:
        """Where everything in the session's directory lies."""
        return self._engine.directory

    @property
    def settings(self) -> Settings:
        """The settings it was started with."""
        return self._engine.settings

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

    def state(self) -> AbstractContextManager[State]:
        """A context that holds the published state still while it is read: ``with run.state() as state: ...``."""
        return self._engine.publisher.reading()

    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""
        with self._engine.publisher.reading() as state:
            return explain(state, task_id, self._engine.admission, time.time())

    def _reading(self) -> AbstractContextManager[State]:
        return self._engine.publisher.reading()

    def _is_running(self) -> bool:
        return not self.done

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """The functions that were handed in, by name."""
        return self._engine.functions

    @property
    def kept_kernels(self) -> dict[str, datetime]:
        """The tasks whose kernels are kept after a failed cell, and until when. The run ends when there are none."""
        return {task: datetime.fromtimestamp(until).astimezone() for task, until in self._engine.keeper.until.items()}

    @property
    def waits(self) -> str:
        """What it waits for, in words, when nothing goes on: kept kernels, a vendor's quota; else empty."""
        until = self._engine.keeper.until
        with self._engine.publisher.reading() as state:
            if quota := quotas.waiting(state, alone=True):
                return quota
            only = bool(until) and bool(ending(state)) and not (state.stopping or state.halting)
        return waiting(self.path, until, time.time()) if only else ""

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
                if self.companion is not None:
                    self.companion.complete(timeout)
                self._waited()
                return self
            except KeyboardInterrupt:
                if "ipykernel" in sys.modules:
                    self._say_that_it_goes_on()
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
        with self._interruptible():
            await asyncio.shield(asyncio.wrap_future(self._future))
            if self.companion is not None:
                await asyncio.to_thread(self.companion.complete)
        self._waited()
        return self

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """In a kernel, an interrupt ends the waiting at once, and is told that it ends nothing else.

        It cancels the cell's task, but ipykernel's signal handler does not wake the loop to do so: a tick does.
        """
        if "ipykernel" not in sys.modules:
            yield
            return
        ticking = asyncio.ensure_future(_tick())
        try:
            yield
        except asyncio.CancelledError:
            self._say_that_it_goes_on()
            raise
        finally:
            ticking.cancel()

    def _say_that_it_goes_on(self) -> None:
        print(f"The run goes on. To stop it: run.stop(), or 'orchestrate stop {self.id}'.")  # noqa: T201

    def _waited(self) -> None:
        """A headless notebook keeps only what the cell that waited shows."""
        if displays.in_ipython() and displays.loaded():
            displays.front_end().waited(self)

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
            task = find_task(state, task_id)
            if task.status is not TaskStatus.COMPLETED:
                why = f": {task.error}" if task.error else ""
                raise RunFailed(f"task '{task_id}' has no result, it is {task.status}{why}")
            return self._engine.result_of(task)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def pause(self, by: str = "") -> None:
        """No new task starts; running ones go on."""
        self.tell("pause", by=by)

    def resume(self, by: str = "") -> None:
        """Go on after a pause."""
        self.tell("resume", by=by)

    def stop(self, by: str = "", reason: str = "") -> None:
        """No new task starts; the run ends when the running ones have. Resumable."""
        self.tell("stop", by=by, reason=reason)

    def halt(self, by: str = "", reason: str = "") -> None:
        """Emergency: running tasks are ended too (TERM, then KILL). Resumable."""
        self.tell("halt", by=by, reason=reason)

    def cancel(self, task_id: str, by: str = "", reason: str = "") -> None:
        """End one task for good."""
        self.tell("cancel", task=task_id, by=by, reason=reason)

    def retry(self, task_id: str, by: str = "", *, from_failed_cell: bool = False) -> None:
        """Run a task again that failed or was cancelled.

        With `from_failed_cell` a mended notebook goes on in the kernel that was kept (`keep_kernel_on_error`), without
        repeating what was executed before. Raises `CommandRefused` with the reason if there is no such kernel.
        """
        self.tell("retry", task=task_id, by=by, from_failed_cell=from_failed_cell)

    def approve(self, checkpoint: str, answer: Any = None, by: str = "") -> None:
        """Answer a checkpoint (its id, or its task's) with yes."""
        self.tell("approve", checkpoint=checkpoint, answer=answer, by=by)

    def reject(self, checkpoint: str, reason: str, by: str = "") -> None:
        """Answer a checkpoint with no."""
        self.tell("reject", checkpoint=checkpoint, reason=reason, by=by)

    def tell(self, verb: Verb, **fields: Any) -> str:
        """Carry out a verb on the run's loop; returns what was done in words. The verbs above are short for it.

        Args:
            verb: pause, resume, stop, halt, cancel, retry, approve or reject.
            fields: As in `storage.inbox.Request`: `task`, `checkpoint`, `answer`, `reason`, `by`, and with
                `subject_sha256` the hash of what was shown to who approves.

        Raises:
            CommandRefused: It makes no sense now; the message says why.
            RunError: The run is over.
        """
        reply: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        request = Request(id="", at=0.0, verb=verb, **fields)
        told_at: list[int] = []

        def obey() -> None:
            try:
                answered = self._engine.obey(request)
                told_at.append(self._engine.state.seq)
                reply.set_result(answered)
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                reply.set_exception(error)

        while not self._future.done() and not self._engine.started.wait(0.05):
            pass
        if self._future.done():
            kernels = "; kernels that were kept have ended with it" if fields.get("from_failed_cell") else ""
            raise RunError(f"the run is over ({self.status}): there is nothing to {verb}{kernels}")
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
        if not on_library_loop():
            self._await_published(told_at[0])
        return answer.message

    def _await_published(self, seq: int) -> None:
        """Wait until `seq` is on stable storage and can be read: an answer survives, and the next line sees it."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while not self._future.done() and time.monotonic() < deadline:
            with self._engine.publisher.reading() as state:
                if state.seq >= seq:
                    return
            time.sleep(0.002)

    # -- events --------------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Call `subscriber` with every batch of durable records, from a thread of the run; returns its removal."""
        return self._engine.publisher.subscribe(subscriber)

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the run is over, in some thread; at once if it is."""
        self._future.add_done_callback(lambda _: callback())

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
            while (batch := await self._next(inbox)) is not None:
                for record in batch:
                    if record.seq > last:
                        last = record.seq
                        yield record
        finally:
            remove()

    async def _next(self, inbox: asyncio.Queue[list[Record] | None]) -> list[Record] | None:
        with self._interruptible():
            return await inbox.get()


async def _tick() -> None:
    while True:  # noqa: ASYNC110 - it waits for nothing
        await asyncio.sleep(TICK)


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
