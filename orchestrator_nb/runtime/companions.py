"""What goes on beside a run and belongs to its session: the folder of a batch, which is filled as its notebooks end.

A file in the session's directory says that there is something of the kind. What it is stands above this layer: it is
found by name, at the moment it is needed, so that whoever goes on with the session goes on with that too.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from orchestrator_nb.storage.workspace import SessionDir

if TYPE_CHECKING:
    from orchestrator_nb.runtime.run import Run

#: The file by which a session says that it is a batch of notebooks.
BATCH_MARK = "batch.json"
BATCH = "orchestrator_nb.headless.batch"


class Companion(Protocol):
    """What goes on beside a run."""

    def complete(self, timeout: float | None = None) -> None:
        """Wait until it is complete, which it is soon after the end of the run.

        Raises `TimeoutError` after `timeout` seconds, and what kept it from that (`StorageError`).
        """


def companion_of(directory: SessionDir) -> Callable[[Run], Companion] | None:
    """What starts the companion of a run that goes on with this session; None if it has none.

    Raises `OrchestratorError` if the file that says so is damaged.
    """
    if not (directory.path / BATCH_MARK).exists():
        return None
    going_on: Callable[[Run], Companion] = import_module(BATCH).Batch.going_on(directory)
    return going_on
