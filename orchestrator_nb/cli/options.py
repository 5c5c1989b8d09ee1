"""The options and arguments that several commands share, and what is chosen for all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator_nb.cli import completion

if TYPE_CHECKING:
    from orchestrator_nb.storage.settings import Settings

Session = Annotated[
    str | None,
    typer.Argument(
        metavar="SESSION",
        help="A session's id, the beginning of one, or its directory; the latest when left out.",
        autocompletion=completion.sessions,
        show_default=False,
    ),
]
OfSession = Annotated[
    str | None,
    typer.Option(
        "--session",
        "-s",
        metavar="SESSION",
        help="A session's id, the beginning of one, or its directory; when left out the latest.",
        autocompletion=completion.sessions,
    ),
]
Task = Annotated[
    str, typer.Argument(metavar="TASK", help="Id of a task.", autocompletion=completion.tasks, show_default=False)
]
Tasks = Annotated[
    list[str],
    typer.Argument(metavar="TASK...", help="Ids of tasks.", autocompletion=completion.tasks, show_default=False),
]
Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The checkpoint's id, or its task's.",
        autocompletion=completion.checkpoints,
        show_default=False,
    ),
]
Plan = Annotated[
    str,
    typer.Argument(
        metavar="PLAN",
        help="A plan file (.yaml, .yml, .json) or a folder of Markdown tasks.",
        autocompletion=completion.plans,
        show_default=False,
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUE",
        help="Value of a parameter of the plan; may be repeated.",
        autocompletion=completion.params,
    ),
]
ParamsFile = Annotated[
    Path | None,
    typer.Option("--params-file", metavar="FILE", help="YAML or JSON file with values of parameters; -p wins over it."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", min=1, help="Tasks running at once; 1 is one after the other."),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="LIMITS",
        help="What all runs of the session may use: 5$ or '5$, 2M tokens, 2h, 40 attempts'.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Put the results into this directory too, when the run ends."),
]
Record = Annotated[
    Path | None,
    typer.Option("--record", metavar="DIR", help="Record what agents do into this cassette, a directory of texts."),
]
Replay = Annotated[
    Path | None,
    typer.Option("--replay", metavar="DIR", help="Start no agent: do again what this cassette holds."),
]
Refresh = Annotated[
    list[str] | None,
    typer.Option("--refresh", metavar="TASK", help="With --replay: record this task anew; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print JSON lines: one when it is launched, one an event, one at the end.")
]
Transcript = Annotated[bool, typer.Option("--transcript", help="Tell the run as a transcript, agent by agent.")]
Progress = Annotated[
    bool,
    typer.Option("--progress/--no-progress", help="Live display on a terminal; without it, plain lines as in a pipe."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only how it ended.")]


@dataclass
class Chosen:
    """The options before the command: they hold for every command."""

    workspace: Path | None = None
    #: ``NAME=VALUE`` of single settings.
    settings: tuple[str, ...] = ()


chosen = Chosen()


def settings(record: Path | None = None, replay: Path | None = None, refresh: list[str] | None = None) -> Settings:
    """The settings in force: files, ORCH_* variables, then flags, those of a cassette last. Raises `SettingsError`."""
    from orchestrator_nb.errors import SettingsError
    from orchestrator_nb.storage.settings import load_settings

    flags: dict[str, Any] = {}
    for text in chosen.settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text}: write NAME=VALUE; 'orchestrate doctor' lists the settings")
        flags[name.strip().replace("-", "_")] = value
    if chosen.workspace is not None:
        flags["workspace"] = chosen.workspace
    of_a_cassette = {"record": record, "replay": replay, "refresh": ",".join(refresh or ())}
    flags |= {name: value for name, value in of_a_cassette.items() if value}
    return load_settings(Path.cwd(), os.environ, **flags)
