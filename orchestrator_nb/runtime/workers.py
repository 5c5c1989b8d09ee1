"""S3's `workers.py`: coding agents one by one, without a plan.

It differs from S3 on purpose. A launch returns a `Worker`, not a `Popen`: a supervisor owns the process, so that its
whole tree ends with this process. Each worker is a run of one task, with a session of its own: contained, in a place
of its own where it writes, recorded, and resumable by `orchestrate resume`. Its work lies in that place until somebody
takes it. Nothing here reads a terminal's text: `PermissionRecoveryEngine` reads the same records as a run does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from orchestrator_nb.agents.coding.cli import Level
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused, RunError
from orchestrator_nb.projections import agent_words
from orchestrator_nb.projections.usage import used
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run

#: The task's id in a worker's session.
TASK = "work"

#: Where a worker is: `asking` waits for a person (`WorkerManager.grant`), `retrying` for its next attempt, `limited`
#: for the end of its account's usage limit.
Status = Literal["starting", "running", "asking", "retrying", "limited", "succeeded", "failed", "stopped"]


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a worker (S3 names it and leaves it open)."""

    name: str
    #: claude, codex, gemini, ...
    agent: str
    status: Status
    #: What it told last.
    message: str = ""
    #: The attempt that it is at, from 1.
    attempt: int = 0
    #: Pid of its process while it runs, else None.
    pid: int | None = None
    #: What it asks, when `asking`.
    question: str = ""
    #: Why it failed.
    error: str = ""
    #: What it has used so far, in words, and what it was refused in its last attempt.
    used: str = ""
    refused: tuple[str, ...] = ()
    #: Where its session is.
    session: Path | None = None


class Worker:
    """One launched coding agent."""

    def __init__(self, name: str, agent: str, run: Run) -> None:
        self.name, self.agent, self.run = name, agent, run

    def __repr__(self) -> str:
        return f"<Worker {self.name}: {self.state.status}>"

    @property
    def state(self) -> AgentState:
        """How it stands."""
        with self.run.state() as state:
            task = state.tasks.get(TASK)
            question = next((checkpoint.question for checkpoint in state.open_checkpoints), "")
            if task is None:
                return AgentState(name=self.name, agent=self.agent, status="starting", session=self.run.path)
            status = _STATUSES.get(task.status, "starting")
            if self.run.done and not task.status.settled:
                status = "stopped"
            running = status == "running" and task.process is not None
            attempts = state.agent_attempts.get(TASK, [])
            denials = attempts[-1].denials if attempts else []
            return AgentState(
                name=self.name,
                agent=self.agent,
                status=status,
                message=task.message,
                attempt=task.attempt,
                pid=task.process.pid if running and task.process else None,
                question=question,
                error=task.error,
                used=str(used(attempts)),
                refused=tuple(map(agent_words.denial, denials)),
                session=self.run.path,
            )

    def wait(self, timeout: float | None = None) -> AgentState:
        """Wait until it is over. Raises `TimeoutError` after `timeout` seconds."""
        self.run.wait(timeout)
        return self.state

    @property
    def result(self) -> Any:
        """Its last words. Raises `RunFailed` if it has not succeeded."""
        return self.run.result_of(TASK)


_STATUSES: dict[TaskStatus, Status] = {
    TaskStatus.RUNNING: "running",
    TaskStatus.AWAITING_REVIEW: "running",
    TaskStatus.RETRYING: "retrying",
    TaskStatus.COMPLETED: "succeeded",
    TaskStatus.FAILED: "failed",
    TaskStatus.CANCELLED: "stopped",
    TaskStatus.AWAITING_APPROVAL: "asking",
    TaskStatus.AWAITING_QUOTA: "limited",
    TaskStatus.BLOCKED: "failed",
}


class WorkerManager:
    """Launches coding agents, and looks after them (S3 `workers.py`).

    Args:
        level: What they may do: `read`, `edit` or `full`.
        recovery: What may be granted when one is refused something: `ask`, `never`, or a list of levels and
            directories.
        settings: As for `Orchestrator`: `workspace`, ...
        parameters: More options of coding tasks (`agents.coding.options`): `model`, `sandbox`, ...
    """

    def __init__(
        self,
        *,
        level: Level = "edit",
        recovery: str | Sequence[str] = "ask",
        parameters: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._orchestrator = Orchestrator(**settings)
        self._options = {**(parameters or {}), "level": level, "recovery": recovery}
        self._workers: dict[str, Worker] = {}

    def launch_claude(self, task: str, dirs: Sequence[str | Path] = ()) -> Worker:
        """Start claude on a task in the first of `dirs` (the current directory if there is none); it may use them all.

        Raises `OrchestratorError` if it cannot be started.
        """
        return self.launch("claude", task, dirs)

    def launch_codex(self, task: str, cwd: str | Path = ".") -> Worker:
        """Start codex on a task in `cwd`. Raises `OrchestratorError` if it cannot be started."""
        return self.launch("codex", task, (cwd,))

    def launch_gemini(self, task: str, dirs: Sequence[str | Path] = ()) -> Worker:
        """Start gemini, as `launch_claude` does claude."""
        return self.launch("gemini", task, dirs)

    def launch(self, agent: str, task: str, dirs: Sequence[str | Path] = ()) -> Worker:
        """Start any coding agent (a name, or ``package.module:Class``). The worker is called ``claude-1``, ..."""
        cwd, *more = [Path(directory).absolute() for directory in dirs] or [Path.cwd()]
        kind = agent.rpartition(":")[2].lower()
        number = sum(worker.agent == agent for worker in self._workers.values()) + 1
        parameters = {**self._options, "directories": [str(directory) for directory in more]}
        work = {"id": TASK, "agent": agent, "prompt": task.replace("$", "$$"), "parameters": parameters}
        plan = Plan.model_validate({"title": f"{kind}-{number}", "tasks": [work]})
        worker = Worker(f"{kind}-{number}", agent, self._orchestrator.run(plan, cwd=cwd))
        self._workers[worker.name] = worker
        return worker

    @property
    def workers(self) -> tuple[Worker, ...]:
        """All that were launched."""
        return tuple(self._workers.values())

    def get_worker_status(self, name: str) -> AgentState:
        """How a worker stands. Raises `CommandRefused` if there is none of this name."""
        return self._worker(name).state

    def stop_worker(self, name: str) -> AgentState:
        """End a worker: TERM, then KILL, to its whole tree; returns when nothing of it is left.

        It can be gone on with (`orchestrate resume`). Raises `CommandRefused` if there is none of this name.
        """
        worker = self._worker(name)
        if not worker.run.done:
            with suppress(RunError):  # it has just ended
                worker.run.halt(by="WorkerManager")
        return worker.wait()

    def grant(self, name: str) -> None:
        """Agree to what a worker asks (`AgentState.question`): it goes on with that, for one attempt.

        Raises `CommandRefused` if it asks nothing.
        """
        self._worker(name).run.approve(TASK, by="WorkerManager")

    def _worker(self, name: str) -> Worker:
        try:
            return self._workers[name]
        except KeyError:
            hint = did_you_mean(name, self._workers)
            raise CommandRefused(f"there is no worker '{name}'{hint} ({', '.join(self._workers) or 'none'})") from None
