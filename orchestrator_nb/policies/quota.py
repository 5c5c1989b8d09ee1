"""Is a usage limit waited for, and when is it tried again?"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator_nb.core.tasks import TaskState


@dataclass(frozen=True, slots=True)
class QuotaPolicy:
    """Waits for every end of a limit that can be believed; one task tries first. Times are in seconds."""

    #: After the moment that the vendor names, as clocks differ.
    margin: float = 3.0
    #: That the first one works before the others follow, if it is not done before.
    head_start: float = 30.0
    #: A limit that ends later than this is not believed: vendors have windows of hours, weeks, a month.
    longest: float = 35 * 86400.0
    #: One that ended before this is told again at once, not waited for.
    late: float = 60.0
    #: Waits of one task: a vendor that names a new end again and again is not waited for for ever.
    most: int = 50

    def waits(self, task: TaskState, resets_at: float, now: float) -> bool:
        """Whether `task` waits for a limit that ends at `resets_at`; else it has failed, for a reason that may pass."""
        return now - self.late <= resets_at <= now + self.longest and task.quota_waits < self.most

    def first_try(self, end: float) -> float:
        """When the first task tries."""
        return end + self.margin

    def all_try(self, started_at: float) -> float:
        """When the others follow."""
        return started_at + self.head_start
