"""Commands that run a plan: run, resume, fork; and watch, which shows a run of another process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say, say_json
from orchestrator_nb.errors import ParameterError

if TYPE_CHECKING:
    from orchestrator_nb.cli.following import Reporter, Subject

DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.")]


def run(  # noqa: PLR0913 - options of a command
    plan: options.Plan,
    param: options.Params = None,
    params_file: options.ParamsFile = None,
    jobs: options.Jobs = None,
    budget: options.Budget = None,
    output: options.Output = None,
    dry_run: DryRun = False,
    by_hand: Annotated[
        bool,
        typer.Option("--by-hand", help="Start nothing: make a session with its agent_tasks/, to be worked on by hand."),
    ] = False,
    record: options.Record = None,
    replay: options.Replay = None,
    refresh: options.Refresh = None,
    transcript: options.Transcript = False,
    progress: options.Progress = True,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
) -> int:
    """Run a plan, and show how it goes.

    Ctrl-C once ends the run when its running tasks have ended, twice ends them too. Either can be resumed.
    """
    values = given_params(param, params_file)
    _refuse_prompt(plan)
    if dry_run:
        from orchestrator_nb.cli.preview import preview

        return preview(plan, values, as_json=as_json)
    if by_hand:
        return _prepare(plan, values, as_json=as_json)
    from orchestrator_nb.cli.following import Subject, follow_run
    from orchestrator_nb.cli.reporters import reporter_for
    from orchestrator_nb.runtime.orchestrator import Orchestrator

    reporter = reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)
    settings = options.settings(record, replay, refresh)
    started = Orchestrator(settings).run(plan, values, jobs=jobs, output=output, budget=budget)
    return follow_run(started, Subject.of_run(started, output), reporter)


def _prepare(plan: str, values: dict[str, Any], *, as_json: bool) -> int:
    from orchestrator_nb.runtime.orchestrator import Orchestrator

    session = Orchestrator(options.settings()).prepare(plan, values)
    tasks = session.path / "agent_tasks"
    if as_json:
        say_json({"session": session.id, "path": str(session.path), "agent_tasks": str(tasks)})
        return 0
    say(f"Session {session.id}: nothing was started. What is to be done is in {tasks}.")
    say(f"Take results in: orchestrate import agent-01-result.md --session {session.id}")
    say(f"Run the rest:    orchestrate resume {session.id}")
    return 0


def resume(  # noqa: PLR0913 - options of a command
    session: options.Session = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on with the plan as its file is now.")
    ] = False,
    jobs: options.Jobs = None,
    budget: options.Budget = None,
    output: options.Output = None,
    dry_run: DryRun = False,
    transcript: options.Transcript = False,
    progress: options.Progress = True,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
) -> int:
    """Go on with a session.

    What is finished is kept, what was interrupted runs again; what that means is printed first. Of a run that goes on
    in another process it lifts the pause.
    """
    from orchestrator_nb.cli.continuing import continuation, say_continuation
    from orchestrator_nb.cli.following import Subject, follow_run
    from orchestrator_nb.cli.picking import live, opened
    from orchestrator_nb.cli.reporters import reporter_for
    from orchestrator_nb.cli.verbs import tell
    from orchestrator_nb.runtime.orchestrator import Orchestrator

    found = live(session) if session is None else opened(session)
    if found.holder() is not None and not dry_run:
        tell(str(found.path), "resume", as_json)
        return 0
    orchestrator = Orchestrator(options.settings())
    ahead = continuation(orchestrator, found)
    if dry_run and as_json:
        say_json(ahead.facts())
    elif not as_json and not quiet:
        say_continuation(ahead, changes=dry_run or accept_changes)
    if dry_run:
        return 0
    reporter = reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)
    seen = found.state.seq
    started = orchestrator.resume(found.path, accept_changes=accept_changes, jobs=jobs, output=output, budget=budget)
    if found.state.goal is not None:
        from orchestrator_nb.cli.asking import follow_goal

        def again() -> Reporter:
            return reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)

        asking = False if as_json else None
        return follow_goal(started, Subject.of_run(started, output), again, asking=asking, since=seen)
    if started.companion is not None:
        from orchestrator_nb.cli.batch import follow_batch

        return follow_batch(started, reporter, output, seen)
    return follow_run(started, Subject.of_run(started, output), reporter, seen)


def fork(  # noqa: PLR0913 - options of a command
    session: Annotated[
        str,
        typer.Argument(metavar="SESSION", help="A session, or 'latest'.", autocompletion=options.completion.sessions),
    ],
    task: options.Task,
    param: options.Params = None,
    params_file: options.ParamsFile = None,
    jobs: options.Jobs = None,
    output: options.Output = None,
    transcript: options.Transcript = False,
    progress: options.Progress = True,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
) -> int:
    """Run a task again in a new session.

    What depends on it runs again too; finished tasks that are unchanged are taken over.
    """
    from orchestrator_nb.cli.following import Subject, follow_run
    from orchestrator_nb.cli.reporters import reporter_for
    from orchestrator_nb.runtime.orchestrator import Orchestrator

    values = given_params(param, params_file)
    reporter = reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)
    started = Orchestrator(options.settings()).fork(session, task, values, jobs=jobs, output=output)
    subject = Subject.of_run(started, output)
    if not as_json and not quiet:
        _say_fork(subject)
    return follow_run(started, subject, reporter)


def _refuse_prompt(plan: str) -> None:
    if any(map(str.isspace, plan)):
        from orchestrator_nb.planning.sources import plan_from

        plan_from(plan)


def _say_fork(subject: Subject) -> None:
    with subject.reading() as state:
        taken = sum(1 for task in state.by_index if task.reused_from)
        told = f"forked from {state.parent} at {state.fork_task}: {taken} of {len(state.by_index)} tasks are taken over"
    say(f"Session {subject.id}, {told}.")


def watch(
    session: options.Session = None,
    transcript: options.Transcript = False,
    progress: options.Progress = True,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
) -> int:
    """Show a run of another process, live.

    It ends when the run does; Ctrl-C ends only the looking.
    """
    from orchestrator_nb.cli.following import Subject, follow_session
    from orchestrator_nb.cli.picking import live, opened
    from orchestrator_nb.cli.reporters import reporter_for

    found = live(None) if session is None else opened(session)
    reporter = reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)
    return follow_session(found, Subject.of_session(found), reporter)


def given_params(param: list[str] | None, params_file: Path | None) -> dict[str, Any]:
    """The values that were given: those of the file, then those of ``-p``. Raises `ParameterError`."""
    from orchestrator_nb.core.params import named

    values: dict[str, Any] = {}
    if params_file is not None:
        from orchestrator_nb.planning.documents import read_document

        document = read_document(params_file, str(params_file))
        if document.faults:
            raise ParameterError("\n".join(map(str, document.faults)))
        if not isinstance(document.value, dict):
            raise ParameterError(f"{params_file}: write a mapping of parameters' names to their values")
        values.update(document.value)
    return {**values, **named(param or [])}
