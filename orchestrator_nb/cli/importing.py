"""The command that takes results in which were made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say, say_error, say_json
from orchestrator_nb.cli.picking import opened


def import_(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT...",
            help="Result files, named after their tasks: agent-02-result.md, or T-01.md.",
            show_default=False,
        ),
    ],
    session: options.OfSession = None,
    task: Annotated[
        str, typer.Option("--task", "-t", metavar="TASK", help="The task of the one file.", show_default=False)
    ] = "",
    outputs: Annotated[
        Path | None,
        typer.Option(
            "--outputs",
            metavar="DIR",
            help="Where declared outputs lie, in it or in a folder named after the task; else beside the result.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Take in results of tasks that were done by hand.

    The session's agent_tasks/ says what is to be done ('orchestrate run PLAN --by-hand' only writes that). Outputs and
    checks are held against the result; then the task is completed, and 'orchestrate resume' runs what depends on it.
    """
    from orchestrator_nb.runtime.importing import take_in
    from orchestrator_nb.runtime.session import who

    found = opened(session)
    imported = take_in(found, results, task=task, outputs=outputs, by=who())
    if as_json:
        told = [{"task": one.task, "file": str(one.file), "refused": one.refused or None} for one in imported]
        say_json({"session": found.id, "results": told})
    for one in imported:
        if one.refused:
            say_error(f"{one.file}: {one.refused}")
        elif not as_json:
            say(f"session {found.id}: task '{one.task}' is completed by {one.file}")
    return 6 if any(one.refused for one in imported) else 0
