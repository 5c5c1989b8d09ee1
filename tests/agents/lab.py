"""A place to carry out single attempts in: a session directory, an executor with real parts, what it recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.events import Event
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.ports import Assignment, Execution, Failure, RunContext, Success, subject_hash
from orchestrator_nb.executors.local import LocalExecutor
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir, Workspace
from orchestrator_nb.system.supervisor import Supervisor


class Lab:
    """`run` carries out one attempt on a loop of its own; `events` is what was recorded meanwhile."""

    def __init__(self, tmp_path: Path, *, functions: Any = None, params: Any = None, agents: Any = None) -> None:
        self.base = tmp_path / "plan"
        self.base.mkdir(exist_ok=True)
        self.session: SessionDir = Workspace(tmp_path / "sessions").new_session()
        self.context = RunContext(
            session=self.session.id,
            directory=self.session.path,
            base=self.base,
            cwd=self.base,
            params=params or {},
            functions=functions or {},
        )
        self.registry = Registry(agents)
        self.settings = Settings(grace=1.0)
        self.events: list[Event] = []

    def at(self, cwd: Path) -> None:
        """Let the caller be in another directory than the plan."""
        cwd.mkdir(exist_ok=True)
        self.context = msgspec.structs.replace(self.context, cwd=cwd)

    def assignment(self, attempt: int = 1, inputs: Any = None, answer: Any = None, **fields: Any) -> Assignment:
        task = Task.model_validate({"id": "T-01", **fields})
        return Assignment(
            run=self.context,
            task=task,
            number=1,
            work=task,
            attempt=attempt,
            inputs={name: Path(path) for name, path in (inputs or {}).items()},
            env=task.env,
            timeout=task.timeout,
            answered=answer is not None,
            answer=answer,
            subject_sha256=subject_hash(task.id, task.prompt or "", task.parameters.get("schema") or {}),  # type: ignore[arg-type]
        )

    def executor(self, spawner: Any, environment: Any = None) -> LocalExecutor:
        return LocalExecutor(self.registry.get, spawner, self.events.append, self.settings, environment)

    def run(self, environment: Any = None, **fields: Any) -> Execution:
        async def one() -> Execution:
            async with Supervisor(self.session.id) as spawner:
                return await self.executor(spawner, environment).execute(self.assignment(**fields))

        return asyncio.run(one())

    def succeed(self, **fields: Any) -> Any:
        """Run; the value of what must be a success."""
        execution = self.run(**fields)
        assert isinstance(execution.outcome, Success), execution.outcome
        return execution.outcome.value

    def fail(self, **fields: Any) -> Failure:
        """Run; what must be a failure."""
        execution = self.run(**fields)
        assert isinstance(execution.outcome, Failure), execution.outcome
        return execution.outcome

    def preflight(self, **fields: Any) -> str | None:
        return self.executor(None).preflight(self.assignment(**fields))

    def read(self, path: str) -> bytes:
        return (self.session.path / path).read_bytes()
