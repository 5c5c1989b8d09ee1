"""Verbs for a session, from any terminal: a live run obeys within half a second, a session on disk when resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say, say_error, say_json
from orchestrator_nb.cli.picking import live
from orchestrator_nb.errors import CommandRefused, OrchestratorError

Reason = Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why, for the log.", show_default=False)]


def pause(session: options.OfSession = None, as_json: options.Json = False) -> None:
    """Start no more tasks for now.

    Running ones go on. 'orchestrate resume' lifts the pause.
    """
    tell(session, "pause", as_json)


def stop(session: options.OfSession = None, reason: Reason = "", as_json: options.Json = False) -> None:
    """End a run when its running tasks have ended.

    It can be resumed.
    """
    tell(session, "stop", as_json, reason=reason)


def halt(session: options.OfSession = None, reason: Reason = "", as_json: options.Json = False) -> None:
    """End a run and its running tasks at once.

    Their processes get TERM, then KILL. It can be resumed.
    """
    tell(session, "halt", as_json, reason=reason)


def cancel(
    tasks: options.Tasks, session: options.OfSession = None, reason: Reason = "", as_json: options.Json = False
) -> int:
    """End tasks for good.

    What depends on them is blocked.
    """
    return tell_each(session, "cancel", tasks, as_json, reason=reason)


def retry(
    tasks: options.Tasks,
    session: options.OfSession = None,
    from_failed_cell: Annotated[
        bool,
        typer.Option("--from-failed-cell", help="Go on with a mended notebook in its kernel, if that was kept."),
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Try failed, skipped or cancelled tasks again.

    What they blocked waits anew. A notebook whose kernel was kept (--keep-kernel-on-error) can go on from the cell
    that failed, once that is mended; what was executed before is not repeated.
    """
    return tell_each(session, "retry", tasks, as_json, **({"from_failed_cell": True} if from_failed_cell else {}))


def approve(
    checkpoint: options.Checkpoint,
    answer: Annotated[
        str | None,
        typer.Option(
            "--answer", "-a", metavar="TEXT|@FILE", help="The answer: JSON if it can be read as that, else text."
        ),
    ] = None,
    session: options.OfSession = None,
    as_json: options.Json = False,
) -> None:
    """Answer a checkpoint with yes.

    The answer becomes the task's result.
    """
    tell(session, "approve", as_json, checkpoint=checkpoint, answer=_answer(answer))


def reject(
    checkpoint: options.Checkpoint,
    reason: Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why.", show_default=False)],
    session: options.OfSession = None,
    as_json: options.Json = False,
) -> None:
    """Answer a checkpoint with no.

    Its task fails for that reason.
    """
    tell(session, "reject", as_json, checkpoint=checkpoint, reason=reason)


def tell(session: str | None, verb: str, as_json: bool, **fields: Any) -> None:
    """Carry out a verb and print what came of it. Raises `CommandRefused` with the reason why not."""
    target = live(session)
    if "task" in fields:
        target.task(fields["task"])  # of a wrong name it knows the nearest
    if name := fields.get("checkpoint"):
        fields |= _shown(target.state, name)
    done = target.tell(verb, **fields)
    if as_json:
        say_json({"session": target.id, "verb": verb, **fields, "done": done})
    else:
        say(f"session {target.id}: ", done)


def tell_each(session: str | None, verb: str, tasks: list[str], as_json: bool, **fields: Any) -> int:
    """The verb for each task; those that are refused are named, and the rest is done."""
    refused = 0
    for task in dict.fromkeys(tasks):
        try:
            tell(session, verb, as_json, task=task, **fields)
        except CommandRefused as error:
            say_error(str(error))
            refused = 6
    return refused


def _shown(state: Any, name: str) -> dict[str, str]:
    """The checkpoint's id and the hash of its question, which is printed: the answer counts for just that."""
    task = state.tasks.get(name)
    checkpoint = state.checkpoints.get(name) or state.checkpoints.get(task.checkpoint if task is not None else "")
    if checkpoint is None:
        return {}
    say(("Question: ", "bold"), checkpoint.question, err=True)
    return {"checkpoint": checkpoint.id, "subject_sha256": checkpoint.subject_sha256}


def _answer(given: str | None) -> Any:
    """``@FILE`` is read; what is JSON is parsed, all else is text."""
    from orchestrator_nb.core.params import fault_of_value

    if given is None:
        return None
    if given.startswith("@"):
        try:
            given = Path(given[1:]).expanduser().read_text("utf-8")
        except OSError as error:
            raise OrchestratorError(f"--answer: {given[1:]} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise OrchestratorError(f"--answer: {given[1:]} is not UTF-8 text") from None
    try:
        value = json.loads(given)
        return given if fault_of_value(value) else value
    except (ValueError, RecursionError):
        return given
