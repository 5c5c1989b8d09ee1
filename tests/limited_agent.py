"""An agent whose account is used up at its first attempt, and which does its work from the second on."""

from __future__ import annotations

import time

from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services, Success


class Limited:
    """The limit lasts as long as the parameter `seconds` says."""

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        if assignment.attempt > 1:
            return Success(text="done")
        resets_at = time.time() + assignment.work.parameters["seconds"]
        return Failure("usage limit reached", "rate_limit", transient=True, resets_at=resets_at)

    def preflight(self, assignment: Assignment) -> str | None:
        return None


#: As a plan names it.
LIMITED = f"{__name__}:Limited"
