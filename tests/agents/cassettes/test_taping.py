"""Which agents are recorded, and what a session remembers of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.agents.cassettes.agent import Taped
from orchestrator_nb.agents.cassettes.taping import Taping
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.errors import CassetteError


def test_agents_that_can_be_recorded_are(tmp_path: Path) -> None:
    registry = Registry(taping=Taping(tmp_path, replay=False))
    taped = {kind for kind in registry.names() if isinstance(registry.get(kind), Taped)}
    assert {"claude", "codex", "gemini", "notebook"} <= taped
    assert taped.isdisjoint({"function", "human", "none", "shell", "simulated"})
    assert not isinstance(Registry().get("claude"), Taped)


def test_in_all_else_it_is_the_agent(tmp_path: Path) -> None:
    registry = Registry(taping=Taping(tmp_path, replay=True))
    assert registry.patient(["claude", "notebook"]) == {"claude"}
    assert hasattr(registry.get("claude"), "finish")
    assert not hasattr(registry.get("notebook"), "finish")


def test_what_a_session_remembers(tmp_path: Path) -> None:
    for taping in (Taping(tmp_path, replay=True, refresh=("a", "b")), Taping(tmp_path, replay=False)):
        assert Taping.of(taping.facts()) == taping
    assert Taping.of({}) is None


def test_a_replay_needs_a_cassette_and_a_recording_makes_one(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="no cassette"):
        Taping(tmp_path / "c", replay=True).begin()
    Taping(tmp_path / "c", replay=False).begin()
    Taping(tmp_path / "c", replay=True).begin()
