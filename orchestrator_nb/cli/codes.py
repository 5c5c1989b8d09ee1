"""Exit codes, in one table: for the program, for ``--help``, for the manual."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator_nb import errors

if TYPE_CHECKING:
    from orchestrator_nb.core.state import State

#: What each exit code of `orchestrate` means: in short, and what there is to add.
EXIT_CODES: dict[int, tuple[str, str]] = {
    0: ("done", "a run: completed"),
    1: ("the run failed", "a task failed, was blocked or was cancelled; or a reproduction differs"),
    2: ("bad input", "usage, plan, parameter or setting; or something that the plan needs is missing"),
    3: ("stopped", "'orchestrate resume' goes on"),
    4: ("halted", "'orchestrate resume' goes on"),
    5: (
        "no access to the session",
        "not found, run by another process, damaged, its run died, its plan changed, disk full",
    ),
    6: ("refused", "the command makes no sense in the present state"),
    7: ("out of budget", "the run stopped: 'orchestrate resume --budget' goes on"),
    70: ("a fault in orchestrator_nb", "ORCH_DEBUG=1 shows where"),
    129: ("the terminal was closed", "SIGHUP: a run was halted"),
    130: ("Ctrl-C", "SIGINT: a run was stopped, or halted by the second one; looking at one ended"),
    141: ("nobody reads the output", "the reader of a pipe has gone"),
    143: ("terminated", "SIGTERM: a run was halted"),
}

#: Exit code of a run by the way it ended.
OF_STATUS = {"completed": 0, "failed": 1, "stopped": 3, "halted": 4, "interrupted": 5, "error": 5}

#: Codes of the commands that run or follow a session, and of those that only look.
RUNNING = (0, 1, 2, 3, 4, 5, 7, 129, 130, 143)
LOOKING = (0, 2, 5)
TELLING = (0, 2, 5, 6)


def of_end(status: str, state: State) -> int:
    """The exit code of a run that has ended."""
    return 7 if status == "stopped" and state.ledger.stopped else OF_STATUS.get(status, 5)


def code_of(error: Exception) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, errors.CommandRefused):
        return 6
    if isinstance(error, errors.SessionError | errors.StorageError):
        return 5
    if isinstance(error, errors.RunError):
        return 1
    return 2 if isinstance(error, errors.OrchestratorError) else 70


def after_signal(signum: int) -> int:
    """The exit code of a program that a signal ended, as shells count."""
    return 128 + signum


def described(codes: Iterable[int]) -> str:
    """The codes with their meanings, in one paragraph: the end of a command's help."""
    return "Exit codes: " + ", ".join(f"{code} {EXIT_CODES[code][0]}" for code in codes) + "."
