"""One session being run by this process: lock, log, state, processes, control, and the way to `final_output.md`.

`Engine.open` takes the session's lock and folds its log, in the caller's thread, so that whatever is wrong is said at
once. `main` then runs on the library's loop until the run is over, and leaves everything closed behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.agents.threads import in_daemon_thread
from orchestrator_nb.core import events as e
from orchestrator_nb.core.limits import Limits
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.ports import RunContext
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.errors import OrchestratorError, StorageError
from orchestrator_nb.executors.asking import Asker
from orchestrator_nb.executors.keeping import Keeper
from orchestrator_nb.executors.local import LocalExecutor
from orchestrator_nb.policies.admission import Admission, admission_for
from orchestrator_nb.policies.retry import RetryPolicy
from orchestrator_nb.runtime.assignments import Assigner
from orchestrator_nb.runtime.budgets import asks_at_limit
from orchestrator_nb.runtime.finish import copy_results, remove_sockets
from orchestrator_nb.runtime.heartbeat import Heartbeat
from orchestrator_nb.runtime.journal import Journal
from orchestrator_nb.runtime.merger import Merger
from orchestrator_nb.runtime.nested_spending import NestedSpending
from orchestrator_nb.runtime.outcomes import as_end_reason
from orchestrator_nb.runtime.plans import load_plan_blob
from orchestrator_nb.runtime.projector import FileWriter
from orchestrator_nb.runtime.publisher import Publisher
from orchestrator_nb.runtime.recovery import reconcile
from orchestrator_nb.runtime.results import read_artifact, read_result
from orchestrator_nb.runtime.reviewing import Reviews
from orchestrator_nb.runtime.runner import Runner
from orchestrator_nb.runtime.taping import taping_of
from orchestrator_nb.storage.filesystems import filesystem_warning
from orchestrator_nb.storage.inbox import Inbox, Reply, Request
from orchestrator_nb.storage.lock import Holder, SessionLock
from orchestrator_nb.storage.log import EventLog, read_records
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.supervisor import Supervisor

#: Seconds between two looks into the control inbox, and between two checks that the session is still where it was.
CONTROL_INTERVAL = 0.1
CHECK_INTERVAL = 1.0


class Engine:
    """Everything that one run of one session consists of."""

    def __init__(self, directory: SessionDir, settings: Settings, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.directory = directory
        self.settings = settings
        self.functions = functions
        self._failure: StorageError | None = None
        self._disk_checked_at = 0.0
        self._jobs: int | None = None
        #: The merge, while it goes on.
        self._merging: asyncio.Task[None] | None = None
        #: Set once verbs can be obeyed.
        self.started = threading.Event()
        self.admission = Admission(settings.max_parallel)
        self.keeper = Keeper(directory.path)
        self._lock = SessionLock(directory.lock_path)
        self._lock.acquire(on_wait=_tell_who_holds)
        self._opened_at = time.time()
        try:
            directory.sweep()
            self.blobs = directory.blobs
            self._plans: dict[str, Plan] = {}
            self.state, shown = State(), State()
            self._writer = FileWriter(directory.root, settings)
            self.publisher = Publisher(shown, self._writer, settings.projection_interval)

            def take(record: e.Record) -> None:
                plan = self.plan_of(record.event) if isinstance(record.event, e.PlanAccepted) else None
                self.state.apply(record, plan)
                shown.apply(record, plan)
                self._writer.follow(record, shown)

            self.log = EventLog.open(
                directory.log_path,
                on_record=take,
                on_synced=self.publisher.synced,
                on_failed=self._log_failed,
                durability=settings.durability,
                sync_interval=settings.sync_interval,
            )
            self.journal = Journal(self.log, self.state, self.publisher.offer)
        except BaseException:
            self._lock.release()
            raise

    def _log_failed(self, error: StorageError) -> None:
        """The log died in its own thread: the run ends, nothing more can be promised."""
        self._failure = error

    # -- before the run ------------------------------------------------------------------------------------------------

    def record(self, *events: e.AnyEvent, plan: Plan | None = None) -> None:
        """Write events from outside the loop, before the run began."""
        self.journal.record(events, time.monotonic(), plan)

    def plan_of(self, event: e.PlanAccepted) -> Plan:
        """The plan that an event names; each one is read once."""
        if event.plan.sha256 not in self._plans:
            self._plans[event.plan.sha256] = load_plan_blob(self.blobs.get(event.plan))
        return self._plans[event.plan.sha256]

    def accept(  # noqa: PLR0913 - what the event holds
        self,
        plan: Plan,
        params: Mapping[str, Any],
        *,
        base: Path,
        cwd: Path,
        source: str = "",
        again: Collection[str] = (),
        round: int = 0,  # noqa: A002 - as the event calls it
    ) -> None:
        """Put `plan` in force as the session's next revision; the tasks `again` wait anew. All in one write."""
        artifact = self.keep_plan(plan)
        revision = self.state.accepted.revision + 1 if self.state.accepted else 1
        event = e.PlanAccepted(
            revision, artifact, plan.title, len(plan), dict(params), str(base), str(cwd), source, round
        )
        now = time.monotonic()
        self.journal.apply([event], now, plan)
        stale = [task.id for task in self.state.by_index if task.id in again]
        self.journal.apply([e.TaskReset(task_id, "changed plan") for task_id in stale], now)
        self.journal.commit(plan)

    def keep_plan(self, plan: Plan) -> e.Artifact:
        """Put `plan` on stable storage, so that an event may name it."""
        artifact = self.blobs.put(plan.model_dump_json(exclude_defaults=True).encode())
        self._plans[artifact.sha256] = plan
        return artifact

    def context(self) -> RunContext:
        """What all attempts share, from the plan that is in force."""
        accepted = self.state.accepted
        assert accepted is not None
        return RunContext(
            session=self.state.session,
            directory=self.directory.path,
            base=Path(accepted.base),
            cwd=Path(accepted.cwd),
            params=accepted.params,
            functions=self.functions,
            ancestors=self._ancestors,
        )

    def _ancestors(self, task_id: str) -> list[str]:
        assert self.state.plan is not None
        graph = self.state.plan.graph
        return [graph.ids[node] for node in graph.ancestors(graph.index[task_id])]

    @cached_property
    def registry(self) -> Registry:
        """The agents of this run. Raises as `taping_of`."""
        return Registry(grace=self.settings.grace, taping=taping_of(self.settings, self.state))

    def release(self) -> None:
        """Give the session back without running it."""
        try:
            self.publish()
            self.publisher.close()
            self.log.close()
        finally:
            self._lock.release()

    def publish(self) -> None:
        """Let everyone see what was recorded so far, and from now on."""
        self.log.sync()
        self.publisher.start()

    # -- the run -------------------------------------------------------------------------------------------------------

    async def main(self, jobs: int | None, output: Path | None = None, warnings: Sequence[str] = ()) -> str:
        """Run the session to its end; return why it ended."""
        assert self.state.plan is not None
        supervisor = Supervisor(self.state.session, log_cap=self.settings.log_cap)
        context = self.context()
        self._jobs = jobs
        get = self.registry.get
        asker = Asker(get, supervisor, self.settings)
        reviews = Reviews(self.state, self.directory, asker, self.record)
        executor = LocalExecutor(get, supervisor, self._note, self.settings, keeper=self.keeper, reviewing=reviews)
        self.runner = Runner(
            self.journal,
            Assigner(context, self.state, self.read),
            NestedSpending(executor, self.directory, self._note),
            *self.policies(self.registry),
            room_on_disk=self._room_on_disk,
            keeper=self.keeper,
            asks=asks_at_limit(self.state.plan),
        )
        if self.state.goal is not None:
            from orchestrator_nb.runtime.course import Course

            self.runner.course = Course(self, self.registry, self.state.goal)
        self._merger = Merger(self.state, self.directory, self.read, asker, context, self.record)
        over = asyncio.Event()
        try:
            rulings = await in_daemon_thread(reconcile, self.state, self.directory)
            run_number = self._begin(rulings, supervisor.facts, warnings)
            self.started.set()
            control = asyncio.create_task(self._serve_control(over))
            running = asyncio.create_task(self._work())
            try:
                await asyncio.wait({control, running}, return_when=asyncio.FIRST_COMPLETED)
                if not running.done():  # control ended by an error
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
            finally:
                over.set()
                await control
            reason = running.result()
            self.record(e.RunEnded(run_number, as_end_reason(reason), self.runner.message or self.state.ledger.stopped))
        except Exception as error:
            self._say_error(error)
            raise
        finally:
            self.keeper.close()
            await supervisor.close()
            await in_daemon_thread(self._close)
        if output is not None and reason in ("completed", "failed"):
            await in_daemon_thread(copy_results, self.directory, output)
        return reason

    def policies(self, registry: Registry) -> tuple[Admission, RetryPolicy]:
        """Who may start and who is tried again, as the plan that is in force asks for."""
        plan = self.state.plan
        assert plan is not None
        limits = Limits(max_parallel=self._jobs or plan.limits.max_parallel or self.settings.max_parallel)
        memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        self.admission = admission_for(plan, limits, os.cpu_count() or 1, memory_gb)
        self.keeper.limit = self.admission.max_parallel
        return self.admission, RetryPolicy(registry.patient(task.kind for task in plan.tasks))

    def _begin(self, rulings: Sequence[e.AnyEvent], facts: Sequence[str], warnings: Sequence[str]) -> int:
        """Record what became of attempts that a crash left running, and that this process runs the session now."""
        run_number = self.state.run.run + 1 if self.state.run is not None else 1
        settings = {
            "max_parallel": self.admission.max_parallel,
            "capacity": dict(self.admission.capacity),
            "durability": self.settings.durability,
            "processes": list(facts),
            **self.registry.recorded,
        }
        if self.log.dropped:
            warnings = [*warnings, f"the log's last record was cut short by a crash: {self.log.dropped} bytes dropped"]
        if run_number == 1 and (warning := filesystem_warning(self.directory.path)):
            warnings = [*warnings, warning]
        started = e.RunStarted(run_number, os.getpid(), socket.gethostname(), run_number > 1, settings)
        self.record(*rulings, started, *(e.WarningRaised(message) for message in warnings))
        return run_number

    async def _work(self) -> str:
        """Run the tasks and merge their results; return why the run ended."""
        reason = await self.runner.run()
        without_plan = self.state.goal is not None and not self.state.round
        if reason not in ("completed", "failed") or without_plan:
            return reason
        self._merging = asyncio.create_task(self._merger.merge())
        try:
            await self._merging
        except asyncio.CancelledError:
            if not self.state.halting:
                raise
            return "halted"
        finally:
            self._merging = None
        return reason

    def _say_error(self, error: Exception) -> None:
        if not isinstance(error, StorageError) and self.state.run is not None:
            self.record(e.RunEnded(self.state.run.run, "error", str(error)))

    def _close(self) -> None:
        try:
            assert self.state.plan is not None
            remove_sockets(self.state.plan)
            with contextlib.suppress(StorageError):  # a log that died has said so already
                self.log.sync()
            self.publisher.close()
            self.log.close()
        finally:
            self._lock.release()

    def _note(self, event: e.Event) -> None:
        assert isinstance(event, e.AttemptEvent)
        self.runner.note(event)

    def read(self, artifact: e.Artifact) -> bytes:
        """The content of a promoted file. Raises `StorageError` if it is gone or was changed."""
        return read_artifact(self.directory, artifact, self.settings)

    def result_of(self, task: TaskState) -> Any:
        """A completed task's result: its JSON value or its text; None where it has none."""
        return read_result(task, self.read)

    def past_records(self) -> Iterator[e.Record]:
        """Every record so far."""
        return read_records(self.directory.log_path)

    def rebuild(self) -> list[str]:
        """Write every derived file anew from the log; returns their paths. A person's edits are kept as `.edited`."""
        return self._writer.rewrite()

    def discard(self) -> None:
        """Give up a session that never ran, and remove it."""
        self.release()
        shutil.rmtree(self.directory.path)

    def _room_on_disk(self) -> str | None:
        now = time.monotonic()
        if now < self._disk_checked_at + CHECK_INTERVAL:
            return None
        self._disk_checked_at = now
        free = shutil.disk_usage(self.directory.path).free
        if free >= self.settings.disk_floor:
            return None
        return (
            f"only {free / 2**20:.0f} MiB are free in {self.directory.path}, less than the disk_floor of "
            f"{self.settings.disk_floor / 2**20:.0f} MiB: no task was started; make room, then resume"
        )

    # -- control -------------------------------------------------------------------------------------------------------

    async def _serve_control(self, over: asyncio.Event) -> None:
        """Obey what other processes ask for, and see that the session is still ours, until the run is `over`."""
        inbox = Inbox(self.directory)
        for request in inbox.poll():  # asked for before this run began
            late = request.at < self._opened_at and request.verb in ("pause", "resume", "stop", "halt")
            inbox.answer(request, Reply(False, "that run had ended") if late else await self._durably(request))
        checked_at, heartbeat = time.monotonic(), Heartbeat()
        while True:
            last = over.is_set()
            for request in inbox.poll():
                inbox.answer(request, await self._durably(request))
            while inbox.refused:
                self.record(e.WarningRaised(inbox.refused.pop()))
            if (trouble := self.publisher.take_trouble()) is not None:
                self.record(e.WarningRaised(f"derived files or views lag behind: {trouble}"))
            if self._failure is not None:
                raise self._failure
            if last:
                return
            if time.monotonic() >= checked_at + CHECK_INTERVAL:
                checked_at = time.monotonic()
                self._lock.verify()
            heartbeat.rests()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), CONTROL_INTERVAL)
            if (stood := heartbeat.beat(CONTROL_INTERVAL)) is not None and not self.runner.over:
                self.record(e.WarningRaised(stood))

    async def _durably(self, request: Request) -> Reply:
        reply = self.obey(request)
        await in_daemon_thread(self.log.sync)
        return reply

    def obey(self, request: Request) -> Reply:
        """Carry out a verb, on the loop; the reply says whether it was accepted, and if not, why."""
        runner, by = self.runner, request.by
        if runner.over and self._merging is not None and request.verb == "halt":
            self.record(e.HaltRequested(by, request.reason))
            self._merging.cancel()
            return Reply(True, f"halt accepted; the run is {self.state.status}")
        if runner.over:
            return Reply(False, "the run has ended" if self._merging is None else _ONLY_HALT)
        try:
            match request.verb:
                case "pause":
                    runner.pause(by)
                case "resume":
                    runner.unpause(by)
                case "stop":
                    runner.stop(by, request.reason)
                case "halt":
                    runner.halt(by, request.reason)
                case "cancel":
                    runner.cancel(request.task, by, request.reason)
                case "retry":
                    runner.retry(request.task, by, from_failed_cell=request.from_failed_cell)
                case "approve":
                    runner.approve(request.checkpoint, request.subject_sha256, request.answer, by)
                case "reject":
                    runner.reject(request.checkpoint, request.subject_sha256, request.reason, by)
        except StorageError:
            raise
        except OrchestratorError as error:
            return Reply(False, str(error))
        return Reply(True, f"{request.verb} accepted; the run is {self.state.status}")


_ONLY_HALT = "all tasks have ended, and their results are being merged: only `halt` can be said now"


def _tell_who_holds(holder: Holder | None) -> None:
    """Say at once whom a caller is waiting for (S0: it gives up after 5 s)."""
    logging.getLogger("orchestrator_nb").warning("the session is being run by %s; waiting", holder or "another process")
