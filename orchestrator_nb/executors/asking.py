"""Work that an agent does beside the plan's tasks: a review, a merge. It has an answer, and promotes nothing.

The attempt's directory holds its log, as that of any attempt. A failure is an answer, too: whoever asks says what
follows from it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from orchestrator_nb.core.events import (
    AgentDenied,
    AgentIdentified,
    AgentSpent,
    AgentStarted,
    Event,
    SideWorkTold,
)
from orchestrator_nb.core.models import agent_kind
from orchestrator_nb.core.ports import Agent, Assignment, Checkpoint, Failure, Spawner, Success, Timeout
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.executors.results import Reader
from orchestrator_nb.executors.services import LocalServices, run_environment
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.system.tracebacks import summary_of

_OF_ITSELF = (AgentStarted, AgentIdentified, AgentDenied, AgentSpent)


class Answer(msgspec.Struct, frozen=True):
    """What an agent answered: text, or another JSON value."""

    value: Any
    #: What people should know about it.
    warnings: tuple[str, ...] = ()


class Asker:
    """Asks agents, in this process and in supervised children.

    Args:
        agents: Gives the agent of a kind; raises `AgentError` (`agents.registry.Registry.get`).
        spawner: Starts processes whose trees die with the run.
        settings: Seconds from TERM to KILL, and the cap of results.
        environment: What processes inherit; this process's environment when left out.
    """

    def __init__(
        self,
        agents: Callable[[str], Agent],
        spawner: Spawner,
        settings: Settings,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._agents, self._spawner, self._settings = agents, spawner, settings
        self._environment = run_environment(os.environ if environment is None else environment)

    async def ask(
        self, assignment: Assignment, record: Callable[[Event], object]
    ) -> Answer | Failure | Checkpoint | Timeout:
        """Let an agent do `assignment`; `record` takes what it tells meanwhile. Its processes have ended on return.

        Never raises but for cancellation. `record` gets progress, and what the agent tells of itself as `SideWorkTold`.
        """

        def note(event: Event) -> None:
            record(SideWorkTold(event) if isinstance(event, _OF_ITSELF) else event)

        services = LocalServices(assignment, self._spawner, note, self._environment)
        try:
            async with asyncio.timeout(assignment.timeout) as limit:
                outcome = await self._agents(agent_kind(assignment.work)).run(assignment, services)
        except TimeoutError as error:
            if limit.expired():
                return Timeout(assignment.timeout or 0.0)
            return Failure(summary_of(error), transient=True)
        except AgentError as error:
            return Failure(str(error), kind="preflight")
        except Exception as error:  # noqa: BLE001 - it is the agent's trouble, and told as its answer
            return Failure(summary_of(error), transient=isinstance(error, ConnectionError))
        finally:
            if services.processes:
                await services.end_processes(self._settings.grace)
        return await self._read(outcome, assignment) if isinstance(outcome, Success) else outcome

    async def _read(self, success: Success, assignment: Assignment) -> Answer | Failure:
        """What it answered, whole."""
        try:
            reading = await asyncio.to_thread(Reader(assignment, self._settings.result_cap).read, success)
        except OrchestratorError as error:
            return Failure(str(error), "result")
        value = reading.value
        if reading.content is not None:
            text = reading.content.decode("utf-8", "replace")
            value = text if reading.format == "text" else msgspec.json.decode(text)
        return Answer(value, (*success.warnings, *reading.warnings))
