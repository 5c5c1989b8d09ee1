"""A task's checks: commands that must succeed before its outputs count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from orchestrator_nb.core.commands import check_argv, check_text
from orchestrator_nb.core.ports import Assignment, Command, Exit, Failure, Services
from orchestrator_nb.errors import AgentError, WorktreeError
from orchestrator_nb.system.reading import read_ends

_CANNOT_RUN = (126, 127)


async def run_checks(
    assignment: Assignment, services: Services, prepare: Callable[[Assignment, Command], Command] | None = None
) -> Failure | None:
    """Run them one after another in the directory of the outputs; the first that does not pass is the failure.

    `prepare` may have them run otherwise (`core.ports.Finishing.check_command`).
    """
    for number, check in enumerate(assignment.task.checks, start=1):
        argv, text = check_argv(check), check_text(check)
        directory = Path(services.attempt_dir())
        log = directory / f"check-{number}.log"
        command = Command(argv=argv, cwd=directory / "outputs", env=services.environment(), log=log)
        try:
            if prepare is not None:
                command = await asyncio.to_thread(prepare, assignment, command)
            process = await services.spawn(command)
        except (AgentError, WorktreeError) as error:
            return Failure(f"Check could not run, so it is unknown and not passed: {text}: {error}", "check")
        end = await process.wait()
        if end.code != 0 or end.reason != "exited":
            return await asyncio.to_thread(_failure, text, end, log)
    return None


def _failure(text: str, end: Exit, log: Path) -> Failure:
    said = read_ends(log, 1000)[0].decode("utf-8", "replace").strip() if log.exists() else ""
    how = f"exit code {end.code}" if end.code >= 0 else f"signal {-end.code}"
    if end.reason != "exited":
        how = end.reason
    if end.code in _CANNOT_RUN or end.reason != "exited":
        return Failure(f"Check could not run, so it is unknown and not passed: {text} ({how}): {said}", "check")
    return Failure(f"Check failed: {text} ({how}){': ' if said else ''}{said}", "check", exit_code=end.code)
