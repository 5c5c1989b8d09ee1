"""Whether a run is recorded or replayed: what the settings say, else what the session was."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb import Orchestrator
from orchestrator_nb.agents.cassettes.taping import Taping
from orchestrator_nb.errors import CassetteError, ParameterError
from orchestrator_nb.runtime.taping import taping_of
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import plan


def test_settings_win_over_what_a_session_was(tmp_path: Path) -> None:
    made = Orchestrator(workspace=str(tmp_path / "sessions"), record=str(tmp_path / "one"))
    run = made.run(plan({"id": "a", "command": ["true"]}), cwd=tmp_path).wait(30)
    with run.state() as state:
        assert taping_of(Settings(), state) == Taping(tmp_path / "one", replay=False)
        assert taping_of(Settings(replay=tmp_path / "one", refresh="a"), state) == Taping(
            tmp_path / "one", True, ("a",)
        )
        with pytest.raises(CassetteError, match="no cassette"):
            taping_of(Settings(replay=tmp_path / "two"), state)
        with pytest.raises(ParameterError, match="refresh: the plan has no task 'aa'; did you mean 'a'"):
            taping_of(Settings(replay=tmp_path / "one", refresh="a, aa"), state)
    plain = Orchestrator(workspace=str(tmp_path / "sessions")).run(plan({"id": "a", "command": ["true"]})).wait(30)
    with plain.state() as state:
        assert taping_of(Settings(), state) is None
