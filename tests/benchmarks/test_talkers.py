"""The benchmark of talkative agents runs, and tells what it is to tell. How long it takes is no matter here."""

from __future__ import annotations

import json

import pytest

from orchestrator_nb.system.sandbox.policy import Level
from tests.benchmarks import talkers
from tests.system.sandbox.place import need


def test_a_line_with_gaps_cpu_and_memory(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    talkers.main(["--agents", "2", "--seconds", "1", "--lines", "200", "--bytes", "50000"])
    line = json.loads(capsys.readouterr().out)
    assert (line["table"], line["agents"], line["status"]) == ("talkers", 2, "completed")
    assert 0 <= line["gap_p50"] <= line["gap_p99"] <= line["gap_max"]
    assert line["cpu"] > 0
