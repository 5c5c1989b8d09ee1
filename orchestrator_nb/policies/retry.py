"""Is a failed task tried again, and when? S1 "Retry Logic"; S1's "exponential" schedule is linear, both are here."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator_nb.core.models import OnFailure, Retry, Task
from orchestrator_nb.core.tasks import TaskState

#: S1: three attempts, 5 s x attempt between them.
S1_SCHEDULE = Retry()
#: What a review stopped is done again, by whoever can be told why: not a failure of the schedule.
REVIEW = "review"
#: Failures that trying again cannot mend: the request itself is wrong, a person said no, or a coding agent lacks its
#: login, the trust of its program or a permission, or was called in a way that this version of it does not know.
PERMANENT = frozenset(["preflight", "rejected", "crash_loop", "invalid", "auth", "trust", "usage", "denied"])


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """One attempt unless the task asks for more; agents of the kinds in `patient` retry what is transient."""

    #: Kinds of agent that get S1's schedule for transient failures without asking (coding agents, models).
    patient: frozenset[str] = frozenset()

    def delay(self, spec: Task, task: TaskState) -> float | None:
        """Seconds until the next attempt of the failed `task`, or None if it was the last one."""
        if task.error_kind == REVIEW:
            return 0.0 if spec.review is not None and spec.prompt and task.reworks <= spec.review.rework else None
        schedule = self.schedule(spec)
        if schedule is None or task.error_kind in PERMANENT or task.failures >= schedule.attempts:
            return None
        if schedule.when == "transient" and not task.transient:
            return None
        return delay_before(schedule, task.failures + 1)

    def schedule(self, spec: Task) -> Retry | None:
        """The retries that `spec` has: its own, S1's where its failure strategy is `retry`, or none."""
        if spec.retry is not None:
            return spec.retry
        if spec.on_failure is OnFailure.RETRY:
            return S1_SCHEDULE
        return Retry(when="transient") if spec.kind in self.patient else None


def delay_before(schedule: Retry, attempt: int) -> float:
    """Seconds to wait before attempt number `attempt` (2 is the first retry)."""
    retries = attempt - 1
    if schedule.backoff == "linear":
        delay = schedule.delay * retries
    elif schedule.backoff == "exponential":
        delay = schedule.delay * 2.0 ** min(retries - 1, 60)
    else:
        delay = schedule.delay
    return min(delay, schedule.max_delay)
