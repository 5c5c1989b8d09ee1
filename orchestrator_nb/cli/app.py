"""The program: its commands, and the way from an error to a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator_nb.cli import (
    asking,
    batch,
    drawing,
    importing,
    inspecting,
    logs,
    options,
    params,
    plans,
    report,
    reproducing,
    running,
    tasks,
    upkeep,
    usage,
    verbs,
)
from orchestrator_nb.cli.codes import EXIT_CODES, LOOKING, RUNNING, TELLING, code_of, described
from orchestrator_nb.cli.output import mute, say, say_error
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import OrchestratorError

#: What typer raises for wrong usage. Its own name moved between releases.
UsageError: Any = typer.BadParameter.__mro__[1]

_RUN, _LOOK, _ACT, _PLANS, _KEEP = "Run", "Look", "Act on a session", "Plans", "Upkeep"

#: Panel of the help, command, its exit codes.
COMMANDS = (
    (_RUN, running.run, RUNNING),
    (_RUN, asking.ask, RUNNING),
    (_RUN, running.resume, (*RUNNING, 6)),
    (_RUN, running.fork, (*RUNNING, 6)),
    (_RUN, batch.batch, (*RUNNING, 6)),
    (_RUN, reproducing.reproduce, (*RUNNING, 6)),
    (_LOOK, inspecting.sessions, LOOKING),
    (_LOOK, inspecting.status, LOOKING),
    (_LOOK, running.watch, (0, 1, 2, 3, 4, 5, 130)),
    (_LOOK, logs.logs, (*TELLING, 130, 141)),
    (_LOOK, tasks.show, TELLING),
    (_LOOK, tasks.explain, TELLING),
    (_LOOK, usage.usage, LOOKING),
    (_LOOK, drawing.graph, LOOKING),
    (_LOOK, inspecting.compare, LOOKING),
    (_LOOK, params.params, (0, 2)),
    (_LOOK, report.report, (*LOOKING, 6)),
    (_ACT, verbs.pause, TELLING),
    (_ACT, verbs.stop, TELLING),
    (_ACT, verbs.halt, TELLING),
    (_ACT, verbs.cancel, TELLING),
    (_ACT, verbs.retry, TELLING),
    (_ACT, verbs.approve, TELLING),
    (_ACT, verbs.reject, TELLING),
    (_ACT, importing.import_, TELLING),
    (_PLANS, plans.init, (0, 2, 5)),
    (_PLANS, plans.check, (0, 2)),
    (_PLANS, plans.schema, (0, 5)),
    (_KEEP, upkeep.rebuild, LOOKING),
    (_KEEP, upkeep.export, LOOKING),
    (_KEEP, upkeep.doctor, (0, 2)),
)


def name_of(command: Callable[..., Any]) -> str:
    """How a command is called: as its function, which may have to avoid a word of Python."""
    return command.__name__.rstrip("_")


class _Commands(TyperGroup):
    """The commands in their groups, the exit codes, and what is said about a word that is no command."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for panel in dict.fromkeys(panel for panel, _, _ in COMMANDS):
            names = [name_of(function) for group, function, _ in COMMANDS if group == panel]
            with formatter.section(panel):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(60)) for name in names])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), f"{what}: {more}") for code, (what, more) in EXIT_CODES.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            if asking.is_prompt(args[0]):
                return super().resolve_command(ctx, ["ask", *args])
            ctx.fail(_unknown(args[0], list(self.commands)))
        return super().resolve_command(ctx, args)


def _unknown(word: str, commands: list[str]) -> str:
    if word.endswith((".yaml", ".yml", ".json")) or (len(word) < 256 and Path(word).is_dir()):
        return f"unknown command '{word}'; to run a plan: orchestrate run {word}"
    return f"unknown command '{word}'{did_you_mean(word, commands)}"


app = typer.Typer(
    name="orchestrate",
    cls=_Commands,
    help="Run plans of agents, commands, functions, notebooks and people; watch, stop, resume and inspect them.",
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _, _function, _codes in COMMANDS:
    app.command(name_of(_function), epilog=described(_codes))(_function)


def _say_version(wanted: bool) -> None:
    if wanted:
        from orchestrator_nb import __version__

        say(f"orchestrate {__version__} (Python {sys.version.partition(' ')[0]})")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def before(
    ctx: typer.Context,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", metavar="DIR", help="Directory of the sessions.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting; may be repeated.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that hold for every command."""
    options.chosen.workspace = workspace
    options.chosen.settings = tuple(setting or ())
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def run_command(args: list[str]) -> int:
    """Carry out a command line; return its exit code. Whatever is wrong is said in one message, on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        _refuse_unreadable(args)
        code = typer.main.get_command(app).main(args, prog_name="orchestrate", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except UsageError as error:
        return _say_usage(error)
    except OrchestratorError as error:
        say_error(str(error))
        return code_of(error)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except SystemExit as end:  # typer's way to end when a pipe is broken (1) or a completion is done (0)
        if end.code == 1:
            mute(sys.stdout)
        return 141 if end.code == 1 else 0
    except Exception as error:
        if os.environ.get("ORCH_DEBUG") == "1":
            raise
        if isinstance(error, OSError) and error.filename:
            say_error(f"{error.strerror}: {error.filename}")
            return 5
        say_error(f"{type(error).__name__}: {error}\nThis is a fault in orchestrator_nb; ORCH_DEBUG=1 shows where.")
        return code_of(error)


def _refuse_unreadable(args: list[str]) -> None:
    for argument in args:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise OrchestratorError(f"the argument {argument!a} is not UTF-8 text")


def _say_usage(error: Any) -> int:
    message = error.format_message()
    if any(name in message for name in ("--workspace", "--set")):
        message += " (it goes before the command: orchestrate --workspace DIR run ...)"
    say_error(message)
    path = error.ctx.command_path if error.ctx is not None else "orchestrate"
    say(f"See '{path} --help'.", err=True)
    return 2
