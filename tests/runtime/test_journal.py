"""One door for all changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import IllegalTransition
from orchestrator_nb.runtime.journal import Journal
from orchestrator_nb.storage.log import EventLog, read_records


def test_what_the_state_refuses_is_not_written(tmp_path: Path) -> None:
    heard: list[int] = []
    with EventLog.open(tmp_path / "log") as log:
        journal = Journal(log, State(), lambda records, plan: heard.extend(r.seq for r in records), clock=lambda: 5.0)
        journal.record([e.SessionCreated("s", "0", 1)], 0.0)
        with pytest.raises(IllegalTransition):
            journal.record([e.TaskStarted("nobody", 1)], 0.0)
        journal.apply([e.WarningRaised("a")], 0.0)
        journal.apply([e.WarningRaised("b"), e.WarningRaised("c")], 0.0)
        assert heard == [1]
        journal.commit()
        journal.commit()
        assert heard == [1, 2, 3, 4]
        assert journal.state.seq == 4
    records = list(read_records(tmp_path / "log"))
    assert [(r.seq, r.at) for r in records] == [(n, 5.0) for n in (1, 2, 3, 4)]
