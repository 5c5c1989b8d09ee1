"""The agent that only plays (S1 3.2): for rehearsing a plan, and for tests."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from orchestrator_nb.core.events import AgentSpent, AgentStarted
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services, Success


class Usage(BaseModel):
    """What a simulated attempt uses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    cost: float | None = Field(default=None, ge=0)
    """US dollars; unknown when left out."""


class Script(BaseModel):
    """The `parameters` of a simulated task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duration: float = Field(default=0.0, ge=0)
    """Seconds that it takes."""
    result: JsonValue = None
    """What it answers."""
    fail: str | None = None
    """What it fails with, instead of answering."""
    steps: tuple[str, ...] = ()
    """What it tells on the way, evenly spaced."""
    usage: Usage | None = None
    """What it tells it has used: half of it after half of its time, all of it at the end."""


class SimulatedAgent:
    """Takes its time, tells its steps, then answers or fails; its declared outputs become small placeholder files."""

    #: For budgets: as far as its script says.
    tells_cost = True

    def preflight(self, assignment: Assignment) -> str | None:
        """What is wrong with the task's `parameters`, or None."""
        try:
            Script.model_validate(assignment.work.parameters)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            known = did_you_mean(name, Script.model_fields) if first["type"] == "extra_forbidden" else ""
            return f"parameter '{name}' of a simulated task: {first['msg']}{known}"
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Play the script."""
        if fault := self.preflight(assignment):
            return Failure(fault, kind="preflight")
        script = Script.model_validate(assignment.work.parameters)
        if script.usage is not None:
            services.report(AgentStarted(assignment.task.id, assignment.attempt, "simulated"))
        half = (len(script.steps) + 1) // 2
        for done, step in enumerate(script.steps):
            if done == half:
                _tell(script, assignment, services, final=False)
            services.progress(step, done, len(script.steps))
            await asyncio.sleep(script.duration / len(script.steps))
        if not script.steps and script.duration:
            await asyncio.sleep(script.duration / 2)
            _tell(script, assignment, services, final=False)
            await asyncio.sleep(script.duration / 2)
        _tell(script, assignment, services, final=True)
        if script.fail is not None:
            return Failure(script.fail, kind="simulated")
        for output in assignment.task.outputs:
            _write_placeholder(Path(services.attempt_dir(), "outputs", output), assignment.task.id)
        return Success(text=script.result) if isinstance(script.result, str) else Success(value=script.result)


def _tell(script: Script, assignment: Assignment, services: Services, *, final: bool) -> None:
    """Tell half of what it uses, or at the end all of it."""
    if (usage := script.usage) is None:
        return
    part = 1 if final else 2
    tokens = (usage.input_tokens // part, usage.output_tokens // part, usage.cached_tokens // part)
    cost = None if usage.cost is None else usage.cost / part
    services.report(AgentSpent(assignment.task.id, assignment.attempt, *tokens, cost, final))


def _write_placeholder(path: Path, task: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"Simulated output of {task}.\n")
