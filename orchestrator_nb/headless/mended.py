"""The runs of a live batch that failed, for going on in their kernels, which were kept, once the notebook is mended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.headless.batch import Options, asked_for, options_of, plan_of
from orchestrator_nb.headless.checking import notebook_at
from orchestrator_nb.headless.folder import Folder
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings


def failed_runs(
    notebook: str | Path,
    *,
    grid: Mapping[str, Any] | None = None,
    rows: Any = None,
    params: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> tuple[Session, list[str]]:
    """The session of the batch that is being run for the output folder, and the names of its runs that failed.

    The arguments are those of `batch`; what is given has to be what the batch was started with.

    Raises:
        CommandRefused: Nobody runs a batch for the folder, so no kernel lives; it was started with other rows or
            options; or none of its runs has failed.
        ParameterError: The rows do not fit the notebook, as it is now.
    """
    path = notebook_at(notebook)
    folder = Folder(Path(options.get("output") or f"{path.stem}-runs"))
    if options.get("force"):
        raise CommandRefused("to go on from a failed cell and to start anew (force) exclude each other")
    earlier = folder.earlier()
    session = Session.open(earlier, settings) if earlier is not None else None
    where = os.path.relpath(folder.path)
    if session is None or session.holder() is None:
        raise CommandRefused(
            f"no batch is being run for {where}, and kernels end with their batch: there is no live kernel to go on "
            f"in. To run what failed whole again: orchestrate batch {notebook} -o {where} --resume"
        )
    given, chosen = asked_for(path, session.plan, grid, rows, params, {**options_of(session.plan), **options})
    if different := differences(session.plan, plan_of(path, given, chosen).build()):
        raise CommandRefused(
            f"the batch that is being run for {where} was started with other rows or options:\n{different}\n"
            "Leave them out, or give them as they were."
        )
    failed = [task.id for task in session.state.by_index if task.status is TaskStatus.FAILED]
    if not failed:
        raise CommandRefused(f"no run of the batch in {where} has failed: there is no cell to go on from")
    return session, failed
