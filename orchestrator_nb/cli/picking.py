"""Which session a command means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_nb.cli.options import settings

if TYPE_CHECKING:
    from orchestrator_nb.runtime.session import Session


def opened(session: str | None) -> Session:
    """The named session, or the latest. Raises `SessionNotFound`, naming the nearest."""
    from orchestrator_nb.runtime.session import Session

    return Session.open(session, settings())


def live(session: str | None) -> Session:
    """The named session; else the latest one that is being run; else the latest."""
    from orchestrator_nb.runtime.session import Session
    from orchestrator_nb.storage.lock import holder
    from orchestrator_nb.storage.workspace import Workspace

    in_force = settings()
    if session is None:
        for directory in reversed(Workspace(in_force.workspace).sessions()):
            if holder(directory.lock_path) is not None:
                session = directory.id
                break
    return Session.open(session, in_force)
