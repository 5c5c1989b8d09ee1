"""Why has a task not started, what does it wait for, what became of it? Answered in sentences and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator_nb.core.decide import Demand
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Join, OnFailure, Task
from orchestrator_nb.core.reviews import votes_text
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.projections import agent_words
from orchestrator_nb.projections.quotas import until
from orchestrator_nb.projections.text import gist, one_line
from orchestrator_nb.projections.usage import of_task, used
from orchestrator_nb.projections.words import approve_command, count, duration, some, timestamp

#: Tasks that a sentence names.
_NAMED = 5


class Limits(Protocol):
    """What `policies.admission.Admission` says."""

    @property
    def max_parallel(self) -> int:
        """Tasks running at once."""

    def blocker(self, demand: Demand, used: Mapping[str, float]) -> str | None:
        """The first thing of `demand` of which too little is left."""

    def limit(self, name: str) -> float:
        """How much of `name` there is."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer about one task."""

    task: str
    status: TaskStatus
    #: The answer in one sentence, and what there is to add.
    headline: str
    reasons: tuple[str, ...] = ()
    #: Dependencies that are not settled, with their statuses; and the tasks that all this waiting comes down to.
    waits_for: Mapping[str, TaskStatus] = field(default_factory=dict)
    comes_down_to: Mapping[str, TaskStatus] = field(default_factory=dict)
    #: The limited thing that it lacks (`max_parallel`, `cpu`, `memory`, `phase X`, `lock X`, `quota X`), who holds it.
    lacks: str = ""
    held_by: tuple[str, ...] = ()
    #: The failed task that blocks it.
    blocked_by: str = ""
    #: What a person can do, as a command.
    command: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it in words."""
        return self.headline, *self.reasons


def explain(state: State, task_id: str, admission: Limits, now: float | None = None) -> Explanation:
    """Explain one task; linear in the plan at most. Raises `CommandRefused` for an unknown id.

    `now` is in seconds since the epoch; left out it is the time of the last record.
    """
    task = state.tasks.get(task_id)
    if task is None or state.plan is None:
        raise CommandRefused(f"the plan has no task '{task_id}'{did_you_mean(task_id, state.tasks)}")
    spec = state.plan.tasks[task.index]
    match task.status:
        case TaskStatus.WAITING:
            return _waiting(state, spec, task)
        case TaskStatus.PENDING:
            return _pending(state, task, admission)
        case TaskStatus.RETRYING:
            return _retrying(state, task, admission)
        case TaskStatus.AWAITING_APPROVAL:
            return _awaiting_approval(state, task)
        case TaskStatus.AWAITING_QUOTA:
            return _awaiting_quota(state, task, state.at if now is None else now)
        case TaskStatus.AWAITING_REVIEW:
            return _awaiting_review(state, task)
        case TaskStatus.BLOCKED:
            return _blocked(state, task)
        case TaskStatus.RUNNING:
            return Explanation(task.id, task.status, _running(task), (*_progress(task), *_agent(state, task)))
        case _:
            return Explanation(task.id, task.status, _ended(task), (*_ending(task), *_agent(state, task)))


# -- not started -------------------------------------------------------------------------------------------------------


def _waiting(state: State, spec: Task, task: TaskState) -> Explanation:
    parents = [state.by_index[index] for index in state.graph.parents[task.index]]
    unsettled = {parent.id: parent.status for parent in parents if not parent.settled}
    sources = _sources(state, task)
    headline = f"'{task.id}' waits for {_with_status(unsettled)}."
    if len(parents) > 1:
        headline = f"'{task.id}' waits for {len(unsettled):,} of {len(parents):,} tasks: {_with_status(unsettled)}."
    reasons: list[str] = []
    if spec.join is not Join.ALL_SUCCESS:
        reasons.append(_JOINS[spec.join])
    if set(sources) - set(unsettled):
        reasons.append(f"It comes down to {_with_status(sources)}.")
    reasons += _run_reasons(state)
    return Explanation(task.id, task.status, headline, tuple(reasons), waits_for=unsettled, comes_down_to=sources)


_JOINS = {
    Join.ONE_SUCCESS: "One completed dependency is enough for it (join: one_success).",
    Join.NONE_FAILED_MIN_ONE_SUCCESS: "None of them may fail, one must complete (join: none_failed_min_one_success).",
    Join.ALL_DONE: "It starts when all of them have ended, however they ended (join: all_done).",
}


def _sources(state: State, task: TaskState) -> dict[str, TaskStatus]:
    """The unsettled tasks above `task` that wait for no other task."""
    found: dict[str, TaskStatus] = {}
    seen = {task.index}
    stack = [task.index]
    while stack:
        for index in state.graph.parents[stack.pop()]:
            parent = state.by_index[index]
            if index in seen or parent.settled:
                continue
            seen.add(index)
            if parent.status is TaskStatus.WAITING:
                stack.append(index)
            else:
                found[parent.id] = parent.status
    return found


def _pending(state: State, task: TaskState, admission: Limits) -> Explanation:
    if reasons := _run_reasons(state):
        command = f"orchestrate resume {state.session}" if state.run is None or state.ended is not None else ""
        return Explanation(
            task.id, task.status, f"'{task.id}' could start, but the run does not let it.", reasons, command=command
        )
    return _for_room(state, task, admission, f"'{task.id}' could start")


def _for_room(state: State, task: TaskState, admission: Limits, could: str) -> Explanation:
    """It lacks nothing but room, or not even that."""
    if state.running >= admission.max_parallel:
        holders = [other.id for other in state.by_index if other.status is TaskStatus.RUNNING]
        reason = (
            f"The limit is {count(admission.max_parallel, 'task')} at once (limits.max_parallel, --jobs); "
            f"running: {_quoted(holders)}."
        )
        headline = f"{could}, but as many tasks are running as may run at once."
        return Explanation(task.id, task.status, headline, (reason,), lacks="max_parallel", held_by=tuple(holders))
    name = admission.blocker(task.demand, state.used)
    if name is not None:
        needed = dict(task.demand)[name]
        holders = [other.id for other in state.by_index if _holds(other, name)]
        reason = (
            f"It needs {needed:g} of {_thing(name)}; {state.used[name]:g} of {admission.limit(name):g} "
            f"is in use by {_quoted(holders)}."
        )
        headline = f"{could}, but {_thing(name)} is taken."
        return Explanation(task.id, task.status, headline, (reason,), lacks=name, held_by=tuple(holders))
    for name, _ in task.demand:
        first = state.first_parked(name)
        if first is not None and first < task.key:
            ahead = state.of_key(first).id
            headline = f"{could}, but '{ahead}' waits for {_thing(name)} too and comes first."
            return Explanation(task.id, task.status, headline, lacks=name, held_by=(ahead,))
    return Explanation(task.id, task.status, f"{could}: it is about to.")


def _holds(task: TaskState, name: str) -> bool:
    return task.status is TaskStatus.RUNNING and any(held == name for held, _ in task.demand)


def _retrying(state: State, task: TaskState, admission: Limits) -> Explanation:
    way = "with its fallback" if task.fallback else f"as attempt {task.attempt + 1}"
    headline = f"'{task.id}' failed and is tried again {way}, {_after(task)}."
    command = f"orchestrate cancel {task.id}"
    return Explanation(
        task.id, task.status, headline, (f"It failed: {_error(task)}", *_run_reasons(state)), command=command
    )


def _after(task: TaskState) -> str:
    if not task.retry_delay:
        return "as soon as there is room"
    return f"{duration(task.retry_delay)} after {_moment(task.ended_at)}"


def _awaiting_approval(state: State, task: TaskState) -> Explanation:
    checkpoint = state.checkpoints[task.checkpoint]
    command = approve_command(checkpoint.id, checkpoint.answer_schema)
    reasons = [f"It asks: {one_line(gist(checkpoint.question), 1000)}"]
    if checkpoint.answer_schema:
        reasons.append("The answer must have the form that the question's JSON Schema describes.")
    reasons.append(f"Answer with '{command}', or 'orchestrate reject {checkpoint.id} --reason TEXT'.")
    headline = f"'{task.id}' waits for a person since {_moment(checkpoint.asked_at)}."
    return Explanation(task.id, task.status, headline, tuple(reasons), command=command)


def _awaiting_quota(state: State, task: TaskState, now: float) -> Explanation:
    waited = state.quota_of(task)
    assert waited is not None
    command = f"orchestrate retry {task.id}"
    reasons = []
    if waited.task == task.id:
        reasons.append(f"It met the limit at {_moment(waited.met_at)}: {_error(task)}")
    else:
        met = f"'{waited.task}' met the limit at {_moment(waited.met_at)}"
        reasons.append(f"{met}: no other task of {waited.vendor} starts.")
    reasons.append("That uses up no attempt; tasks of other vendors go on.")
    if run := _run_reasons(state):
        reasons += run
    else:
        reasons.append(f"'{command}' tries now.")
    headline = f"'{task.id}' waits for {until(waited, now)}."
    return Explanation(task.id, task.status, headline, tuple(reasons), lacks=f"quota {waited.vendor}", command=command)


def _awaiting_review(state: State, task: TaskState) -> Explanation:
    review = state.reviews[task.id]
    said = {vote.reviewer for vote in review.votes}
    waits = [name for name in review.request.reviewers if name not in said]
    headline = f"The work of '{task.id}' is under review since {_moment(review.asked_at)}."
    reasons = [f"Still to answer: {some(waits)}."] if waits else []
    reasons += [one_line(line, 1000) for line in votes_text(review.votes).splitlines()]
    return Explanation(task.id, task.status, headline, tuple(reasons))


def _blocked(state: State, task: TaskState) -> Explanation:
    other = state.tasks.get(task.blocked_by)
    reasons: tuple[str, ...] = ()
    if other is not None and other.error:
        reasons = (f"'{other.id}' failed: {_error(other)}",)
    elif other is not None:
        reasons = (f"'{other.id}' is {_words(other.status)}.",)
    if state.failed_fast == task.blocked_by:
        reasons += (f"The failure of '{task.blocked_by}' ends the whole run ({_why_it_ends(state)}).",)
    command = f"orchestrate retry {task.blocked_by}"
    return Explanation(
        task.id,
        task.status,
        f"'{task.id}' cannot start because of '{task.blocked_by}'.",
        (*reasons, f"'{command}' makes both wait anew."),
        blocked_by=task.blocked_by,
        command=command,
    )


def _why_it_ends(state: State) -> str:
    spec = state.plan[state.failed_fast] if state.plan is not None else None
    if spec is None or spec.on_failure is OnFailure.FAIL_FAST or state.plan is None:
        return "on_failure: fail_fast"
    return f"max_failures: {state.plan.limits.max_failures}"


def _run_reasons(state: State) -> tuple[str, ...]:
    """Why the run as a whole starts nothing."""
    if state.run is None:
        return (f"The session has not been run yet: 'orchestrate resume {state.session}' runs it.",)
    if state.ended is not None:
        return (f"The run has ended ({state.ended.reason}): 'orchestrate resume {state.session}' goes on.",)
    if state.halting:
        return (f"The run is being halted ({one_line(state.halting)}).",)
    if state.stopping:
        return (f"The run is stopping ({one_line(state.stopping)}): running tasks end, no other starts.",)
    if state.failed_fast:
        return (f"The failure of '{state.failed_fast}' ends the run ({_why_it_ends(state)}).",)
    if state.paused:
        return ("The run is paused: 'orchestrate resume' lets it go on.",)
    return ()


# -- started, ended ----------------------------------------------------------------------------------------------------


def _running(task: TaskState) -> str:
    fallback = " (its fallback)" if task.fallback else ""
    process = f", as process {task.process.pid}" if task.process is not None else ""
    return f"'{task.id}' is running since {_moment(task.started_at)}, attempt {task.attempt}{fallback}{process}."


def _progress(task: TaskState) -> tuple[str, ...]:
    steps = f"{task.done} of {task.total} steps" if task.total else ""
    told = ": ".join(part for part in (steps, one_line(task.message)) if part)
    return (f"It says: {told}",) if told else ()


def _ended(task: TaskState) -> str:
    if task.reused_from:
        return f"'{task.id}' is completed: its result was taken over from session {task.reused_from}."
    if task.imported:
        return f"'{task.id}' is completed: its result was imported by {one_line(task.imported)}."
    took = f" after {duration(task.duration)}" if task.duration is not None else ""
    when = f" at {_moment(task.ended_at)}{took}" if task.ended_at is not None else ""
    verb = "was" if task.status in (TaskStatus.SKIPPED, TaskStatus.CANCELLED) else ""
    return " ".join(part for part in (f"'{task.id}'", verb, f"{_words(task.status)}{when}.") if part)


def _ending(task: TaskState) -> Iterable[str]:
    if task.attempt > 1:
        yield f"It took {count(task.attempt, 'attempt')}."
    if task.error:
        yield f"It failed: {_error(task)}"
    if task.exit_code is not None:
        yield f"Its exit code was {task.exit_code}."
    if task.message and task.status in (TaskStatus.SKIPPED, TaskStatus.CANCELLED):
        yield f"Reason: {one_line(task.message)}"
    if task.status in (TaskStatus.FAILED, TaskStatus.CANCELLED):
        yield f"'orchestrate retry {task.id}' runs it again."


def _agent(state: State, task: TaskState) -> Iterable[str]:
    """What its coding agent was, was refused and has used, in its last attempt."""
    attempts = state.agent_attempts.get(task.id)
    if not attempts:
        return
    last = attempts[-1]
    if last.started is not None:
        words = agent_words.started(last.started, over=last.over)
        yield f"{words[:1].upper()}{words[1:]}."
    for denial in last.denials[:_NAMED]:
        yield f"It was {agent_words.denied(denial)}."
    if len(last.denials) > _NAMED:
        yield f"{count(len(last.denials) - _NAMED, 'more call')} of it {_were(len(last.denials) - _NAMED)} refused."
    if last.spent is not None or last.over:
        yield f"All its attempts used {of_task(state, task.id)}." if len(attempts) > 1 else f"It used {used([last])}."


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _error(task: TaskState) -> str:
    return one_line(task.error, 1000)


def _moment(at: float | None) -> str:
    return f"{timestamp(at)} UTC" if at is not None else "an unknown time"


def _words(status: TaskStatus) -> str:
    return status.replace("_", " ")


def _thing(name: str) -> str:
    kind, _, rest = name.partition(" ")
    return {"phase": f"the room of phase '{rest}'", "lock": f"the lock '{rest}'"}.get(kind, name)


def _with_status(tasks: Mapping[str, TaskStatus]) -> str:
    named = [f"'{name}' ({_words(status)})" for name, status in list(tasks.items())[:_NAMED]]
    return some(named, _NAMED, len(tasks)) or "its turn"


def _quoted(ids: list[str]) -> str:
    return some([f"'{task_id}'" for task_id in ids[:_NAMED]], _NAMED, len(ids))
