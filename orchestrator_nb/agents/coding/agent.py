"""The agent of coding tasks: claude, codex, gemini, or any other `CodingCli`, run for real.

An attempt starts the program once, and again with wider grants where the task's own list allows that; what is kept
over attempts is its HOME, its session, and what was asked (`_memory`). How a run ended is `judging`'s word, whether
the task fails for a refusal `recovery`'s.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator_nb.agents.coding import disputes, replaying
from orchestrator_nb.agents.coding._attempting import Attempt
from orchestrator_nb.agents.coding.cli import CodingCli, control_names
from orchestrator_nb.agents.coding.homes import PrivateHome, loan_of
from orchestrator_nb.agents.coding.integrating import checked_command, fall_short, integrate
from orchestrator_nb.agents.coding.options import options_of
from orchestrator_nb.agents.coding.preparing import Preparation, check_options, check_task, preflight_environment
from orchestrator_nb.agents.coding.working import Harvest, Workplace
from orchestrator_nb.core.models import Task, Work
from orchestrator_nb.core.ports import Assignment, Checkpoint, Command, Failure, Outcome, Services, Success
from orchestrator_nb.errors import AgentError, WorktreeError


class CodingAgent:
    """Runs a task's `prompt` through a coding agent's program; its `parameters` are `options.Options`.

    Args:
        cli: The program.
        grace: Seconds from TERM to KILL.
        linger: Seconds that it may stay after its final event.
    """

    #: Failures of a model's service that pass by themselves are tried again unasked (DESIGN 4).
    patient = True
    #: Its attempts can be recorded and replayed; these options say how it is run here, not what it does.
    recordable = True
    incidental = frozenset(("base_url", "env", "login", "resolve", "sandbox", "stall", "tool_stall"))

    def __init__(self, cli: CodingCli, *, grace: float = 10.0, linger: float = 30.0) -> None:
        self.cli, self.grace, self.linger = cli, grace, linger
        #: For budgets (`core.budget_checks`).
        self.tells_cost = cli.capabilities.cost

    def fault_of(self, task: Task, work: Work) -> str | None:
        """What is wrong with the options of a task on any machine, or None (`core.ports.Checking`)."""
        try:
            check_options(self.cli, task, work, starting=False)
        except AgentError as error:
            return str(error)
        return None

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the task from starting, or None: program, version, login, options, sandbox."""
        try:
            check_task(self.cli, assignment, preflight_environment(assignment), starting=False)
        except AgentError as error:
            return str(error)
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Do the work: the agent's last words are the result, or its JSON where the task has a `schema`."""
        taken = await self.take_up(assignment, services)
        return taken if taken is not None else await self.work(assignment, services)

    async def take_up(self, assignment: Assignment, services: Services) -> Outcome | None:
        """Take up a dispute that the task's work is in; None if the agent is to work now."""
        dispute = await asyncio.to_thread(disputes.dispute_at_start, assignment)
        if dispute is None:
            return None
        options = options_of(assignment.work.parameters, self.cli.name)
        services.attempt_dir()  # it is made
        taken = await asyncio.to_thread(disputes.taken_up, dispute, assignment, options)
        if isinstance(taken, Checkpoint):
            return taken
        return await self._take_by_hand(assignment, services, taken) if taken.settler == disputes.HAND else None

    async def work(self, assignment: Assignment, services: Services) -> Outcome:
        """Start its program, in a place and a sandbox, and follow it to its end."""
        dispute = await asyncio.to_thread(disputes.read_dispute, assignment)
        directory, environment = Path(services.attempt_dir()), services.environment()

        def prepare() -> Preparation:
            checked = check_task(self.cli, assignment, environment, starting=True)
            loan = loan_of(self.cli, checked.options.login, environment)
            home = PrivateHome(Path(assignment.run.directory), assignment.task.id)
            home.make()
            place = Workplace(Path(assignment.cwd))  # until it is known whether an earlier one is gone on with
            return Preparation(self.cli, assignment, checked, loan, home, place, directory, environment)

        prepared = await asyncio.to_thread(prepare)
        return await Attempt(prepared, services, dispute, grace=self.grace, linger=self.linger).carry_out()

    # -- recorded (`agents.cassettes`) ---------------------------------------------------------------------------------

    def given(self, assignment: Assignment, without: Path) -> tuple[dict[str, str], bool]:
        """The files that it is given to work on (`replaying.files_given`), and whether it is to settle a dispute."""
        return replaying.files_given(assignment, without), disputes.read_dispute(assignment) is not None

    def changed(self, assignment: Assignment) -> tuple[list[replaying.FileChange], bool]:
        """What it changed (`replaying.changed_files`)."""
        return replaying.changed_files(assignment)

    def redo(self, assignment: Assignment, changes: list[replaying.FileChange], earlier: int | None) -> Harvest:
        """Change that again, without it (`replaying.redo`)."""
        return replaying.redo(assignment, changes, earlier, control_names(self.cli))

    async def _take_by_hand(self, assignment: Assignment, services: Services, dispute: disputes.Dispute) -> Outcome:
        services.progress("what was done by hand is taken")
        try:
            return await asyncio.to_thread(disputes.taken_by_hand, assignment, dispute)
        except WorktreeError as error:
            return Failure(str(error), "worktree")

    def check_command(self, assignment: Assignment, command: Command) -> Command:
        """A check of the task runs where the agent worked, contained as it was (`core.ports.Finishing`)."""
        return checked_command(assignment, command)

    async def finish(
        self, assignment: Assignment, services: Services, success: Success
    ) -> Success | Failure | Checkpoint:
        """Merge its work into what others have done."""
        try:
            return await integrate(assignment, services, success)
        except WorktreeError as error:
            return Failure(str(error), "worktree", commits=success.commits)

    async def fall_short(self, assignment: Assignment, success: Success, failure: Failure) -> Failure | Checkpoint:
        """A check that fails on what was to settle a dispute leaves that open."""
        return await fall_short(assignment, failure)
