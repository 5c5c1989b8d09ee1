"""After an agent's work: its checks, contained as it was, and its merge into what the others have done.

Code that an agent wrote is run by a task's checks: they get what the agent had but its login, in the same sandbox.
They run in the attempt's place, and again where its work was merged with that of the others.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from orchestrator_nb.agents.coding.homes import Loan, PrivateHome, environment_for
from orchestrator_nb.agents.coding.options import Options, options_of
from orchestrator_nb.agents.coding.working import Workplace, session_places, workplace_for
from orchestrator_nb.agents.exits import last_lines, words_for
from orchestrator_nb.core.commands import check_argv, check_text
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.ports import Assignment, Command, Exit, Failure, Services, Success
from orchestrator_nb.system.sandbox.containing import contain_command
from orchestrator_nb.system.sandbox.policy import Level as Containment
from orchestrator_nb.system.sandbox.policy import Policy
from orchestrator_nb.system.sandbox.probing import find_sandbox
from orchestrator_nb.worktrees.integration import rollback_line
from orchestrator_nb.worktrees.places import Conflict, Finished, Merged, Outcome, RedCheck

#: Paths of a conflict that are told.
_TOLD = 20


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
    inside = msgspec.structs.replace(command, cwd=_inside(place, top), env=environment)
    return contain_command(box.means, policy, inside)


def _inside(place: Workplace, top: Path) -> Path:
    return top / place.cwd.relative_to(place.top)


async def integrate(assignment: Assignment, services: Services, success: Success) -> Success | Failure:
    """Merge the attempt's work into what others have done; the task's checks must pass there too.

    A conflict and a red check fail the task and change nothing: both sides are kept, and the next attempt of the task
    is to resolve it.
    """
    if not writes(options_of(assignment.work.parameters, assignment.work.agent or "coding")):
        return success
    loop = asyncio.get_running_loop()

    def start(command: Command) -> Exit:
        async def wait() -> Exit:
            return await (await services.spawn(command)).wait()

        return asyncio.run_coroutine_threadsafe(wait(), loop).result()

    directory = Path(services.attempt_dir())
    environment = services.environment() if assignment.task.checks else {}

    def check(top: Path, _: Merged) -> str:
        return _run_checks(assignment, directory, environment, top, start)

    outcome = await asyncio.to_thread(merge, assignment, assignment.attempt, check)
    match outcome:
        case Merged(id=merged, changes=changes):
            services.progress(f"its work is integrated ({len(changes)} files)")
            if len(merged) >= 40:  # a commit
                services.progress(rollback_line([merged]))
        case Conflict():
            return Failure(_words_for_conflict(outcome), "conflict", commits=success.commits)
        case RedCheck(reason=reason, integrated=other):
            error = f"{reason}\nThis was after its work was merged with that of {_tasks(other.tasks)}; both are kept"
            return Failure(error, "check", commits=success.commits)
    return success


def conflict_of(assignment: Assignment, attempt: int) -> Conflict | None:
    """The conflict that the work of an attempt is in with what is integrated now. Blocking; nothing is merged."""
    outcome = merge(assignment, attempt, lambda *_: "this only looks")
    return outcome if isinstance(outcome, Conflict) else None


def merge(assignment: Assignment, attempt: int, check: Callable[[Path, Merged], str]) -> Outcome | None:
    """Merge the work of an attempt of this task. Blocking. Raises `WorktreeError`."""
    places, task = session_places(assignment), assignment.task
    finished = Finished(task.id, attempt, agent_label(assignment.number), task.label)
    outcomes = places.integrate([finished], {task.id: ()}, check)
    return outcomes[0] if outcomes else None


def _run_checks(
    assignment: Assignment,
    directory: Path,
    environment: dict[str, str],
    top: Path,
    start: Callable[[Command], Exit],
) -> str:
    """Run the task's checks in a merged tree: what is wrong, empty if nothing is. Blocking, not on the loop."""
    for number, check in enumerate(assignment.task.checks, start=1):
        argv, text = check_argv(check), check_text(check)
        log = directory / f"check-{number}-integrated.log"
        command = Command(argv=argv, cwd=directory / "outputs", env=environment, log=log)
        end = start(checked_command(assignment, command, top))
        if end.code != 0 or end.reason != "exited":
            return f"Check failed: {text} ({words_for(end)}): {last_lines(log)}"
    return ""


def _words_for_conflict(conflict: Conflict) -> str:
    paths = ", ".join(conflict.paths[:_TOLD]) + (" and more" if len(conflict.paths) > _TOLD else "")
    return (
        f"its work contradicts that of {_tasks(conflict.integrated.tasks)} in {paths}; both are kept"
        f" ({conflict.integrated.name}, {conflict.work.name}): in its next attempt the agent is to resolve it"
    )


def _tasks(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "others"
