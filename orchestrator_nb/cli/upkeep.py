"""Commands that look after sessions and the machine: rebuild, export, doctor."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
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


Probe = Annotated[
    bool, typer.Option("--probe", help="Really try to break out of each sandbox that works here; takes some seconds.")
]


def doctor(as_json: options.Json = False, probe: Probe = False) -> None:
    """Say what this machine can do.

    And every setting, with where it came from.
    """
    if probe:
        _show_escapes(as_json)
        return
    from orchestrator_nb import __version__
    from orchestrator_nb.storage.settings import NAMES
    from orchestrator_nb.system.doctor import machine_facts

    settings = options.settings()
    values = {name: getattr(settings, name) for name in NAMES}
    facts = machine_facts()
    if as_json:
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        told = {name: {"value": value, "from": settings.sources[name]} for name, value in plain.items()}
        say_json({"version": __version__, "machine": facts, "agents": _agents(), "settings": told})
        return
    say((f"orchestrator_nb {__version__}", "bold"), "\n")
    marks = {True: ("✔", "green"), False: ("✘", "yellow")}
    show_table(["", "MACHINE", "FOUND", "REMEDY"], [[marks[f.ok], f.name, f.value, f.remedy] for f in facts])
    say()
    _show_agents()
    say()
    show_table(
        ["SETTING", "VALUE", "FROM"], [[name, str(value), settings.sources[name]] for name, value in values.items()]
    )


def _agents() -> list[dict[str, Any]]:
    """Every coding agent: whether it is here, which version, with which login, and what it can do."""
    from orchestrator_nb.agents.coding.capabilities import table
    from orchestrator_nb.agents.coding.presence import look_around
    from orchestrator_nb.system.search_path import search_path

    can = {row["agent"]: row for row in table()}
    found = look_around({**os.environ, "PATH": search_path(os.environ)})
    return [{**asdict(presence), "can": can[presence.name]} for presence in found]


def _show_agents() -> None:
    agents = _agents()
    marks = {True: ("✔", "green"), False: ("✘", "yellow")}
    show_table(
        ["", "AGENT", "VERSION", "LOGIN", "REMEDY"],
        [[marks[not a["fault"]], a["name"], a["version"] or "-", a["login"] or "-", a["fault"]] for a in agents],
    )
    say()
    rows = [a["can"] for a in agents]
    show_table([column.replace("_", " ").upper() for column in rows[0]], [list(row.values()) for row in rows])


def _show_escapes(as_json: bool) -> None:
    """Print how many of the attempts to break out are blocked in each mode, and what is open."""
    from orchestrator_nb.projections.words import count
    from orchestrator_nb.system.sandbox.escapes import PROBES, trials

    tried = trials()
    if as_json:
        say_json(
            [
                {
                    "mode": trial.mode,
                    "level": trial.level,
                    "network": trial.network,
                    "blocked": trial.blocked,
                    "probes": len(trial.attempts),
                    "attempts": trial.attempts,
                }
                for trial in tried
            ]
        )
        return
    rows = [[trial.mode, f"{trial.blocked} / {len(trial.attempts)}", ", ".join(trial.open)] for trial in tried]
    show_table(["MODE", "BLOCKED", "OPEN"], rows)
    if silent := tried[0].not_telling:
        said = f"{count(len(silent), 'probe')} of those that are blocked fail here without a sandbox too"
        say(f"\n{said}: {', '.join(silent)}.")
    contained = dict.fromkeys(name for trial in tried[:-1] for name in trial.open)
    if contained:
        say("\nWhat is open in a sandbox:")
        show_table(["PROBE", "TRIES TO"], [[name, PROBES[name]] for name in contained])
