"""The command report: a notebook or a session as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say
from orchestrator_nb.cli.plans import write
from orchestrator_nb.errors import CommandRefused


def report(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NOTEBOOK|SESSION",
            help="A notebook, or a session; the latest session when left out.",
            autocompletion=options.completion.sessions,
            show_default=False,
        ),
    ] = "latest",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; NAME.html in the current directory else."),
    ] = None,
    inputs: Annotated[bool, typer.Option("--input/--no-input", help="With or without the code of the cells.")] = True,
) -> None:
    """Make one HTML file of a notebook or a session.

    It holds everything, runs no script and fetches nothing: it can be sent to anybody, and be read without Jupyter.
    """
    from orchestrator_nb.headless.report import report as made

    content = made(target, inputs=inputs, settings=options.settings())
    file = output or Path(f"{_name(target)}.html")
    if file.suffix.lower() not in (".html", ".htm"):
        raise CommandRefused(f"{file}: a report is HTML, give it a name that ends in .html")
    write(file, content.encode("utf-8", "replace"))
    say(f"Wrote {file}", err=True)


def _name(target: str) -> str:
    if target.endswith(".ipynb"):
        return Path(target).stem
    from orchestrator_nb.cli.picking import opened

    return opened(target).id
