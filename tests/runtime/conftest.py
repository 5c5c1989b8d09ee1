"""A workspace of its own for each test, and a quick orchestrator in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.storage.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)


@pytest.fixture
def orchestrator(settings: Settings) -> Orchestrator:
    return Orchestrator(settings)
