"""How people are told of kernels that are kept after a failed cell, and of the commands that go on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath

from orchestrator_nb.projections.words import count, duration


def command(session: PurePath, *tasks: str) -> str:
    """What goes on in the kept kernels of `tasks`, from any terminal; `session` is the session's directory."""
    return f"orchestrate retry {' '.join(tasks)} --from-failed-cell -s {shlex.quote(str(session))}"


def whole(session: PurePath, task: str, *, running: bool = True) -> str:
    """What runs the whole notebook again; where nobody is `running` the session, it has to be resumed."""
    where = shlex.quote(str(session))
    again = f"orchestrate retry {task} -s {where}"
    return again if running else f"{again} && orchestrate resume {where}"


def moment(at: float) -> str:
    """A time for people, as their clock shows it: ``17:45:10 on 2026-11-21``."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S on %Y-%m-%d")


def kept(session: PurePath, task: str, until: float) -> str:
    """What is said of a kernel that is kept, below the error of its notebook."""
    return (
        f"Its kernel is kept until {moment(until)}, if the run does not end before, or the task start anew. "
        f"Mend the notebook, then go on in it: {command(session, task)} Or run all of it again: {whole(session, task)}"
    )


def waiting(session: PurePath, until: Mapping[str, float], now: float) -> str:
    """What is said when a run has nothing left to do but to wait for kept kernels, by task; `now` as they are."""
    last = max(until.values())
    left = duration(max(0.0, last - now))
    return (
        f"Waiting until {moment(last)} ({left}): {count(len(until), 'kernel')} of failed notebooks kept. "
        f"Mend the notebook, then: {command(session, *until)} ('orchestrate stop' ends the waiting)."
    )
