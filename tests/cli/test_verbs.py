"""Verbs on a live run, from outside: obeyed within half a second, refused with a reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.program import Live, write_plan


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A run that waits: for three people, a gate, and a failed task's friend."""
    directory = tmp_path_factory.mktemp("verbs")
    schema = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
    plan = write_plan(
        directory / "plan.json",
        title="Verbs",
        tasks=[
            {"id": "ask", "agent": "human", "prompt": "Which colour?"},
            {"id": "form", "agent": "human", "prompt": "Is it good?", "parameters": {"schema": schema}},
            {"id": "no", "agent": "human", "prompt": "Really?"},
            {"id": "gate", "command": "until [ -e go ]; do sleep 0.05; done"},
            {"id": "fails", "command": "exit 1"},
            {"id": "after", "agent": "simulated", "dependencies": ["gate"]},
        ],
    )
    with Live(plan) as run:
        for _ in range(3):
            run.event("checkpoint_reached")
        yield run


@pytest.fixture
def tell(call: Call, live: Live) -> Call:
    """A command in that run's workspace."""

    def telling(*args: object) -> object:
        return call("--workspace", live.cwd / ".orchestrator", *args)

    return telling  # type: ignore[return-value]


def test_an_answer_in_text_and_its_speed(tell: Call, live: Live) -> None:
    begun = time.monotonic()
    told = tell("approve", "ask", "--answer", "red")
    assert time.monotonic() - begun < 3
    assert told.code == 0
    assert told.err == "Question: Which colour?\n"
    assert told.out.startswith(f"session {live.session}: ")
    live.event("task_completed", "ask")
    assert json.loads(tell("show", "ask", "--json").out)["value"] == "red"
    again = tell("approve", "ask")
    assert again.code == 6
    assert "approved already" in again.err


def test_an_answer_of_the_wrong_form_is_refused_and_a_file_is_read(tell: Call, live: Live, tmp_path: Path) -> None:
    assert "\nIs it good?\n\nAnswer with: orchestrate approve form@1 --answer TEXT\n" in tell("show", "form").out
    assert tell("approve", "form@1", "--answer", "maybe").code == 6
    answer = tmp_path / "answer.json"
    answer.write_text('{"ok": true}')
    told = tell("approve", "form@1", "--answer", f"@{answer}", "--json")
    assert told.code == 0
    assert json.loads(told.out)["answer"] == {"ok": True}
    live.event("task_completed", "form")


def test_a_rejection_fails_the_task_for_its_reason(tell: Call, live: Live) -> None:
    assert tell("reject", "no", "--reason", "not now").code == 0
    live.event("checkpoint_rejected")
    assert "not now" in tell("explain", "no").out


def test_pause_and_resume(tell: Call, live: Live) -> None:
    assert tell("pause").code == 0
    live.event("run_paused")
    assert "paused" in tell("status").out
    assert tell("resume").code == 0
    live.event("run_unpaused")


def test_verbs_that_make_no_sense_are_refused(tell: Call, live: Live) -> None:
    for args, why in (
        (("retry", "gate"), "running"),
        (("retry", "ask"), "completed"),
        (("cancel", "fails"), "failed"),
        (("cancel", "gaet"), "did you mean 'gate'?"),
        (("approve", "after"), "no checkpoint 'after'"),
        (("reject", "ask", "-r", "x"), "already"),
    ):
        told = tell(*args)
        assert told.code == 6
        assert why in told.err


def test_cancel_ends_a_running_task(tell: Call, live: Live) -> None:
    told = tell("cancel", "gate", "--reason", "too slow")
    assert told.code == 0
    live.event("task_cancelled", "gate")
    assert "too slow" in tell("explain", "gate").out
    assert live.end() == 1
