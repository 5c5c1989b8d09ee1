"""A notebook's process that is kept with its kernel after a failed cell, and gone on in (`_going_on` is its side)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents._going_on import AGAIN, WAITS
from orchestrator_nb.agents.child import ANSWER, LOG, REQUEST, answer_of, followed, start_child
from orchestrator_nb.core.ports import Assignment, Failure, Process, Services, Success
from orchestrator_nb.errors import AgentError, UnsafePath
from orchestrator_nb.projections.going_on import kept, whole
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.reading import open_regular


async def run_kept(
    program: Path,
    request: Mapping[str, Any],
    assignment: Assignment,
    services: Services,
    defaults: Mapping[str, str],
    preload: tuple[str, ...] | None,
) -> tuple[Success | Failure, str]:
    """As `child.run_child`; after a failure the process is kept as the task says, and the next attempt may go on in it.

    Returns besides what people are told of the kernel, where there is something.

    Raises `AgentError` if this attempt was to go on in a process that has ended since that was asked for.
    """
    directory = Path(services.attempt_dir())
    request = {**request, "keeps_kernel": True}
    earlier = services.kept()
    if earlier is None:
        process, log = await start_child(program, request, assignment, services, defaults, preload), None
    else:
        process, first = earlier[0], directory.parent / str(earlier[1])
        log = _Copier(first / LOG, directory / LOG)
        Root(directory).write_atomic(REQUEST, msgspec.json.encode(request))
        Root(first).write_atomic(AGAIN, os.fsencode(directory))

    def waits() -> bool:
        found = (directory / WAITS).exists()
        if log:
            log.copy()
        return found

    end = await followed(process, directory, services, waits)
    if earlier and end and end.reason == "exited" and not (directory / ANSWER).exists():
        answer: Success | Failure = Failure("the kept kernel has died", "signal")
    else:
        answer = answer_of(end, directory)
    if isinstance(answer, Success):
        return answer, ""
    if end is None:
        return answer, _keep(process, assignment, services)
    again = f"To run the whole notebook again: {whole(assignment.run.directory, assignment.task.id)}"
    return answer, again if earlier else ""


def _keep(process: Process, assignment: Assignment, services: Services) -> str:
    """Keep the process; until when, and how to go on in it, or why it is not kept."""
    try:
        until = services.keep(process, assignment.task.keep_kernel_on_error or 0)
    except AgentError as error:
        return f"Its kernel is not kept: {error}"
    return kept(assignment.run.directory, assignment.task.id, until)


class _Copier:
    """Copies what is added to a log from now on: what an attempt prints goes where its process was started."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source, self._target = source, target
        self._offset = source.stat().st_size if source.exists() else 0

    def copy(self) -> None:
        """Copy what was added since the last time."""
        try:
            with open_regular(self._source) as file:
                file.seek(self._offset)
                added = file.read()
        except (FileNotFoundError, UnsafePath):
            return
        if added:
            self._offset += len(added)
            fd = os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as target:
                target.write(added)
