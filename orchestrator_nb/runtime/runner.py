"""The engine: one asyncio object that decides, starts attempts, and writes down what happened.

Everything that changes the run goes through `_step`: outcomes that have come in are recorded, rulings made, ready tasks
admitted, recorded as started, and handed to workers. A few workers serve a queue of assignments (a task object of
asyncio's a node would cost as much as all the rest); a task starts the moment its own dependencies are done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import AdmissionQuestion, RetryQuestion, admit, ending, rule
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.ports import Assignment, Execution, Executor, Failure
from orchestrator_nb.core.quotas import QuotaQuestion, due, next_look
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import WORKING, TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.executors.keeping import Keeper
from orchestrator_nb.policies.budget import Purse, priced
from orchestrator_nb.policies.quota import QuotaPolicy
from orchestrator_nb.runtime.assignments import Assigner
from orchestrator_nb.runtime.budgets import over_budget, soft_limits
from orchestrator_nb.runtime.checkpoints import approval, fitting_answer, open_checkpoint, rejection
from orchestrator_nb.runtime.journal import Journal
from orchestrator_nb.runtime.outcomes import completions, quota_reached, shortened
from orchestrator_nb.system.tracebacks import summary_of

if TYPE_CHECKING:
    from orchestrator_nb.runtime.course import Course

#: Steps that a lone worker may take in a row before the loop gets its turn.
MAX_INLINE = 32
#: Seconds between two looks at the wall clock while a quota is waited for: it may be set, and the machine may sleep.
LOOK = 30.0
_QUOTA = QuotaPolicy()


class Runner:
    """Runs one session's plan to its end. Made and used on one loop; verbs come between its steps."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        journal: Journal,
        assigner: Assigner,
        executor: Executor,
        admission: AdmissionQuestion,
        retry: RetryQuestion,
        *,
        room_on_disk: Callable[[], str | None] = lambda: None,
        keeper: Keeper | None = None,
        quota: QuotaQuestion = _QUOTA,
        asks: bool = True,
    ) -> None:
        self.state: State = journal.state
        self.admission = admission
        self._journal = journal
        self._assigner = assigner
        self._executor = executor
        self._retry = retry
        self._quota = quota
        #: Whether a person is asked when a budget is used up; else the run stops.
        self._asks = asks
        #: Why no task may start for lack of disk space, or None.
        self._room_on_disk = room_on_disk
        self._keeper = keeper or Keeper(assigner.run.directory)
        self._keeper.on_end = self._schedule
        #: What goes on when all tasks have ended; None: nothing, the run ends.
        self.course: Course | None = None
        self._advancing: asyncio.Task[None] | None = None
        #: Why it ended, beside the reason, in words.
        self.message = ""
        self._inbox: list[e.AnyEvent] = []
        self._queue: deque[tuple[TaskState, Assignment]] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._workers: set[asyncio.Task[None]] = set()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._cancelling: dict[str, e.AnyEvent] = {}
        self._waking = False
        self._closing = False
        self._step_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[str] = self._loop.create_future()

    async def run(self) -> str:
        """Work until the run is over; return why (`completed`, `failed`, `stopped`, `halted`).

        Raises what the log or the state raised if the run cannot go on; attempts are ended first.
        """
        self._schedule()
        try:
            return await self._done
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._advancing is not None:
                self._advancing.cancel()
                await asyncio.gather(self._advancing, return_exceptions=True)
            await self._end_workers()

    @property
    def over(self) -> bool:
        """Whether the run has ended: verbs come too late."""
        return self._done.done()

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def pause(self, by: str = "") -> None:
        """No new task starts; running ones go on."""
        if not self.state.paused:
            self._tell(e.RunPaused(by))

    def unpause(self, by: str = "") -> None:
        """Tasks start again."""
        if self.state.paused:
            self._tell(e.RunUnpaused(by))

    def stop(self, by: str = "", reason: str = "") -> None:
        """No new task starts; the run ends when the running ones have."""
        if not self.state.stopping:
            self._tell(e.StopRequested(by, reason))

    def halt(self, by: str = "", reason: str = "") -> None:
        """No new task starts; the running ones' processes get TERM, then KILL."""
        if not self.state.halting:
            self._tell(e.HaltRequested(by, reason))
        for task in self.state.by_index:
            if task.status in WORKING:
                self._end_attempt(task, e.AttemptInterrupted(task.id, task.attempt, "halted"))

    def cancel(self, task_id: str, by: str = "", reason: str = "") -> None:
        """End one task for good. Raises `CommandRefused` if it is over already."""
        task = self._task(task_id)
        if task.status.settled:
            raise CommandRefused(f"task '{task_id}' is {task.status} already: there is nothing to cancel")
        event = e.TaskCancelled(task_id, by, reason)
        if task.status not in WORKING:
            self._tell(event)
        elif not self._end_attempt(task, event):
            raise CommandRefused(f"task '{task_id}' has just ended: there is nothing to cancel")

    def retry(self, task_id: str, by: str = "", *, from_failed_cell: bool = False) -> None:
        """Run a task again that failed, was skipped or cancelled; in its kernel that was kept, `from_failed_cell` on.

        One that waits for a quota is tried now: if it finds the limit over, what else waits for it goes on too.
        Raises `CommandRefused` for any other task, or if there is no such kernel.
        """
        task = self._task(task_id)
        if task.status is TaskStatus.AWAITING_QUOTA and not from_failed_cell:
            self._tell(e.QuotaProbed(task_id, by))
            return
        if task.status is TaskStatus.COMPLETED:
            raise CommandRefused(f"task '{task_id}' is completed: use 'fork' to run it again with what depends on it")
        if not task.status.settled:
            raise CommandRefused(f"task '{task_id}' is {task.status}: only a task that has ended can be tried again")
        if task.status is TaskStatus.BLOCKED:
            raise CommandRefused(
                f"task '{task_id}' is blocked by '{task.blocked_by}': retry that one, and this one follows"
            )
        self._keeper.end(task_id)  # whoever asked before, and took it back
        if from_failed_cell:
            self._keeper.claim(task_id)
        self._assigner.forget_code()
        self._tell(e.TaskReset(task_id, by, from_failed_cell))

    def approve(self, checkpoint_id: str, subject_sha256: str, answer: Any = None, by: str = "") -> None:
        """Answer a checkpoint with yes. Raises `CommandRefused` if it is not open or was shown differently."""
        checkpoint = open_checkpoint(self.state, checkpoint_id, subject_sha256)
        answer = fitting_answer(checkpoint, answer)
        self._tell(*approval(checkpoint, answer, by))

    def reject(self, checkpoint_id: str, subject_sha256: str, reason: str, by: str = "") -> None:
        """Answer a checkpoint with no. Raises `CommandRefused` if it is not open or was shown differently."""
        checkpoint = open_checkpoint(self.state, checkpoint_id, subject_sha256)
        self._tell(*rejection(checkpoint, reason, by))

    def note(self, event: e.AttemptEvent) -> None:
        """Record what an executor tells while an attempt is running: its processes, its progress, its agent."""
        task = self.state.tasks[event.task]
        if task.status in WORKING and task.attempt == event.attempt:
            self._record([priced(self.state, event) if isinstance(event, e.AgentSpent) else event])
            if self.state.ledger.touched:
                self._schedule()  # a budget may be near its end

    def _task(self, task_id: str) -> TaskState:
        task = self.state.tasks.get(task_id)
        if task is None:
            raise CommandRefused(f"the plan has no task '{task_id}'{did_you_mean(task_id, self.state.tasks)}")
        return task

    def _tell(self, *events: e.AnyEvent) -> None:
        self._record(list(events))
        self._schedule()

    def _record(self, events: list[e.AnyEvent]) -> None:
        self._journal.record(events, self._loop.time())

    def _end_attempt(self, task: TaskState, event: e.AnyEvent) -> bool:
        """Cancel what works on `task`; `event` is recorded once it is gone. False if it has just ended by itself."""
        worker = self._working.get(task.id)
        if worker is not None:
            if task.id not in self._cancelling:
                self._cancelling[task.id] = event
                worker.cancel()
            elif isinstance(event, e.TaskCancelled):  # a person's word on a task that is being halted
                self._cancelling[task.id] = event
            return True
        left = deque(entry for entry in self._queue if entry[0] is not task)
        if len(left) == len(self._queue):
            return False  # its outcome is about to be recorded
        self._queue = left
        self._inbox.append(event)
        self._schedule()
        return True

    # -- the step ------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._step_due:
            self._step_due = True
            self._loop.call_soon(self._step_safely)

    def _step_safely(self) -> None:
        """Step, unless the run is over; whatever is raised ends it."""
        self._step_due = False
        if self._done.done():
            return
        try:
            self._step()
        except Exception as error:  # noqa: BLE001 - whatever it was, the run cannot go on, and says so
            self._done.set_exception(error)

    def _step(self) -> None:
        """Take in what happened, decide, and write both down at once, before anything of it begins."""
        now = self._loop.time()
        events, self._inbox = self._inbox, []
        assignments: list[tuple[TaskState, Assignment]] = []
        while True:
            if events:
                self._journal.apply(events, now)
            while rulings := self._due() or rule(self.state, self._retry):
                self._journal.apply(rulings, now)
            if self.state.ready and not self.state.stopping and (trouble := self._room_on_disk()):
                self._journal.apply([e.WarningRaised(trouble), e.StopRequested("orchestrator", trouble)], now)
            purse = Purse(self._journal.wall()) if self.state.ledger.limits else None
            starts = admit(self.state, self.admission, now, purse)
            events = self._start(starts, now, assignments, purse) if starts else []
            events += over_budget(self.state, self._journal.wall, asks=self._asks)
            if not events:
                break
        if self.course is not None and not self.state.halting and (why := self.course.halts(self.state)):
            self.message = why
            self._journal.apply([e.HaltRequested("orchestrator", why)], now)
        self._journal.commit()
        if assignments:
            self._queue.extend(assignments)
            self._wake_worker()
        self._set_timer(now)
        if (reason := ending(self.state)) and not self.waits and self._advancing is None:
            if self.course is None or reason in ("stopped", "halted"):
                self._done.set_result(reason)
            else:
                self._advancing = self._loop.create_task(self._advance(self.course))

    async def _advance(self, course: Course) -> None:
        """All tasks have ended: go on with what follows from that, or end the run."""
        try:
            prepared = await course.prepare()
            state = self.state
            if self._done.done() or not ending(state):  # a person has asked for a task again meanwhile
                return
            if state.stopping or state.halting:
                self._done.set_result("halted" if state.halting else "stopped")
            elif end := course.go_on(prepared, self):
                reason, self.message = end
                self._done.set_result(reason)
        except Exception as error:  # noqa: BLE001 - whatever it was, the run cannot go on, and says so
            if not self._done.done():
                self._done.set_exception(error)
        finally:
            self._advancing = None
            if not self._done.done():
                self._schedule()

    def use(self, admission: AdmissionQuestion, retry: RetryQuestion) -> None:
        """Answer these questions from now on as the plan that is in force asks for."""
        self.admission, self._retry = admission, retry
        self._assigner.forget_code()

    @property
    def waits(self) -> bool:
        """Whether kept kernels alone hold up the end."""
        state = self.state
        return bool(self._keeper.until) and bool(ending(state)) and not (state.stopping or state.halting)

    def _start(
        self, starts: list[TaskState], now: float, assignments: list[tuple[TaskState, Assignment]], purse: Purse | None
    ) -> list[e.AnyEvent]:
        """Let tasks have started and add their assignments; return the failures of those that cannot begin."""
        batch = self.state.batch + 1
        events: list[e.AnyEvent] = []
        failures: list[e.AnyEvent] = []
        for task in starts:
            attempt, fallback, fingerprint = task.attempt + 1, task.fallback, ""
            try:
                assignment = self._assigner.assign(task, attempt, fallback)
                fingerprint = self._assigner.fingerprint(assignment)
                if assignment.task.review is not None:
                    assignment = self._assigner.reviewed(assignment, task, fingerprint)
                assignments.append((task, assignment))
            except OrchestratorError as error:
                failures.append(e.TaskFailed(task.id, attempt, shortened(str(error)), "invalid"))
            except Exception as error:  # noqa: BLE001 - values of one task never end the run
                failures.append(e.TaskFailed(task.id, attempt, summary_of(error), "invalid"))
            reserved = purse.reserved.get(task.id) if purse is not None else None
            events.append(e.TaskStarted(task.id, attempt, batch, fingerprint, fallback, reserved))
        self._journal.apply(events, now)
        return failures

    def _set_timer(self, now: float) -> None:
        at = self.state.delayed[0][0] if self.state.delayed else None
        if self.state.quotas and (look := next_look(self.state, self._quota)) is not None:
            look = now + min(max(look - self._journal.wall(), 0.01), LOOK)
            at = look if at is None else min(at, look)
        if self._timer is not None and self._timer.when() != at:
            self._timer.cancel()
            self._timer = None
        if at is not None and self._timer is None:
            self._timer = self._loop.call_at(at, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._schedule()

    def _due(self) -> list[e.AnyEvent]:
        """What is to be ruled on quotas, and told of budgets."""
        state, now = self.state, self._journal.wall
        return (due(state, self._quota, now()) if state.quotas else []) or soft_limits(state, now)

    # -- workers -------------------------------------------------------------------------------------------------------

    def _wake_worker(self) -> None:
        """See that one more worker looks into the queue; it will see to the next."""
        if self._waking:
            return
        while self._idle:
            future = self._idle.pop()
            if not future.done():
                future.set_result(None)
                self._waking = True
                return
        if len(self._workers) < self.admission.max_parallel + len(self._cancelling):
            self._waking = True
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        """Serve the queue. Before it may suspend in an attempt, a worker wakes the next if there is more to do."""
        me = asyncio.current_task()
        assert me is not None
        inline = 0
        while True:
            self._waking = False
            while self._queue:
                task, assignment = self._queue.popleft()
                if self._queue:
                    self._wake_worker()
                self._working[task.id] = me
                try:
                    execution = await self._executor.execute(assignment)
                    self._inbox += self._events_of(task, assignment, execution)
                    if execution.warnings:
                        self._inbox += [e.WarningRaised(warning, task.id) for warning in execution.warnings]
                except asyncio.CancelledError:
                    if self._closing:
                        raise
                    me.uncancel()
                    error = "the work was cancelled by itself"
                    failed = e.TaskFailed(task.id, assignment.attempt, error, "cancelled")
                    self._inbox.append(self._cancelling.get(task.id, failed))
                except Exception as error:  # noqa: BLE001 - an agent's or executor's trouble is its task's
                    self._inbox.append(e.TaskFailed(task.id, assignment.attempt, summary_of(error), "invalid"))
                finally:
                    del self._working[task.id]
                    if self._cancelling.pop(task.id, None) is not None and me.cancelling():
                        me.uncancel()
                if self._queue or self._working or inline >= MAX_INLINE:
                    self._schedule()
                else:  # nobody else could bring something to be written with it
                    inline += 1
                    self._waking = True  # this worker goes on with what the step brings
                    self._step_safely()
                    self._waking = False
            inline = 0
            future = self._loop.create_future()
            self._idle.append(future)
            await future

    def _events_of(self, task: TaskState, assignment: Assignment, execution: Execution) -> list[e.AnyEvent]:
        """What the attempt's outcome is recorded as; whether a usage limit is waited for is ruled here."""
        outcome = execution.outcome
        limit = outcome.resets_at if isinstance(outcome, Failure) else None
        if limit is not None and self._quota.waits(task, limit, self._journal.wall()):
            return [quota_reached(assignment, execution, limit)]
        return completions(assignment, execution)

    async def _end_workers(self) -> None:
        self._closing = True
        self._queue.clear()
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
