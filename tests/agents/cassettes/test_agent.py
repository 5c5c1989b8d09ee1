"""Attempts recorded and replayed one by one: outcomes, events, lanes, and tapes that were tampered with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb.agents.cassettes.tape import Content, Take, check_of
from orchestrator_nb.agents.cassettes.taping import Taping
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.events import AgentSpent, TaskCompleted, TaskProgressed
from orchestrator_nb.core.ports import Assignment, Checkpoint, Failure, Outcome, Services, Success
from tests.agents.lab import Lab


class Speaker:
    """An agent that answers as it is told to, and counts how often it was asked."""

    recordable = True

    def __init__(self, *answers: Outcome) -> None:
        self.answers, self.asked = list(answers), 0

    def preflight(self, assignment: Assignment) -> str | None:
        return "it is not here"

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        self.asked += 1
        services.progress(f"looks into {assignment.run.cwd}")
        services.report(AgentSpent(assignment.task.id, assignment.attempt, 5, 6, 0, 0.5, final=True))
        (Path(services.attempt_dir()) / "outputs" / "o.txt").write_text("output")
        return self.answers.pop(0)


def lab(tmp_path: Path, name: str, agent: Speaker, *, replay: bool) -> Lab:
    """A session of its own whose agent `speaker` is recorded, or replayed."""
    (tmp_path / name).mkdir()
    made = Lab(tmp_path / name)
    taping = Taping(tmp_path / "cassette", replay)
    taping.begin()
    made.registry = Registry({"speaker": agent}, taping=taping)
    return made


def ask(lab: Lab, attempt: int = 1, **fields: Any) -> Any:
    return lab.run(agent="speaker", prompt="Say it.", attempt=attempt, **fields)


@pytest.mark.parametrize(
    "answer",
    [
        Success(text="It is said.\n\nIn two parts."),
        Success(value={"n": [1, 2.5, None], "t": "é"}),
        Success(value=3, outputs=("o.txt",), warnings=("mind the gap",)),
        Failure("no luck", "rate_limit", transient=True, resets_at=123.5),
        Checkpoint("May I?", {"type": "string"}),
    ],
)
def test_what_came_of_it_comes_of_it_again(tmp_path: Path, answer: Outcome) -> None:
    first, nobody = lab(tmp_path, "first", Speaker(answer), replay=False), Speaker()
    again = lab(tmp_path, "again", nobody, replay=True)
    recorded, replayed = ask(first), ask(again)
    assert msgspec.structs.replace(replayed, duration=0) == msgspec.structs.replace(recorded, duration=0)
    assert nobody.asked == 0
    told = [event for event in again.events if isinstance(event, AgentSpent)]
    assert told == [AgentSpent("T-01", 1, 5, 6, 0, 0.5, final=True, recorded=True)]
    (progress,) = [event.message for event in again.events if isinstance(event, TaskProgressed)]
    assert progress == f"looks into {again.base}", "the directories are those of this run"
    assert again.read("attempts/T-01/1/outputs/o.txt" if not recorded.outputs else "outputs/T-01/o.txt") == b"output"


def test_a_replay_needs_nothing_of_what_the_agent_needs(tmp_path: Path) -> None:
    first = lab(tmp_path, "first", Speaker(Success(value=1)), replay=False)
    assert first.preflight(agent="speaker", prompt="x") == "it is not here"
    assert lab(tmp_path, "again", Speaker(), replay=True).preflight(agent="speaker", prompt="x") is None


def test_attempts_of_the_same_work_are_a_lane(tmp_path: Path) -> None:
    first = lab(tmp_path, "first", Speaker(Failure("busy"), Success(value=2)), replay=False)
    ask(first), ask(first, 2)
    again = lab(tmp_path, "again", Speaker(), replay=True)
    assert isinstance(ask(again).outcome, Failure)
    # attempt 2 was killed before it could begin: the third is the second of the lane
    assert ask(again, 3).outcome.value == 2
    missed = ask(again, 4).outcome
    assert isinstance(missed, Failure)
    assert missed.kind == "cassette"
    assert "holds 2 attempts of this work of task 'T-01', and this is number 3" in missed.error


def tampered(tmp_path: Path, **fields: Any) -> Failure:
    """What a replay says of a take of which somebody changed these fields, and made its hash anew."""
    ask(lab(tmp_path, "first", Speaker(Success(value=1)), replay=False))
    (path,) = (tmp_path / "cassette").glob("T-01/*/take.json")
    take = msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Take), **fields)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(take, check=check_of(take))))
    outcome = ask(lab(tmp_path, "again", Speaker(), replay=True)).outcome
    assert isinstance(outcome, Failure), outcome
    return outcome


def test_row_E9_a_tape_forges_no_event(tmp_path: Path) -> None:
    forged = msgspec.to_builtins(TaskCompleted("T-02", 1, 0.1))
    assert "tells what is no event of an agent" in tampered(tmp_path, told=(forged,)).error


def test_row_E9_an_event_of_another_task_becomes_its_own(tmp_path: Path) -> None:
    ask(lab(tmp_path, "first", Speaker(Success(value=1)), replay=False))
    (path,) = (tmp_path / "cassette").glob("T-01/*/take.json")
    spent = msgspec.to_builtins(AgentSpent("T-99", 7, 1, 1, 0, 9.0, final=True))
    take = msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Take), told=(spent,))
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(take, check=check_of(take))))
    again = lab(tmp_path, "again", Speaker(), replay=True)
    ask(again)
    assert [(e.task, e.attempt, e.recorded) for e in again.events if isinstance(e, AgentSpent)] == [("T-01", 1, True)]


@pytest.mark.parametrize("name", ["../../../events.jsonl", "outputs/../../x", "agent.json", "/etc/passwd"])
def test_no_recorded_file_leads_out_of_the_attempt(tmp_path: Path, name: str) -> None:
    ask(lab(tmp_path, "before", Speaker(Success(value=1)), replay=False))
    (blob,) = (tmp_path / "cassette").glob("T-01/*/outputs/o.txt.txt")
    (tmp_path / "cassette/blobs").mkdir()
    content = blob.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "cassette/blobs" / digest).write_bytes(content)
    refused = tampered(tmp_path, files=(Content(name, digest, blob=True),))
    assert refused.kind in ("cassette", "storage")
    assert "tampered with" in refused.error or "no path below" in refused.error


def test_a_recording_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    first = lab(tmp_path, "first", Speaker(Success(value=1)), replay=False)
    (tmp_path / "cassette" / "T-01").write_text("in the way")
    execution = ask(first)
    assert execution.outcome.value == 1, "what was paid for is not lost"
    assert "the attempt is not in the cassette" in execution.warnings[0]
