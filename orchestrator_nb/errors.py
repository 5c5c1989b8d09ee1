"""Every error that the toolkit raises on purpose, as one tree.

    OrchestratorError
    ├── PlanError              a plan that cannot be accepted; carries every fault found
    ├── ParameterError         a parameter that is unknown, missing or of the wrong type
    ├── NotebookError          a file that is no notebook, or cannot be read as one
    ├── BadReference           a ``${...}`` that names nothing
    ├── IllegalTransition      an event that the state does not allow
    ├── SessionError
    │   ├── SessionNotFound
    │   ├── SessionLocked      another process is the session's writer
    │   ├── SessionCorrupt     the event log fails its checksums
    │   └── PlanChanged        the plan differs from the one the session was started with
    ├── StorageError           the disk said no (full, read-only, I/O error)
    ├── UnsafePath             a path that leaves its root, or is no regular file
    ├── AgentError             an agent that cannot do what it was asked
    │   ├── UnknownAgent
    │   ├── CapabilityError    an option that this agent's program cannot honour
    │   └── CassetteError      a recording that cannot be made or replayed
    ├── RunError               a run that did not end as asked
    │   ├── RunNotFinished
    │   └── RunFailed
    ├── WorktreeError          the place where an agent writes cannot be made, read, merged or removed
    │   ├── GitUnusable        there is no git, it is too old, or it failed
    │   ├── UnsupportedRepository  a kind of repository or checkout that cannot be worked in
    │   └── WorkNotKept        removing the place would lose work
    ├── CommandRefused         a verb that makes no sense now (approve twice, retry a running task)
    └── SettingsError          a settings file or variable that cannot be read

An error's message says what is wrong, where, and what to do about it; the class's docstring is the message when
none is given.
"""

from __future__ import annotations


class OrchestratorError(Exception):
    """Something went wrong in orchestrator_nb."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message says all, where it was raised says nothing to whoever reads it."""
        return [f"{type(self).__name__}: {self}"]


class PlanError(OrchestratorError):
    """The plan cannot be accepted."""

    def __init__(self, message: str = "", faults: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        #: Every fault that was found (`orchestrator_nb.core.faults.Fault`), not only the first.
        self.faults = faults


class ParameterError(OrchestratorError):
    """A parameter is unknown, missing or of the wrong type."""


class NotebookError(OrchestratorError):
    """The file is not a notebook that can be read."""


class BadReference(OrchestratorError):  # noqa: N818
    """A ${...} reference names nothing that the task may read."""


class IllegalTransition(OrchestratorError):  # noqa: N818 - the established name of this error
    """The state does not allow this event."""


class SessionError(OrchestratorError):
    """The session cannot be used."""


class SessionNotFound(SessionError):  # noqa: N818
    """No such session."""


class SessionLocked(SessionError):  # noqa: N818
    """Another process is writing this session."""


class SessionCorrupt(SessionError):  # noqa: N818
    """The session's event log is damaged."""


class PlanChanged(SessionError):  # noqa: N818
    """The plan is not the one that this session was started with."""


class StorageError(OrchestratorError):
    """The disk refused to read or write."""


class UnsafePath(OrchestratorError):  # noqa: N818
    """A path leaves the directory that it must stay in, or is not a regular file."""


class AgentError(OrchestratorError):
    """The agent cannot do what it was asked."""


class UnknownAgent(AgentError):  # noqa: N818
    """No agent of this name is registered."""


class CapabilityError(AgentError):
    """The agent's program cannot honour an option of the task."""


class CassetteError(AgentError):
    """The recording cannot be made or replayed."""


class RunError(OrchestratorError):
    """The run did not end as asked."""


class RunNotFinished(RunError):  # noqa: N818
    """The run is still going on: call run.wait() first."""


class RunFailed(RunError):  # noqa: N818
    """The run ended without completing its tasks."""


class WorktreeError(OrchestratorError):
    """The place where an agent writes cannot be made, read, merged or removed."""


class GitUnusable(WorktreeError):  # noqa: N818
    """git is missing, too old, or failed."""


class UnsupportedRepository(WorktreeError):  # noqa: N818
    """Agents cannot work in a repository or checkout of this kind."""


class WorkNotKept(WorktreeError):  # noqa: N818
    """The place holds work that is nowhere else: it is not removed."""


class CommandRefused(OrchestratorError):  # noqa: N818
    """The command makes no sense in the present state."""


class SettingsError(OrchestratorError):
    """A setting cannot be read."""
