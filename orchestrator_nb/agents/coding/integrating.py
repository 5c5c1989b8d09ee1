"""After an agent's work: its checks, contained as it was, and its merge into what the others have done.

Code that an agent wrote is run by a task's checks: they get what the agent had but its login, in the same sandbox.
They run in the attempt's place, and again where its work was merged with that of the others.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from orchestrator_nb.agents.coding import disputes
from orchestrator_nb.agents.coding.disputes import Dispute
from orchestrator_nb.agents.coding.homes import Loan, PrivateHome, environment_for
from orchestrator_nb.agents.coding.options import Options, options_of
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.working import Workplace, session_places, workplace_for
from orchestrator_nb.agents.exits import last_lines, words_for
from orchestrator_nb.core.commands import check_argv, check_text
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.ports import Assignment, Checkpoint, Command, Exit, Failure, Services, Success
from orchestrator_nb.projections.words import count, rollback_command
from orchestrator_nb.system.sandbox.containing import contain_command
from orchestrator_nb.system.sandbox.policy import Level as Containment
from orchestrator_nb.system.sandbox.policy import Policy
from orchestrator_nb.system.sandbox.probing import find_sandbox
from orchestrator_nb.worktrees.places import Conflict, Finished, Merged, Outcome, RedCheck


def writes(options: Options) -> bool:
    """Whether a task with these options has work that could be merged."""
    return options.level != "read"


def checked_command(assignment: Assignment, command: Command, directory: Path | None = None) -> Command:
    """A check's command as it is really started: in the place of the attempt, and contained as the agent. Blocking.

    Args:
        assignment: The attempt; its place is there.
        command: What would run in the directory of the outputs, with the run's environment.
        directory: The tree of files to run it in instead of the attempt's place.

    Raises:
        AgentError: The sandbox cannot be used so.
        WorktreeError: The place is gone.
    """
    options = options_of(assignment.work.parameters, assignment.work.agent or "coding")
    box = find_sandbox(options.containment)
    own = writes(options) or box.level is Containment.LANDLOCK
    place = workplace_for(assignment, own=own)
    top = directory or place.top
    home = PrivateHome(Path(assignment.run.directory), assignment.task.id, "checks")
    home.make()
    policy = Policy(
        home=home.home,
        tmp=home.tmp,
        writable=(top, Path(command.cwd)) if own else (Path(command.cwd),),
        readable=((*place.place.readable,) if place.place else (place.top,)),
        hidden=(Path(assignment.run.directory).parent,),
        programs=(sys.executable,),
        network=options.network,
    )
    environment = environment_for(command.env, assignment.env, Loan({}, {}), options.env)
    secrets = Redactor(command.env[name] for name in options.env).secrets
    inside = msgspec.structs.replace(command, cwd=_inside(place, top), env=environment, secrets=secrets)
    return contain_command(box.means, policy, inside)


def _inside(place: Workplace, top: Path) -> Path:
    return top / place.cwd.relative_to(place.top)


async def integrate(assignment: Assignment, services: Services, success: Success) -> Success | Failure | Checkpoint:
    """Merge the attempt's work into what others have done; the task's checks must pass there too.

    A conflict, and a check that fails there, change nothing: they are a dispute (`disputes`).

    Raises:
        WorktreeError: git or the disk refuses.
    """
    options = options_of(assignment.work.parameters, assignment.work.agent or "coding")
    if not writes(options):
        return success
    dispute = await asyncio.to_thread(disputes.read_dispute, assignment)
    if dispute is not None and dispute.settler:
        workplace = await asyncio.to_thread(workplace_for, assignment, own=True)
        if why := await asyncio.to_thread(disputes.left_marked, dispute, workplace):
            return await _open_again(assignment, options, dispute, why)
    outcome = await _Merging(assignment, services).carry_out()
    if isinstance(outcome, Conflict | RedCheck):
        raised = await asyncio.to_thread(disputes.dispute_over, assignment, outcome, success, dispute)
        return disputes.ruling(raised, assignment, options)
    if isinstance(outcome, Merged):
        services.progress(f"its work is integrated ({count(len(outcome.changes), 'file')})")
        if len(outcome.id) >= 40:  # a commit
            services.progress(f"To Rollback, Run: {rollback_command([outcome.id], merges=True)}")
    if dispute is not None:
        await asyncio.to_thread(disputes.end_dispute, assignment)
    return success


async def fall_short(assignment: Assignment, failure: Failure) -> Failure | Checkpoint:
    """A check that fails on what was to settle a dispute leaves that open."""
    dispute = await asyncio.to_thread(disputes.read_dispute, assignment)
    if dispute is None or not dispute.settler or failure.kind != "check":
        return failure
    options = options_of(assignment.work.parameters, assignment.work.agent or "coding")
    return await _open_again(assignment, options, dispute, failure.error)


async def _open_again(assignment: Assignment, options: Options, dispute: Dispute, why: str) -> Checkpoint | Failure:
    again = await asyncio.to_thread(disputes.unsettled, assignment, dispute, why)
    return disputes.ruling(again, assignment, options)


class _Merging:
    """The merge of one attempt's work, in a thread. Once the attempt is over, nothing is started or merged any more."""

    def __init__(self, assignment: Assignment, services: Services) -> None:
        self.assignment, self.services = assignment, services
        self.directory = Path(services.attempt_dir())
        self.environment = services.environment() if assignment.task.checks else {}
        self.loop = asyncio.get_running_loop()
        self.over = False

    async def carry_out(self) -> Outcome | None:
        try:
            return await asyncio.to_thread(self._merge)
        finally:
            self.over = True

    def _merge(self) -> Outcome | None:
        task = self.assignment.task
        finished = Finished(task.id, self.assignment.attempt, agent_label(self.assignment.number), task.label)
        outcomes = session_places(self.assignment).integrate([finished], {task.id: ()}, self._check)
        return outcomes[0] if outcomes else None

    def _check(self, top: Path, _: Merged) -> str:
        """Run the task's checks in a merged tree: what is wrong, empty if nothing is."""
        for number, check in enumerate(self.assignment.task.checks, start=1):
            argv, text = check_argv(check), check_text(check)
            log = self.directory / f"check-{number}-integrated.log"
            command = Command(argv=argv, cwd=self.directory / "outputs", env=self.environment, log=log)
            contained = checked_command(self.assignment, command, top)
            end = asyncio.run_coroutine_threadsafe(self._run(contained), self.loop).result()
            if end.code != 0 or end.reason != "exited":
                return f"Check failed: {text} ({words_for(end)}): {last_lines(log)}"
        return "the attempt was ended" if self.over else ""

    async def _run(self, command: Command) -> Exit:
        if self.over:
            return Exit(code=-signal.SIGTERM, reason="cancelled")
        process = await self.services.spawn(command)
        if self.over:  # it came too late to be ended with the attempt's other processes
            await process.terminate(0.0)
        return await process.wait()
