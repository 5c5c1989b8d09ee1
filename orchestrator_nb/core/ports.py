"""The seams of the system as Protocols and frozen values: what agents are given, what they give back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from orchestrator_nb.core.commands import Command, Exit, Process, Spawner
from orchestrator_nb.core.events import AgentWork, Artifact, AttemptEvent
from orchestrator_nb.core.models import Task, Work

__all__ = [
    "Agent",
    "Assignment",
    "Checkpoint",
    "Command",
    "Execution",
    "Executor",
    "Exit",
    "Failure",
    "Outcome",
    "Process",
    "RunContext",
    "Services",
    "Spawner",
    "Success",
    "Timeout",
    "subject_hash",
]

# -- what an attempt is given ------------------------------------------------------------------------------------------


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts of a run share."""

    session: str
    #: The session's directory, absolute.
    directory: PurePath
    #: Where the plan's relative paths begin, and where commands run: absolute.
    base: PurePath
    cwd: PurePath
    #: Values of the plan's parameters.
    params: Mapping[str, Any] = {}
    #: Callables handed in by the process that runs the plan, by reference (`:name`).
    functions: Mapping[str, Callable[..., Any]] = {}
    #: The ids of all tasks that a task depends on, directly or not; None: only what the task itself names is known.
    ancestors: Callable[[str], Sequence[str]] | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one task, with every ``${...}`` resolved: all that an agent needs, and nothing else."""

    run: RunContext
    task: Task
    #: Number of its agent: 2 for Agent-02; names its result file.
    number: int
    #: The work to do: the task itself, or its fallback; values substituted.
    work: Work
    attempt: int
    #: Declared inputs, resolved to absolute paths.
    inputs: Mapping[str, PurePath] = {}
    #: Values of `task.env`, substituted.
    env: Mapping[str, str] = {}
    #: Seconds that the attempt may take, or None.
    timeout: float | None = None
    #: The approved answer to a checkpoint that an earlier attempt of this task raised.
    answered: bool = False
    answer: Any = None
    #: Who approved it.
    answered_by: str = ""
    #: Hash of the question that was answered (`subject_hash`): the answer to another one does not count.
    subject_sha256: str = ""
    #: Identity of what the attempt does, where its work is reviewed (DESIGN 4 "Task identity").
    fingerprint: str = ""

    @property
    def idempotency_key(self) -> str:
        """Stable over the attempts of a task: give it to services that deduplicate."""
        return f"{self.run.session}/{self.task.id}"

    @property
    def directory(self) -> PurePath:
        """The attempt's own directory, absolute; made when first used (`Services.attempt_dir`)."""
        return self.run.directory / "attempts" / self.task.id / str(self.attempt)

    @property
    def cwd(self) -> PurePath:
        """Where the work runs: what the task says, relative to the plan, else the caller's directory."""
        return self.run.base / self.task.cwd if self.task.cwd else self.run.cwd


# -- what an attempt gives back: S0's four outcomes --------------------------------------------------------------------


class Success(msgspec.Struct, frozen=True):
    """The agent did it. `value` is a JSON value; or `text` is taken as it is; or the result is a file."""

    value: Any = None
    text: str | None = None
    #: File in the attempt's directory that holds the result (the raw log of a command, say), relative to it.
    file: str | None = None
    #: How `file` or `text` is read: text, json, report or sarif.
    format: str = ""
    exit_code: int | None = None
    commits: tuple[str, ...] = ()
    #: Of a coding agent: who it was, and what it changed.
    work: AgentWork | None = None
    #: Files in the attempt's `outputs/` that it made besides the declared ones (a notebook's pictures).
    outputs: tuple[str, ...] = ()
    #: What people should know about it: processes that were left behind, output that was lost.
    warnings: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """The agent could not do it."""

    error: str
    kind: str = "exception"
    transient: bool = False
    exit_code: int | None = None
    commits: tuple[str, ...] = ()
    #: The account's usage limit was met, and ends then (seconds since the epoch): the task waits, and has not failed.
    resets_at: float | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A person must decide before the task can go on, unless the plan has decided already."""

    question: str
    answer_schema: Mapping[str, Any] = {}
    #: Whose word the `answer` is that stands already; empty if a person is to give one.
    answered_by: str = ""
    answer: Any = None


def subject_hash(task: str, question: str, schema: Mapping[str, Any]) -> str:
    """Hash of exactly what a person is shown at a checkpoint: an answer is bound to it."""
    return hashlib.sha256(msgspec.json.encode([task, question, schema])).hexdigest()


class Timeout(msgspec.Struct, frozen=True):
    """The attempt took longer than it may."""

    seconds: float
    #: What it left behind, where that is known: a function goes on in its thread.
    note: str = ""

    @property
    def error(self) -> str:
        """S0's words."""
        return f"Task Timeout: Agent exceeded {self.seconds:g}s" + (f" ({self.note})" if self.note else "")


Outcome = Success | Failure | Checkpoint | Timeout

# -- services of the run -----------------------------------------------------------------------------------------------


class Services(Protocol):
    """What a run offers to an agent while it works on one assignment."""

    async def spawn(self, command: Command) -> Process:
        """Start a process of this attempt; its identity is in the log before this returns."""

    def environment(self) -> dict[str, str]:
        """The environment for a process of this attempt: the run's, PATH with the interpreter's `bin` first, the
        task's own `env`, and ORCH_SESSION, ORCH_SESSION_DIR, ORCH_TASK_ID, ORCH_ATTEMPT, ORCH_IDEMPOTENCY_KEY,
        ORCH_OUTPUTS, ORCH_INPUT_<name>, ORCH_PARAM_<name>.
        """

    def keep(self, process: Process, seconds: float) -> float:
        """Let a process of this attempt outlive it: for `seconds`, until the run ends or the task starts anew.

        Returns when it is ended, in seconds since the epoch. Raises `AgentError` with the reason if it is not kept.
        """

    def kept(self) -> tuple[Process, int] | None:
        """What an earlier attempt kept, and the number of the attempt that started it, if this one is to go on in it.

        It is a process of this attempt from now on. Raises `AgentError` if it has ended since that was asked for.
        """

    def attempt_dir(self) -> PurePath:
        """The attempt's directory (``attempts/<task>/<n>``), made on first use with ``outputs/`` in it."""

    def progress(self, message: str = "", done: int = 0, total: int = 0, *, logged: bool = False) -> None:
        """Tell people how far the attempt is; `logged` says that its log tells it as well."""

    def report(self, event: AttemptEvent) -> None:
        """Put a small fact of this attempt into the session's log, while it runs."""


class Agent(Protocol):
    """One kind of worker. Registered by name; entry-point group `orchestrator_nb.agents`."""

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Do the work. Cancelling this coroutine must end the work and its processes."""

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the work from starting (a missing binary, an unknown function), or None. No side effect."""


class Checking(Protocol):
    """What an agent may have beside `Agent`'s methods: a say when a plan is checked."""

    def fault_of(self, task: Task, work: Work) -> str | None:
        """What is wrong with this work of the task (itself, or its fallback) on any machine, or None. Asks nobody."""


class Finishing(Protocol):
    """What an agent may have beside `Agent`'s methods: a say in what follows its work."""

    def check_command(self, assignment: Assignment, command: Command) -> Command:
        """How a check of the task is really started (in a sandbox, elsewhere). Blocking. Raises `AgentError`."""

    async def finish(
        self, assignment: Assignment, services: Services, success: Success
    ) -> Success | Failure | Checkpoint:
        """The last word when outputs are there and checks have passed, before anything is promoted."""

    async def fall_short(self, assignment: Assignment, success: Success, failure: Failure) -> Failure | Checkpoint:
        """What becomes of an agent's success that is none, because outputs are missing or checks fail."""


class Execution(msgspec.Struct, frozen=True):
    """One attempt's outcome with what was promoted from it."""

    outcome: Outcome
    duration: float
    result: Artifact | None = None
    #: How `result`, or the value, is to be read (text, json, report); empty where there is no result.
    format: str = ""
    outputs: tuple[Artifact, ...] = ()
    #: What people should know about it, the agent's own warnings included: text that was no UTF-8, a cut result.
    warnings: tuple[str, ...] = ()


class Executor(Protocol):
    """Where attempts are carried out."""

    async def execute(self, assignment: Assignment) -> Execution:
        """Carry out one attempt: agent, time limit, checks, outputs promoted. Never raises but for cancellation."""
