"""`orchestrate ask`: from a prompt to a result, with the plan shown, and approved, edited or rejected in between."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.codes import after_signal
from orchestrator_nb.cli.output import is_terminal, say, say_error
from orchestrator_nb.errors import OrchestratorError, RunError

if TYPE_CHECKING:
    from orchestrator_nb.cli.following import Reporter, Subject
    from orchestrator_nb.runtime.run import Run

_SIGINT = 2
#: Statuses of tasks that go on without anybody.
_BUSY = ("running", "pending", "retrying", "awaiting_quota")


def ask(  # noqa: PLR0913 - options of a command
    text: Annotated[
        str, typer.Argument(metavar="TEXT|-", help="What is to be reached; - reads it.", show_default=False)
    ],
    planner: Annotated[
        str | None,
        typer.Option("--planner", metavar="WHO", help="claude, codex, gemini, claude@MODEL, function:MODULE:NAME, ..."),
    ] = None,
    verifier: Annotated[
        str | None,
        typer.Option(
            "--verify",
            metavar="WHO",
            help="The same, command:TEXT, notebook:PATH, or none; the planner when left out.",
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="KIND:NAME",
            help="What the plan may use besides: agent:codex, command:TEXT, function:MODULE:NAME, notebook:PATH, "
            "level:full, directory:DIR, env:NAME, sandbox:none, address:URL; may be repeated.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Carry out each plan unasked.")] = False,
    jobs: options.Jobs = None,
    budget: options.Budget = None,
    output: options.Output = None,
    record: options.Record = None,
    replay: options.Replay = None,
    refresh: options.Refresh = None,
    transcript: options.Transcript = False,
    progress: options.Progress = True,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
) -> int:
    """Plan a prompt, show the plan, carry it out, verify what was made.

    The plan is approved, edited or rejected in the terminal. Where nobody can be asked, the run stops with the plan
    proposed: 'orchestrate approve' and 'orchestrate resume' go on, --yes does not ask. --jobs 1 carries the plan out
    one task after the other and ends at the first that fails or asks.
    """
    from orchestrator_nb.cli.following import Subject
    from orchestrator_nb.cli.reporters import reporter_for
    from orchestrator_nb.runtime.orchestrator import Orchestrator

    def reporter() -> Reporter:
        return reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)

    run = Orchestrator(options.settings(record, replay, refresh)).ask(
        _read(text),
        planner=planner,
        verifier=verifier,
        approval=not yes,
        allow=allow or (),
        jobs=jobs,
        output=output,
        budget=budget,
    )
    return follow_goal(run, Subject.of_run(run, output), reporter, asking=_somebody_is_there(as_json))


def _read(text: str) -> str:
    if text != "-":
        return text
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise OrchestratorError("the prompt on standard input is not UTF-8 text") from None


def _somebody_is_there(as_json: bool) -> bool:
    return not as_json and is_terminal() and sys.stdin.isatty()


def follow_goal(
    run: Run, subject: Subject, reporter: Callable[[], Reporter], *, asking: bool | None = None, since: int = 0
) -> int:
    """Show the run of a prompt until it is over; ask whoever sits at the terminal whether to carry out its plans.

    Args:
        run: The run.
        subject: The same, as reporters know it.
        reporter: Makes what shows it; once more after each question.
        asking: Whether somebody can be asked; as the terminal is when left out.
        since: Records up to this number are old.
    """
    from orchestrator_nb.cli.approving import Interrupted, approve_plan
    from orchestrator_nb.cli.following import INTERRUPTED, follow_run
    from orchestrator_nb.runtime.checkpoints import plan_to_approve

    asking = _somebody_is_there(False) if asking is None else asking

    def question(run: Run) -> bool:
        """Whether there is something to ask here; where nobody can be asked, the run stops when it has to wait."""
        with run.state() as state:
            if state.stopping or state.halting or not state.open_checkpoints:
                return False
            asked = plan_to_approve(state) is not None
            waits = not any(state.counts[status] for status in state.counts if status in _BUSY)
        if asking:
            return asked
        if waits:
            run.stop(by="orchestrate", reason="nobody is here to answer")
        return False

    while (code := follow_run(run, subject, reporter(), since, question)) == INTERRUPTED:
        with run.state() as state:
            since, asked = state.seq, plan_to_approve(state)
        if asked is None:
            continue
        try:
            approve_plan(run, asked)
        except Interrupted:
            _stop(run)
            code = follow_run(run, subject, reporter(), since)
            return after_signal(_SIGINT) if run.status == "stopped" else code
        except OrchestratorError as error:  # somebody else has answered meanwhile
            say_error(str(error))
    return code


def _stop(run: Run) -> None:
    try:
        run.stop(by="Ctrl-C", reason="nobody has approved the plan")
    except RunError as error:
        say(str(error), err=True)


def is_prompt(argument: str) -> bool:
    """Whether the program's first argument is a prompt: it holds white space, and is no file or folder."""
    if not any(map(str.isspace, argument.strip())) or argument.startswith("-"):
        return False
    return len(argument) > 255 or not Path(argument).exists()
