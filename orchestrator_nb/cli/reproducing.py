"""The command reproduce: what was run is run again, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import Part, console, is_terminal, say, say_json, show_table

if TYPE_CHECKING:
    from orchestrator_nb.cli.following import Reporter
    from orchestrator_nb.headless.reproduction import Checked, Reproduction

_OK: Part = ("ok", "green")
_DIFFERS: Part = ("differs", "bold red")


def reproduce(  # noqa: PLR0913 - options of a command
    target: Annotated[
        str,
        typer.Argument(
            metavar="NOTEBOOK|FOLDER|SESSION",
            help="An executed notebook, a folder of them (a batch's), or a session that has ended.",
            autocompletion=options.completion.sessions,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Keep what is executed anew in this new or empty folder."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="Seed of the kernels; else the one that was used, if any."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", metavar="SHARE", min=0, max=1, help="Share of a picture's pixels that may differ."),
    ] = 0.0,
    lax: Annotated[
        bool, typer.Option("--lax", help="Compare only cells with the tag or comment nbval-check-output.")
    ] = False,
    jobs: options.Jobs = None,
    replay: options.Replay = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what differs, and the last line.")] = False,
    as_json: options.Json = False,
) -> int:
    """Run something again, and compare.

    Notebooks are compared cell by cell: text, tables, JSON, and pictures by their pixels; a session task by task, and
    its final document byte by byte. What agents did is replayed, if it was recorded. What may differ is told by the
    tags of nbval, and by the tag timing.
    """
    from orchestrator_nb.cli.following import Subject, follow_run
    from orchestrator_nb.headless.reproduce import Options, rerun

    chosen: Options = {"tolerance": tolerance, "lax": lax, "settings": options.settings(replay=replay)}
    if output is not None:
        chosen["output"] = output
    if seed is not None:
        chosen["seed"] = seed
    if jobs is not None:
        chosen["jobs"] = jobs
    with rerun(target, **chosen) as running:
        code = follow_run(running.run, Subject.of_run(running.run), _reporter(silent=as_json or quiet))
        if code not in (0, 1):
            say("The reproduction was ended: nothing is compared.", err=True)
            return code
        result = running.result()
    if as_json:
        say_json(_facts(result))
    else:
        _say(result, quiet=quiet)
    return 0 if result.same else 1


def _reporter(*, silent: bool) -> Reporter:
    """A live display on a terminal, nothing elsewhere: what was compared is what people want to read."""
    from orchestrator_nb.cli.following import Reporter

    if silent or not is_terminal():
        return Reporter()
    from orchestrator_nb.cli.live import LiveReporter

    class Display(LiveReporter):
        """The live display, without the summary at its end."""

        def end(self, code: int) -> None:
            """Draw the last frame; the comparison follows."""
            self._draw(last=True)
            self._live.stop()
            console().print()

    return Display()


def _say(result: Reproduction, *, quiet: bool) -> None:
    if not quiet:
        rows = [[one.name, _OK if one.same else _DIFFERS, one.summary] for one in result.checked]
        show_table(["WHAT", "", "ABOUT"], rows)
        say()
    for one in result.checked:
        story = list(one.story()) if not one.same or one.notes else []
        if story:
            say((f"{one.name}:", "bold"))
        for line in story:
            say((line, _style(line)))
        if story:
            say()
    if result.output is not None:
        say(f"What was executed anew is in {result.output}")
    say((f"{result.target}: {result.summary}.", "bold green" if result.same else "bold red"))


def _style(line: str) -> str:
    text = line.strip()
    return "green" if text.startswith("+") else "red" if text.startswith("-") and not text.startswith("- ") else ""


def _facts(result: Reproduction) -> dict[str, Any]:
    return {
        "target": result.target,
        "same": result.same,
        "output": None if result.output is None else str(result.output),
        "checked": [_facts_of(one) for one in result.checked],
    }


def _facts_of(one: Checked) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(one), "same": one.same}
