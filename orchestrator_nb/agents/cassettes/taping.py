"""What a run does with the attempts of its agents: record them, or replay them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from orchestrator_nb.core.ports import Agent


@dataclass(frozen=True, slots=True)
class Taping:
    """What a run does with its agents' attempts."""

    directory: Path
    #: Whether attempts are replayed, but those of the tasks `refresh`, which are recorded anew; else all are recorded.
    replay: bool
    refresh: tuple[str, ...] = ()

    def around(self, kind: str, agent: Agent) -> Agent:
        """The agent, or what stands in its place."""
        if not getattr(agent, "recordable", False):
            return agent
        from orchestrator_nb.agents.cassettes.agent import Taped

        return cast("Agent", Taped(kind, agent, self))

    def begin(self) -> None:
        """Make the cassette, or see that it is one. Raises `CassetteError`."""
        from orchestrator_nb.agents.cassettes.tape import Cassette

        cassette = Cassette(self.directory)
        cassette.check() if self.replay else cassette.make()

    def facts(self) -> dict[str, Any]:
        """What a session remembers of it."""
        return {"replay" if self.replay else "record": str(self.directory), "refresh": list(self.refresh)}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Taping | None:
        """What a session remembered, if anything."""
        replay = bool(facts.get("replay"))
        directory = facts.get("replay") or facts.get("record")
        return cls(Path(directory), replay, tuple(facts.get("refresh", ()))) if directory else None
