"""The workspace directory and the sessions in it (DESIGN 5 "A session on disk")."""

from __future__ import annotations

import os
import re
import string
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import SessionNotFound, StorageError
from orchestrator_nb.storage.blobs import Blobs
from orchestrator_nb.storage.files import TEMPORARY, Root, sync_directory
from orchestrator_nb.storage.remedies import refused

#: Link in the workspace to the session that was made last.
LATEST = "latest"

_SESSION_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9]{5}")
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class SessionDir:
    """One session's directory: where everything in it lies.

    What is a `Path` is absolute; what is a `str` is relative to the session, as events name it and `root` takes it.
    """

    path: Path

    @property
    def id(self) -> str:
        """Such as ``20250112-143000-ab12c``: sorts by time (UTC)."""
        return self.path.name

    @property
    def root(self) -> Root:
        """Safe access to its files."""
        return Root(self.path)

    @property
    def blobs(self) -> Blobs:
        """Content that its events name by hash."""
        return Blobs(self.root)

    @property
    def log_path(self) -> Path:
        """The event log."""
        return self.path / "events.jsonl"

    @property
    def lock_path(self) -> Path:
        """The file whose lock makes a process the session's writer."""
        return self.path / "lock"

    @property
    def control(self) -> Path:
        """Where other processes put their requests (`storage.inbox`)."""
        return self.path / "control"

    def attempt(self, task_id: str, number: int) -> str:
        """Directory of one attempt: all that it writes."""
        return f"attempts/{task_id}/{number}"

    def outputs(self, task_id: str) -> str:
        """Directory of a task's promoted outputs."""
        return f"outputs/{task_id}"

    def result(self, number: int, extension: str) -> str:
        """File of the result of agent `number`: ``results/agent-02-result.md``."""
        return f"results/agent-{number:02d}-result.{extension}"

    def sweep(self) -> None:
        """Remove what killed writers left half-written. For the session's writer, before it writes."""
        self.root.sweep()
        for name in self.root.names():
            # Into `control` others may be writing now; the last two hold what attempts wrote.
            if (self.path / name).is_dir() and name not in ("control", "attempts", "outputs"):
                self.root.sweep(name)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A directory of sessions (setting `workspace`). Nothing is made before the first session is."""

    path: Path

    def new_session(self, at: float | None = None, token: str | None = None) -> SessionDir:
        """Make a session's directory, durably, and let `latest` lead to it.

        Args:
            at: Seconds since the epoch; now when left out.
            token: Five letters or digits that end its id; random when left out.

        Raises:
            StorageError: The directory cannot be made, or there is a session of this id.
        """
        moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
        token = token or "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(5))
        session = SessionDir(self.path / f"{moment:%Y%m%d-%H%M%S}-{token}")
        root = Root(self.path)
        _make_durably(self.path)
        if not root.exists(".gitignore"):
            root.write_atomic(".gitignore", "*\n")
        if root.exists(session.id):
            raise StorageError(f"there is a session {session.id} in {self.path} already")
        root.make_dir(session.id, sync=True)
        session.root.make_dir("control", sync=True)
        self._point_latest_to(session)
        return session

    def sessions(self) -> list[SessionDir]:
        """All sessions, the oldest first."""
        try:
            names = [entry.name for entry in os.scandir(self.path) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise refused("read", self.path, error) from error
        return [SessionDir(self.path / name) for name in sorted(names) if _SESSION_ID.fullmatch(name)]

    def find(self, name: str = LATEST) -> SessionDir:
        """The session of this id, of which this is the beginning, or the ``latest``.

        Raises:
            SessionNotFound: There is none, or more than one; says which there are.
        """
        sessions = {session.id: session for session in self.sessions()}
        if not sessions:
            raise SessionNotFound(f"there are no sessions in {self.path}; `orchestrate run PLAN` makes one")
        if name == LATEST:
            with suppress(OSError):
                name = os.readlink(self.path / LATEST)  # noqa: PTH115
            return sessions.get(name) or sessions[max(sessions)]
        if name in sessions:
            return sessions[name]
        matches = [session_id for session_id in sessions if name and session_id.startswith(name)]
        if len(matches) > 1:
            raise SessionNotFound(f"'{name}' begins the ids of {len(matches)} sessions: {', '.join(matches[-5:])}")
        if not matches:
            raise SessionNotFound(
                f"there is no session '{name}' in {self.path}"
                + (did_you_mean(name, sessions) or f"; the latest is {max(sessions)}")
            )
        return sessions[matches[0]]

    def _point_latest_to(self, session: SessionDir) -> None:
        link = self.path / LATEST
        temporary = self.path / (TEMPORARY + os.urandom(8).hex())
        try:
            temporary.symlink_to(session.id)
            try:
                temporary.rename(link)
            except OSError:
                temporary.unlink()
                raise
        except OSError as error:
            raise refused("replace", link, error) from error


def _make_durably(path: Path) -> None:
    if path.is_dir():
        return
    _make_durably(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise refused("make", path, error) from error
