from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator_nb.core.events import TaskProgressed
from tests.agents.lab import Lab


def test_it_answers_what_it_is_told_to(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.succeed(agent="simulated") is None
    assert lab.succeed(agent="simulated", parameters={"result": {"a": [1]}}) == {"a": [1]}
    assert lab.run(agent="simulated", parameters={"result": "done"}).format == "text"


def test_it_takes_its_time(tmp_path: Path) -> None:
    began = time.monotonic()
    Lab(tmp_path).succeed(agent="simulated", parameters={"duration": 0.2, "steps": ["one", "two"]})
    assert 0.2 <= time.monotonic() - began < 2


def test_it_tells_its_steps(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.succeed(agent="simulated", parameters={"steps": ["read", "write"]})
    assert lab.events == [TaskProgressed("T-01", 1, "read", 0, 2), TaskProgressed("T-01", 1, "write", 1, 2)]


def test_it_fails_on_request(tmp_path: Path) -> None:
    failure = Lab(tmp_path).fail(agent="simulated", parameters={"fail": "no luck", "result": 1})
    assert (failure.error, failure.kind) == ("no luck", "simulated")


def test_it_leaves_placeholders_for_declared_outputs(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    execution = lab.run(agent="simulated", outputs=["a.txt", "sub/b.txt"])
    assert [artifact.path for artifact in execution.outputs] == ["outputs/T-01/a.txt", "outputs/T-01/sub/b.txt"]
    assert lab.read("outputs/T-01/sub/b.txt") == b"Simulated output of T-01.\n"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"durration": 1}, "did you mean 'duration'?"),
        ({"duration": -1}, "parameter 'duration'"),
        ({"duration": "soon"}, "valid number"),
        ({"steps": "one"}, "parameter 'steps'"),
    ],
)
def test_a_bad_script_is_refused(tmp_path: Path, parameters: dict[str, object], words: str) -> None:
    lab = Lab(tmp_path)
    assert words in (lab.preflight(agent="simulated", parameters=parameters) or "")
    assert lab.fail(agent="simulated", parameters=parameters).kind == "preflight"
