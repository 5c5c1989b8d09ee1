"""The agent of a task without work: such a plan is for looking at."""

from __future__ import annotations

from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services


class NoAgent:
    """Refuses: plans made from a bare graph (`Plan.from_networkx`) can be drawn, not run."""

    def preflight(self, assignment: Assignment) -> str:
        """Say that there is nothing to do, and what to add."""
        return (
            f"task '{assignment.task.id}' has no work: give it a `command`, `function` or `notebook`, "
            "or an `agent` (human, simulated, ...)"
        )

    async def run(self, assignment: Assignment, _: Services) -> Outcome:
        """Fail, with the same words."""
        return Failure(self.preflight(assignment), kind="preflight")
