"""The state of a session: what folding its events gives. Everything that moves a task's status lives in this file.

`State.apply` is the fold's one step. It consults no policy, clock or file; what it is given is the record, the plan
(when one is accepted) and the monotonic time (for delays). It keeps the indexes that make deciding incremental: which
tasks are ready, which wait for a delay or a resource, which need a ruling. An event costs O(its dependents + log n)
(but for a reset and a usage limit, which are rare: O(plan)).

An event that the task's table (`core.tasks.TRANSITIONS`) does not list raises `IllegalTransition` and changes nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.agent_attempts import AgentAttempt, end, take
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.ledger import Ledger
from orchestrator_nb.core.models import Plan, agent_kind
from orchestrator_nb.core.reviews import OrchestratorDecision, ReviewRequest, ReviewResponse
from orchestrator_nb.core.stages import FIRST_STAGE_AGENT, stage_of
from orchestrator_nb.core.tasks import (
    AWAITING_APPROVAL,
    AWAITING_QUOTA,
    COMPLETED,
    PENDING,
    RETRYING,
    RUNNING,
    SKIPPED,
    TRANSITIONS,
    WAITING,
    WORKING,
    TaskState,
    TaskStatus,
    join_verdict,
)
from orchestrator_nb.errors import IllegalTransition

#: A key is the rank of the priority above, the position in the plan below these bits.
_RANK_SHIFT = 40
_INDEX = (1 << _RANK_SHIFT) - 1


class CheckpointState(msgspec.Struct):
    """A question to a person, and what became of it."""

    id: str
    task: str
    question: str
    subject_sha256: str
    answer_schema: dict[str, Any]
    asked_at: float
    approved: bool | None = None
    answer: Any = None
    by: str = ""
    reason: str = ""
    #: The scope of the budget that is used up, and what of it; empty if it asks something else.
    budget: str = ""
    thing: str = ""


class QuotaState(msgspec.Struct):
    """A vendor's usage limit that is waited for."""

    vendor: str
    #: The attempt that told of it, and when.
    task: str
    met_at: float
    #: When it ends: seconds since the epoch.
    resets_at: float
    #: The task that was let start to see whether it is over.
    probe: str = ""


class ReviewState(msgspec.Struct):
    """The last review of a task's work."""

    request: ReviewRequest
    asked_at: float
    votes: tuple[ReviewResponse, ...] = ()
    decision: OrchestratorDecision | None = None


class State:
    """The fold of a session's events. Fields are public to read."""

    def __init__(self) -> None:
        self.session = ""
        self.parent = ""
        self.fork_task = ""
        self.seq = 0
        self.created_at = 0.0
        #: Time of the last record, and of the last one that was written before that.
        self.at = 0.0
        self.before = 0.0
        self.plan: Plan | None = None
        self.accepted: e.PlanAccepted | None = None
        self.tasks: dict[str, TaskState] = {}
        self.by_index: list[TaskState] = []
        self.counts: dict[TaskStatus, int] = dict.fromkeys(TaskStatus, 0)
        self.run: e.RunStarted | None = None
        self.run_started_at = 0.0
        self.ended: e.RunEnded | None = None
        self.ended_at = 0.0
        self.paused = False
        self.stopping = ""
        self.halting = ""
        #: The task whose failure ends the run.
        self.failed_fast = ""
        self.batch = 0
        #: Agent numbers given so far, and those of the loop's own tasks: none is ever given twice.
        self.agents = self.stages = 0
        self.checkpoints: dict[str, CheckpointState] = {}
        #: Usage limits that are waited for, by vendor.
        self.quotas: dict[str, QuotaState] = {}
        #: The last review of each task that had one.
        self.reviews: dict[str, ReviewState] = {}
        self.merged: e.ResultsMerged | None = None
        #: Of a session that began with a prompt: what it is to reach, what was proposed last, the round of the loop
        #: whose tasks are in force, and the gaps that were found last.
        self.goal: e.GoalSet | None = None
        self.proposed: e.PlanProposed | None = None
        self.round = 0
        self.gaps: e.GapsFound | None = None
        #: What is being worked on for the merged document, and what it last told.
        self.merging: e.MergeStarted | None = None
        self.merge_message = ""
        #: Requests for it so far.
        self.merge_attempts = 0
        self.warnings: list[e.WarningRaised] = []
        #: The attempts of coding agents, by task: all there were, also of tasks that were reset or dropped.
        self.agent_attempts: dict[str, list[AgentAttempt]] = {}
        #: What attempts have used, and which limits hold.
        self.ledger = Ledger()
        #: Tasks that cannot start within their budget: scope and thing. Whoever decides takes them.
        self.unaffordable: list[tuple[TaskState, str, e.Thing]] = []
        #: Indexes for deciding. Entries may be stale: whoever takes one checks the task's status.
        self.ready: list[int] = []
        self.delayed: list[tuple[float, int]] = []
        self.unruled: list[int] = []
        self.used: dict[str, float] = {}
        self.parked: dict[str, list[int]] = {}
        self.graph = Graph((), ())
        self.now = 0.0

    # -- questions -----------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Any]:
        """Values of the plan's parameters."""
        return self.accepted.params if self.accepted else {}

    @property
    def running(self) -> int:
        """Number of tasks that are running."""
        return self.counts[RUNNING] + self.counts[TaskStatus.AWAITING_REVIEW]

    @property
    def open_checkpoints(self) -> list[CheckpointState]:
        """Questions that wait for a person."""
        return [checkpoint for checkpoint in self.checkpoints.values() if self.is_open(checkpoint)]

    def is_open(self, checkpoint: CheckpointState) -> bool:
        """Whether a person can still answer: not answered, and its task waits for this very question."""
        task = self.tasks.get(checkpoint.task)  # a new plan may have dropped it
        waits = task is not None and task.status is TaskStatus.AWAITING_APPROVAL and task.checkpoint == checkpoint.id
        return waits and checkpoint.approved is None

    def vendor(self, task: TaskState) -> str:
        """The kind of agent that the task's next attempt is for."""
        assert self.plan is not None
        spec = self.plan.tasks[task.index]
        return agent_kind(spec.fallback if task.fallback and spec.fallback is not None else spec)

    def quota_of(self, task: TaskState) -> QuotaState | None:
        """The usage limit that keeps the task from starting; None if there is none."""
        return self.quotas.get(self.vendor(task)) if self.quotas else None

    @property
    def status(self) -> str:
        """The run's status, computed (never stored): created, running, paused, stopping, halting, stopped, halted,
        failed, completed, or interrupted (its process is gone; `Session.status` knows).
        """
        if self.run is None:
            return "created"
        if self.ended is not None:
            return "failed" if self.ended.reason == "error" else self.ended.reason
        if self.halting:
            return "halting"
        if self.stopping:
            return "stopping"
        return "paused" if self.paused else "running"

    def task(self, task_id: str) -> TaskState:
        """The state of a task. Raises `IllegalTransition` for an unknown id."""
        try:
            return self.tasks[task_id]
        except KeyError:
            raise IllegalTransition(f"the plan has no task '{task_id}'") from None

    # -- the fold ------------------------------------------------------------------------------------------------------

    def apply(self, record: e.Record, plan: Plan | None = None, now: float = 0.0) -> None:
        """Take one record in. `plan` is the plan that a `PlanAccepted` names; `now` the monotonic time in seconds.

        Raises `IllegalTransition`, and changes nothing, if the event cannot happen in this state.
        """
        event = record.event
        kind = type(event)
        if record.at != self.at:
            self.before = self.at
        handler = _TASK_EVENTS.get(kind)
        if handler is not None:
            task = self.tasks.get(event.task)  # type: ignore[union-attr]
            target = TRANSITIONS[task.status].get(kind) if task is not None else None
            if task is None or target is None:
                raise self._illegal(task, event, record.seq)
            self.now = now
            handler(self, task, event, record.at, target)
        else:
            _SESSION_EVENTS[kind](self, event, record, plan)
        self.seq = record.seq
        self.at = record.at

    def _illegal(self, task: TaskState | None, event: e.AnyEvent, seq: int) -> IllegalTransition:
        name = getattr(event, "task", "") or getattr(event, "checkpoint", "")
        story = f"{task.status}, attempt {task.attempt}" if task is not None else "not in the plan"
        return IllegalTransition(f"record {seq}: {type(event).__name__} cannot happen to '{name}' ({story})")

    def _move(self, task: TaskState, status: TaskStatus) -> None:
        if task.status is AWAITING_APPROVAL:
            self._asks_no_more(task)
        self.counts[task.status] -= 1
        self.counts[status] += 1
        task.status = status
        if self.failed_fast and not status.settled and status is not RUNNING:
            self.unruled.append(task.index)  # nothing starts any more

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _started(self, task: TaskState, event: e.TaskStarted, at: float, target: TaskStatus) -> None:
        self._move(task, target)
        task.attempt = event.attempt
        task.batch = event.batch
        task.fingerprint = event.fingerprint
        task.fallback = event.fallback
        task.started_at = at
        task.ended_at = None
        if task.message or task.total:
            task.message, task.done, task.total = "", 0, 0
        if event.batch > self.batch:
            self.batch = event.batch
        for name, amount in task.demand:
            self.used[name] = self.used.get(name, 0.0) + amount
        self.ledger.start(task.id, self.vendor(task), event.reserved, at)

    def _process(self, task: TaskState, event: e.ProcessStarted, at: float, target: TaskStatus) -> None:
        task.process = event

    def _progressed(self, task: TaskState, event: e.TaskProgressed, at: float, target: TaskStatus) -> None:
        task.message, task.done, task.total = event.message, event.done, event.total

    def _agent_told(
        self,
        task: TaskState,
        event: e.AgentStarted | e.AgentIdentified | e.AgentDenied | e.AgentSpent,
        at: float,
        target: TaskStatus,
    ) -> None:
        take(self.agent_attempts.setdefault(task.id, []), event)
        if isinstance(event, e.AgentStarted):
            task.message = f"{event.agent}, {event.sandbox}, level {event.level}" if event.sandbox else event.agent
            if event.recorded:
                task.message = f"{event.agent}, replayed"
        elif isinstance(event, e.AgentDenied):
            task.message = f"refused: {event.tool} {event.target}".rstrip()
        elif isinstance(event, e.AgentSpent) and not event.recorded:
            self.ledger.tell(task.id, event.input_tokens + event.output_tokens, event.cost)

    def _completed(self, task: TaskState, event: e.TaskCompleted, at: float, target: TaskStatus) -> None:
        self._end_attempt(task, at, event.duration)
        task.value = event.value
        task.result = event.result
        task.format = event.format
        task.outputs = event.outputs
        task.exit_code = event.exit_code
        if event.work or event.commits or task.commits:
            task.commits, task.work = event.commits, event.work
        if event.reused_from:
            task.reused_from = event.reused_from
            task.fingerprint = event.fingerprint
        if event.imported:
            task.imported = event.imported
        if task.error:
            task.error = task.error_kind = ""
        self._move(task, target)
        self._settle(task)

    def _failed(self, task: TaskState, event: e.TaskFailed, at: float, target: TaskStatus) -> None:
        crashed = event.kind == "crash_loop"  # nobody knows when it ended
        self._end_attempt(task, at, event.duration, self.before if crashed else at)
        task.failures += 1
        task.error, task.error_kind = event.error, event.kind
        task.exit_code, task.transient = event.exit_code, event.transient
        task.commits = event.commits
        self._move(task, target)
        self.unruled.append(task.index)

    def _interrupted(self, task: TaskState, event: e.AttemptInterrupted, at: float, target: TaskStatus) -> None:
        self._end_attempt(task, at, None, self.before if event.crashed else at)
        task.interruptions += event.crashed
        if event.crashed and (attempts := self.agent_attempts.get(task.id)):
            end(attempts, task.attempt, None)  # nobody knows when it ended
        self._make_ready(task)

    def _retry(self, task: TaskState, event: e.TaskRetryScheduled, at: float, target: TaskStatus) -> None:
        task.retry_delay = event.delay
        task.fallback = event.fallback
        if self.quota_of(task) is not None:
            self._make_ready(task)
        else:
            self._move(task, target)
            heapq.heappush(self.delayed, (self.now + event.delay, task.index))

    def _failure_settled(self, task: TaskState, event: e.TaskFailureSettled, at: float, target: TaskStatus) -> None:
        self._move(task, SKIPPED if event.strategy == "skip" else target)
        self._settle(task)
        if event.strategy == "fail_fast":
            self.failed_fast = task.id
            self.unruled.extend(other.index for other in self.by_index if not other.status.settled)

    def _blocked(self, task: TaskState, event: e.TaskBlocked, at: float, target: TaskStatus) -> None:
        task.blocked_by = event.blocked_by
        self._move(task, target)
        self._settle(task)

    def _skipped(self, task: TaskState, event: e.TaskSkipped, at: float, target: TaskStatus) -> None:
        task.message = event.reason
        self._move(task, target)
        self._settle(task)

    def _cancelled(self, task: TaskState, event: e.TaskCancelled, at: float, target: TaskStatus) -> None:
        if task.status in WORKING:
            self._end_attempt(task, at, None)
        task.message = event.reason
        self._move(task, target)
        self._settle(task)

    def _reset(self, task: TaskState, event: e.TaskReset, at: float, target: TaskStatus) -> None:
        self.failed_fast = ""  # what is asked for again may start; what that failure blocked stays blocked
        self._forget(task)
        again = [task]
        for other in self.by_index:
            if other.status is TaskStatus.BLOCKED and other.blocked_by == task.id:
                self._forget(other)
                again.append(other)
        # Dependents that ended before keep their end; only what still waits counts the reset task as unmet again.
        for changed in again:
            for child in self.graph.children[changed.index]:
                if not self.by_index[child].status.settled:
                    self._recount(self.by_index[child])
        for changed in again:
            self._recount(changed)
            self._consider(changed)

    def _checkpoint(self, task: TaskState, event: e.CheckpointReached, at: float, target: TaskStatus) -> None:
        if task.status is RUNNING:
            self._end_attempt(task, at, None)
        task.checkpoint = event.checkpoint
        asked = self.checkpoints[event.checkpoint] = CheckpointState(
            event.checkpoint, task.id, event.question, event.subject_sha256, dict(event.answer_schema), at
        )
        if event.budget:
            asked.budget, asked.thing = event.budget, event.thing
            self.ledger.asked[event.budget] = event.checkpoint
        self._move(task, target)

    def _quota_reached(self, task: TaskState, event: e.QuotaReached, at: float, target: TaskStatus) -> None:
        self._end_attempt(task, at, event.duration)
        task.quota_waits += 1
        task.error, task.error_kind, task.exit_code, task.transient = event.error, "quota", None, True
        self.quotas[event.vendor] = QuotaState(event.vendor, task.id, at, event.resets_at)
        self._move(task, target)
        for other in self.by_index:  # a limit is rare: what it holds up is looked for
            if other.status in (PENDING, RETRYING) and self.vendor(other) == event.vendor:
                self._move(other, AWAITING_QUOTA)

    def _quota_probed(self, task: TaskState, event: e.QuotaProbed, at: float, target: TaskStatus) -> None:
        if (quota := self.quota_of(task)) is not None:
            quota.probe = task.id
        self._move(task, target)
        heapq.heappush(self.ready, task.key)

    def _review_requested(self, task: TaskState, event: e.ReviewRequested, at: float, target: TaskStatus) -> None:
        earlier = self.reviews.get(task.id)
        same = earlier is not None and earlier.request.subject_sha256 == event.request.subject_sha256
        votes = earlier.votes if earlier is not None and same else ()
        self.reviews[task.id] = ReviewState(event.request, at, votes)
        self._move(task, target)

    def _review_voted(self, task: TaskState, event: e.ReviewVoted, at: float, target: TaskStatus) -> None:
        self.reviews[task.id].votes += (event.response,)

    def _review_decided(self, task: TaskState, event: e.ReviewDecided, at: float, target: TaskStatus) -> None:
        self.reviews[task.id].decision = event.decision
        if event.decision.ruling == "stop":
            task.reworks += 1
        self._move(task, target)

    def _end_attempt(self, task: TaskState, at: float, duration: float | None, until: float | None = None) -> None:
        for scope in self.ledger.end(task.id, at if until is None else until):
            self.wake(f"budget {scope}")
        task.ended_at = at
        task.duration = duration
        task.process = None
        if self.agent_attempts and (attempts := self.agent_attempts.get(task.id)):
            end(attempts, task.attempt, at - (task.started_at or at) if duration is None else duration)
        if task.demand and task.status in WORKING:
            for name, amount in task.demand:
                self.used[name] -= amount
                self.wake(name)

    def _settle(self, task: TaskState) -> None:
        """Let the dependents count the end of `task`."""
        task.settled = True
        completed = task.status is COMPLETED
        bad = not completed and task.status is not SKIPPED
        for child in self.graph.children[task.index]:
            dependent = self.by_index[child]
            dependent.unmet -= 1
            if completed:
                dependent.successes += 1
            elif bad and not dependent.bad_parent:
                dependent.bad_parent = task.blocked_by or task.id
            if dependent.status is WAITING:
                self._consider(dependent)

    def _consider(self, task: TaskState) -> None:
        """Move a waiting task on if its join is met, or note that it needs a ruling if that can't be any more."""
        verdict = join_verdict(task.join, task.unmet, task.successes, bool(task.bad_parent))
        if verdict == "start":
            self._make_ready(task)
        elif verdict != "wait":
            self.unruled.append(task.index)

    def _make_ready(self, task: TaskState) -> None:
        """Let a task start as soon as there is room, and its vendor's quota is not used up."""
        if self.quotas and (quota := self.quota_of(task)) is not None:
            self._move(task, AWAITING_QUOTA)
            if quota.probe == task.id:
                quota.probe = ""  # it has told nothing
        else:
            self._move(task, PENDING)
            heapq.heappush(self.ready, task.key)

    def _forget(self, task: TaskState) -> None:
        self._move(task, WAITING)
        task.settled = False
        task.failures = task.interruptions = task.quota_waits = task.reworks = 0
        self.reviews.pop(task.id, None)
        task.fallback = False
        task.blocked_by = task.error = task.error_kind = task.message = ""
        task.value = msgspec.UNSET
        task.result, task.format, task.outputs = None, "", ()
        task.commits, task.work = (), None
        task.exit_code, task.transient = None, False
        task.checkpoint = task.reused_from = task.imported = ""

    def _recount(self, task: TaskState) -> None:
        task.unmet = task.successes = 0
        task.bad_parent = ""
        for position in self.graph.parents[task.index]:
            parent = self.by_index[position]
            if not parent.settled:
                task.unmet += 1
            elif parent.status is COMPLETED:
                task.successes += 1
            elif parent.status is not SKIPPED and not task.bad_parent:
                task.bad_parent = parent.blocked_by or parent.id
        if task.unmet and (task.status is PENDING or task.status is AWAITING_QUOTA):
            self._move(task, WAITING)

    # -- ready tasks and limited things --------------------------------------------------------------------------------

    def release_due(self, now: float) -> None:
        """Put the tasks whose delay is over among the ready ones (a timer may fire early by the clock's resolution)."""
        while self.delayed and self.delayed[0][0] <= now + 1e-6:
            task = self.by_index[heapq.heappop(self.delayed)[1]]
            if task.status is RETRYING:
                heapq.heappush(self.ready, task.key)

    def take_ready(self) -> TaskState | None:
        """Remove and return the first ready task, or None."""
        while self.ready:
            task = self.of_key(heapq.heappop(self.ready))
            if task.status is PENDING or task.status is RETRYING:
                return task
        return None

    def park(self, task: TaskState, name: str) -> None:
        """Set a ready task aside until something of the limited thing `name` is given back."""
        heapq.heappush(self.parked.setdefault(name, []), task.key)

    def wake(self, name: str) -> None:
        """Make the first task that waits for `name` ready again; `decide.admit` wakes the next when this one fits."""
        if (key := self.first_parked(name)) is not None:
            heapq.heappop(self.parked[name])
            heapq.heappush(self.ready, key)

    def first_parked(self, name: str) -> int | None:
        """The key of the first task that was set aside for `name` and still wants to start, or None."""
        parked = self.parked.get(name)
        while parked:
            if self.of_key(parked[0]).status in (PENDING, RETRYING):
                return parked[0]
            heapq.heappop(parked)
        return None

    def of_key(self, key: int) -> TaskState:
        """The task that a key in `ready` or `parked` stands for."""
        return self.by_index[key & _INDEX]

    # -- the session ---------------------------------------------------------------------------------------------------

    def _session_created(self, event: e.SessionCreated, record: e.Record, plan: Plan | None) -> None:
        self.session, self.parent, self.fork_task = event.session, event.parent, event.fork_task
        self.created_at = record.at

    def _plan_accepted(self, event: e.PlanAccepted, record: e.Record, plan: Plan | None) -> None:
        if plan is None:
            raise IllegalTransition(f"record {record.seq}: PlanAccepted was applied without its plan")
        known = self.tasks
        self.plan, self.accepted, self.graph = plan, event, plan.graph
        self.round = event.round or self.round
        self.tasks, self.by_index = {}, []
        self.counts = dict.fromkeys(TaskStatus, 0)
        self.ready, self.delayed, self.unruled = [], [], []
        self.used, self.parked = {}, {}
        for index, (spec, rank, demand) in enumerate(zip(plan.tasks, plan.ranks, plan.demands, strict=True)):
            task = known.get(spec.id)
            if task is None:
                task = TaskState(spec.id, index, self._next_agent(spec.id))
            task.index = index
            task.key = rank << _RANK_SHIFT | index
            task.demand = demand
            task.join = spec.join
            self.counts[task.status] += 1
            self.tasks[spec.id] = task
            self.by_index.append(task)
        if self.failed_fast not in self.tasks:
            self.failed_fast = ""
        for task in self.by_index:
            if task.status is TaskStatus.BLOCKED and task.blocked_by not in self.tasks:
                self._forget(task)
        for name in event.again:
            self._forget(self.tasks[name])
        self.ledger.plan(plan, self.agent_attempts, {task.id: task.attempt for task in self.by_index if task.attempt})
        for task in self.by_index:
            if self.graph.parents[task.index]:
                self._recount(task)
        for task in self.by_index:
            if task.status is WAITING:
                self._consider(task)
            elif task.status is not COMPLETED:
                self._index(task)

    def _next_agent(self, task_id: str) -> int:
        """The number of a new task's agent; the loop's own are counted apart, so that it never changes the others'."""
        if self.goal is not None and stage_of(task_id) is not None:
            self.stages += 1
            return FIRST_STAGE_AGENT + self.stages
        self.agents += 1
        return self.agents

    def _index(self, task: TaskState) -> None:
        """Put a task of an earlier revision where deciding finds it."""
        if task.status in (PENDING, RETRYING, AWAITING_QUOTA):
            if task.status is AWAITING_QUOTA or self.quota_of(task) is not None:
                self._make_ready(task)
            else:
                heapq.heappush(self.ready, task.key)
        elif task.status in WORKING:
            for name, amount in task.demand:
                self.used[name] = self.used.get(name, 0.0) + amount
        elif task.status is TaskStatus.FAILED and not task.settled:
            self.unruled.append(task.index)

    def _goal_set(self, event: e.GoalSet, record: e.Record, plan: Plan | None) -> None:
        self.goal = event

    def _plan_proposed(self, event: e.PlanProposed, record: e.Record, plan: Plan | None) -> None:
        self.proposed = event

    def _gaps_found(self, event: e.GapsFound, record: e.Record, plan: Plan | None) -> None:
        self.gaps = event

    def _run_started(self, event: e.RunStarted, record: e.Record, plan: Plan | None) -> None:
        self.run, self.ended = event, None
        self.run_started_at = record.at
        self.merged = self.merging = None
        self.merge_message = ""
        self.paused, self.stopping, self.halting = False, "", ""
        self.ledger.stopped = ""

    def _run_paused(self, event: e.RunPaused, record: e.Record, plan: Plan | None) -> None:
        self.paused = True

    def _run_unpaused(self, event: e.RunUnpaused, record: e.Record, plan: Plan | None) -> None:
        self.paused = False

    def _stop_requested(self, event: e.StopRequested, record: e.Record, plan: Plan | None) -> None:
        self.stopping = event.reason or "stop requested"
        if event.by == "budget":
            self.ledger.stopped = event.reason

    def _halt_requested(self, event: e.HaltRequested, record: e.Record, plan: Plan | None) -> None:
        self.halting = event.reason or "halt requested"

    def _run_ended(self, event: e.RunEnded, record: e.Record, plan: Plan | None) -> None:
        self.ended, self.ended_at = event, record.at

    def _results_merged(self, event: e.ResultsMerged, record: e.Record, plan: Plan | None) -> None:
        self.merged, self.merging = event, None

    def _merge_started(self, event: e.MergeStarted, record: e.Record, plan: Plan | None) -> None:
        self.merging, self.merge_message, self.merge_attempts = event, "", event.attempt

    def _merge_progressed(self, event: e.MergeProgressed, record: e.Record, plan: Plan | None) -> None:
        self.merge_message = event.message

    def _side_work_told(self, event: e.SideWorkTold, record: e.Record, plan: Plan | None) -> None:
        attempts = self.agent_attempts.setdefault(event.told.task, [])
        same = bool(attempts) and attempts[-1].attempt == event.told.attempt
        before = attempts[-1].spent if same else None
        take(attempts, event.told)
        if isinstance(event.told, e.AgentSpent) and not event.told.recorded:
            self.ledger.aside(attempts[-1].agent or "unknown", before, event.told)
        if isinstance(event.told, e.AgentSpent) and event.told.final:
            end(attempts, event.told.attempt, None)

    def _warning_raised(self, event: e.WarningRaised, record: e.Record, plan: Plan | None) -> None:
        self.warnings.append(event)

    def _quota_restored(self, event: e.QuotaRestored, record: e.Record, plan: Plan | None) -> None:
        if self.quotas.pop(event.vendor, None) is None:
            raise IllegalTransition(f"record {record.seq}: no quota of '{event.vendor}' is waited for")
        for task in self.by_index:
            if task.status is AWAITING_QUOTA and self.vendor(task) == event.vendor:
                self._make_ready(task)

    def _answered(
        self, event: e.CheckpointApproved | e.CheckpointRejected, record: e.Record, plan: Plan | None
    ) -> None:
        checkpoint = self.checkpoints.get(event.checkpoint)
        task = self.tasks.get(checkpoint.task) if checkpoint is not None else None
        target = TRANSITIONS[task.status].get(type(event)) if task is not None else None
        if checkpoint is None or task is None or target is None or not self.is_open(checkpoint):
            raise self._illegal(task, event, record.seq)
        if checkpoint.subject_sha256 != event.subject_sha256:
            raise IllegalTransition(
                f"record {record.seq}: checkpoint '{checkpoint.id}' was answered for something else than was shown"
            )
        checkpoint.by = event.by
        if isinstance(event, e.CheckpointApproved):
            checkpoint.approved, checkpoint.answer = True, event.answer
            if checkpoint.budget and event.answer is None:
                self.ledger.passes.add(task.id)
            self._make_ready(task)
        elif checkpoint.budget:  # it says nothing about the task
            checkpoint.approved, checkpoint.reason = False, event.reason
            self._make_ready(task)
        else:
            self._move(task, target)
            checkpoint.approved, checkpoint.reason = False, event.reason
            task.error, task.error_kind = f"Rejected: {event.reason}", "rejected"
            task.ended_at, task.transient = record.at, False
            self.unruled.append(task.index)

    # -- budgets -------------------------------------------------------------------------------------------------------

    def _budget_changed(self, event: e.BudgetChanged, record: e.Record, plan: Plan | None) -> None:
        self.ledger.change(event)
        asked = self.checkpoints.get(self.ledger.asked.get(event.scope, ""))
        if asked is not None and self.is_open(asked):  # that was its answer
            asked.approved, asked.by = True, event.by
            self._make_ready(self.tasks[asked.task])
        self.wake(f"budget {event.scope}")

    def _asks_no_more(self, task: TaskState) -> None:
        """Where the task asked about a budget, let the others that wait for the answer go on."""
        asked = self.checkpoints.get(task.checkpoint)
        if asked is not None and asked.budget:
            self.ledger.asked.pop(asked.budget, None)
            self.wake(f"budget {asked.budget}")

    def _budget_warned(self, event: e.BudgetWarned, record: e.Record, plan: Plan | None) -> None:
        self.ledger.warned.add((event.scope, event.thing))


_TASK_EVENTS: dict[type[e.Event], Any] = {
    e.TaskStarted: State._started,
    e.ProcessStarted: State._process,
    e.TaskProgressed: State._progressed,
    e.AgentStarted: State._agent_told,
    e.AgentIdentified: State._agent_told,
    e.AgentDenied: State._agent_told,
    e.AgentSpent: State._agent_told,
    e.TaskCompleted: State._completed,
    e.TaskFailed: State._failed,
    e.AttemptInterrupted: State._interrupted,
    e.TaskRetryScheduled: State._retry,
    e.TaskFailureSettled: State._failure_settled,
    e.TaskBlocked: State._blocked,
    e.TaskSkipped: State._skipped,
    e.TaskCancelled: State._cancelled,
    e.TaskReset: State._reset,
    e.CheckpointReached: State._checkpoint,
    e.QuotaReached: State._quota_reached,
    e.QuotaProbed: State._quota_probed,
    e.ReviewRequested: State._review_requested,
    e.ReviewVoted: State._review_voted,
    e.ReviewDecided: State._review_decided,
}
_SESSION_EVENTS: dict[type[e.Event], Any] = {
    e.SessionCreated: State._session_created,
    e.PlanAccepted: State._plan_accepted,
    e.GoalSet: State._goal_set,
    e.PlanProposed: State._plan_proposed,
    e.GapsFound: State._gaps_found,
    e.RunStarted: State._run_started,
    e.RunPaused: State._run_paused,
    e.RunUnpaused: State._run_unpaused,
    e.StopRequested: State._stop_requested,
    e.HaltRequested: State._halt_requested,
    e.RunEnded: State._run_ended,
    e.ResultsMerged: State._results_merged,
    e.MergeStarted: State._merge_started,
    e.MergeProgressed: State._merge_progressed,
    e.SideWorkTold: State._side_work_told,
    e.WarningRaised: State._warning_raised,
    e.QuotaRestored: State._quota_restored,
    e.BudgetChanged: State._budget_changed,
    e.BudgetWarned: State._budget_warned,
    e.CheckpointApproved: State._answered,
    e.CheckpointRejected: State._answered,
}


def fold(records: Iterable[e.Record], plan_of: Any) -> State:
    """The state after `records`; `plan_of(PlanAccepted)` loads a plan."""
    state = State()
    for record in records:
        event = record.event
        state.apply(record, plan_of(event) if type(event) is e.PlanAccepted else None)
    return state
