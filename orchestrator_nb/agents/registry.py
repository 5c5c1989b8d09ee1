"""Which kinds of agents there are: names, resolved to agents when they are first used.

A kind is the name of a built-in agent, one that an installed package provides (entry-point group
`orchestrator_nb.agents`), or the full path ``package.module:Class``. Nothing is imported before it is asked for.
What is no agent itself but the description of a coding agent's program (`agents.coding.cli.CodingCli`, entry-point
group `orchestrator_nb.coding_clis`) is run by a `CodingAgent`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Task, Work
from orchestrator_nb.core.ports import Agent
from orchestrator_nb.errors import AgentError, UnknownAgent

if TYPE_CHECKING:
    from orchestrator_nb.agents.cassettes.taping import Taping

#: Entry points of this group, in any installed package, are agents: ``name = "package.module:Class"``.
GROUP = "orchestrator_nb.agents"
#: The same for the programs of coding agents.
CLI_GROUP = "orchestrator_nb.coding_clis"

BUILT_IN = {
    "claude": "orchestrator_nb.agents.coding.claude:Claude",
    "codex": "orchestrator_nb.agents.coding.codex:Codex",
    "function": "orchestrator_nb.agents.function:FunctionAgent",
    "gemini": "orchestrator_nb.agents.coding.gemini:Gemini",
    "human": "orchestrator_nb.agents.human:HumanAgent",
    "model": "orchestrator_nb.agents.models.agent:ModelAgent",
    "none": "orchestrator_nb.agents.none:NoAgent",
    "notebook": "orchestrator_nb.agents.notebook:NotebookAgent",
    "shell": "orchestrator_nb.agents.shell:ShellAgent",
    "simulated": "orchestrator_nb.agents.simulated:SimulatedAgent",
}

#: Those of them that have something to say when a plan is checked.
_CHECKING = frozenset(kind for kind, path in BUILT_IN.items() if ".coding." in path or kind == "model")


class Registry(Collection[str]):
    """The agents of one run: each kind is loaded once, when the first task asks for it.

    It is also the collection of their names; installed packages are looked through only for what is not built in.

    Args:
        agents: Agents handed in by name; they go before all others.
        grace: Seconds from TERM to KILL where an agent itself ends its process.
        taping: What is done with attempts that can be recorded and replayed; nothing when left out.
    """

    def __init__(
        self, agents: Mapping[str, Agent] | None = None, grace: float = 10.0, taping: Taping | None = None
    ) -> None:
        self._taping = taping
        self._agents: dict[str, Agent] = {kind: self._taped(kind, agent) for kind, agent in (agents or {}).items()}
        self._grace = grace

    def get(self, kind: str) -> Agent:
        """The agent of this kind. Raises `UnknownAgent`, or `AgentError` if it cannot be loaded."""
        try:
            return self._agents[kind]
        except KeyError:
            agent = self._agents[kind] = self._taped(kind, self._load(kind))
            return agent

    def _taped(self, kind: str, agent: Agent) -> Agent:
        return self._taping.around(kind, agent) if self._taping is not None else agent

    @property
    def recorded(self) -> dict[str, Any]:
        """What a session remembers of its cassette: nothing without one."""
        return {"cassette": self._taping.facts()} if self._taping is not None else {}

    def names(self) -> list[str]:
        """The names that a plan may use, sorted; full paths may be used beside them."""
        return sorted({*self._agents, *BUILT_IN, *(point.name for point in self._points)})

    def patient(self, kinds: Iterable[str]) -> frozenset[str]:
        """Those of these kinds that want what is transient to be tried again unasked; unknown ones are left out."""
        wanted = set()
        for kind in set(kinds):
            try:
                if getattr(self.get(kind), "patient", False):
                    wanted.add(kind)
            except AgentError:
                continue
        return frozenset(wanted)

    def fault_of(self, kind: str, task: Task, work: Work) -> str | None:
        """What the agent of this kind finds wrong with its work on any machine, or None (`core.ports.Checking`).

        What is named by its path alone is not loaded for it: who checks a plan has not agreed to run code of it.
        """
        silent = ":" in kind or (kind in BUILT_IN and kind not in _CHECKING)
        if silent and kind not in self._agents:
            return None
        try:
            agent: Any = self.get(kind)
        except AgentError:
            return None  # which the preflight says
        return agent.fault_of(task, work) if hasattr(agent, "fault_of") else None

    def tells_cost(self, kind: str) -> bool:
        """Whether the agent of this kind tells what it costs (its attribute `tells_cost`); not if that is unknown.

        What is named by its path alone is not loaded for it.
        """
        if ":" in kind and kind not in self._agents:
            return False
        try:
            return bool(getattr(self.get(kind), "tells_cost", False))
        except AgentError:
            return False

    def __contains__(self, kind: object) -> bool:
        return kind in self._agents or kind in BUILT_IN or kind in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    @cached_property
    def _points(self) -> list[EntryPoint]:
        return [*entry_points(group=GROUP), *entry_points(group=CLI_GROUP)]

    def _load(self, kind: str) -> Agent:
        if path := BUILT_IN.get(kind):
            return self._agent_at(path, kind)
        points = tuple(point for point in self._points if point.name == kind)
        if len({point.value for point in points}) > 1:
            packages = " and ".join(_package(point) for point in points)
            raise AgentError(f"agent '{kind}' is provided by {packages}: name the one you mean as package.module:Class")
        if points:
            return self._agent_at(points[0].value, f"{kind} (of {_package(points[0])})")
        if ":" in kind:
            return self._agent_at(kind, kind)
        names = self.names()
        raise UnknownAgent(
            f"unknown agent '{kind}'{did_you_mean(kind, names)} (known: {', '.join(names)}; or package.module:Class)"
        )

    def _agent_at(self, path: str, kind: str) -> Agent:
        module, _, name = path.partition(":")
        try:
            target: Any = import_module(module)
            for part in name.split("."):
                target = getattr(target, part)
            agent = target() if isinstance(target, type) else target
            if callable(getattr(agent, "invocation", None)) and callable(getattr(agent, "parser", None)):
                from orchestrator_nb.agents.coding.agent import CodingAgent

                agent = CodingAgent(agent, grace=self._grace)
        except Exception as error:  # a package of others may raise anything
            raise AgentError(f"agent '{kind}' cannot be loaded from {path}: {type(error).__name__}: {error}") from error
        if not (callable(getattr(agent, "run", None)) and callable(getattr(agent, "preflight", None))):
            raise AgentError(f"agent '{kind}' at {path} has no methods `run` and `preflight`")
        found: Agent = agent
        return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
