"""Commands that look after sessions and the machine: rebuild, export, doctor."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import harmless, say, say_json, show_table
from orchestrator_nb.cli.plans import write


def rebuild(session: options.Session = None, as_json: options.Json = False) -> None:
    """Write a session's derived files anew.

    They are made from its log; what people edited is kept beside them.
    """
    from orchestrator_nb.cli.picking import opened
    from orchestrator_nb.projections.words import count

    found = opened(session)
    paths = found.rebuild()
    if as_json:
        say_json({"session": found.id, "written": paths})
    else:
        say(f"session {found.id}: {count(len(paths), 'file')} written anew in {found.path}")


class ExportFormat(StrEnum):
    """Forms of an export."""

    NODE_LINK = "node-link"
    CSV = "csv"


def export(
    session: options.Session = None,
    form: Annotated[ExportFormat, typer.Option("--format", "-f", help="Form.")] = ExportFormat.NODE_LINK,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; printed when left out.")
    ] = None,
) -> None:
    """Export tasks as node-link JSON or CSV.

    Node-link JSON is what networkx reads.
    """
    from orchestrator_nb.cli.facts import task_facts
    from orchestrator_nb.cli.picking import opened
    from orchestrator_nb.planning.interchange import node_link, tasks_csv

    found = opened(session)
    extra = {task.id: _added(task_facts(found.plan, task)) for task in found.state.by_index}
    if form is ExportFormat.CSV:
        content = tasks_csv(found.plan, extra)
    else:
        content = json.dumps(node_link(found.plan, extra), indent=2) + "\n"
    if output is None:
        sys.stdout.write(harmless(content))
    else:
        write(output, content.encode())


#: What a session knows of a task besides its plan.
_ADDED = ("status", "attempt", "started_at", "ended_at", "duration", "exit_code", "error", "blocked_by", "reused_from")


def _added(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in _ADDED}


def doctor(as_json: options.Json = False) -> None:
    """Say what this machine can do.

    And every setting, with where it came from.
    """
    from orchestrator_nb import __version__
    from orchestrator_nb.storage.settings import NAMES
    from orchestrator_nb.system.doctor import machine_facts

    settings = options.settings()
    values = {name: getattr(settings, name) for name in NAMES}
    facts = machine_facts()
    if as_json:
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        told = {name: {"value": value, "from": settings.sources[name]} for name, value in plain.items()}
        say_json({"version": __version__, "machine": facts, "settings": told})
        return
    say((f"orchestrator_nb {__version__}", "bold"), "\n")
    marks = {True: ("✔", "green"), False: ("✘", "yellow")}
    show_table(["", "MACHINE", "FOUND", "REMEDY"], [[marks[f.ok], f.name, f.value, f.remedy] for f in facts])
    say()
    show_table(
        ["SETTING", "VALUE", "FROM"], [[name, str(value), settings.sources[name]] for name, value in values.items()]
    )
