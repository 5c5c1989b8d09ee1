"""Answers and halts through the notebook's buttons, when the kernel dies at the click, and when two people click."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.jupyter.checkpoints import Card
from orchestrator_nb.jupyter.subject import RunSubject, SessionSubject
from orchestrator_nb.jupyter.view import View
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import plan, until

ROOT = Path(__file__).parents[2]


def lives(folder: Path, mode: str, seeds: range, timeout: float = 110) -> list[dict[str, Any]]:
    """What the harness reports of each seed."""
    command = [sys.executable, "-m", "tests.faults.clicks", str(folder), mode, *map(str, seeds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- A10: killed at the click ------------------------------------------------------------------------------------------


def check_approvals(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        assert report["phantoms"] == 0, report
        assert not report["said_but_not_done"], report
        assert report["status"] == ("completed" if report["approved"] else "halted"), report


def check_halts(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        assert report["started_after"] == 0, report
        assert not report["said_but_not_done"], report
        assert report["status"] == ("halted" if report["halted"] else "interrupted"), report


def test_row_A10_killed_around_a_click_on_approve(tmp_path: Path) -> None:
    check_approvals(lives(tmp_path, "approve", range(12)))


def test_row_A10_killed_around_a_click_on_halt(tmp_path: Path) -> None:
    check_halts(lives(tmp_path, "halt", range(8)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_row_A10_five_hundred_clicks(tmp_path: Path) -> None:
    approvals = lives(tmp_path / "approve", "approve", range(1000, 1300), timeout=1800)
    check_approvals(approvals)
    assert 0 < sum(report["approved"] for report in approvals) < len(approvals)  # kills fell on both sides of the event
    halts = lives(tmp_path / "halt", "halt", range(1000, 1200), timeout=1800)
    check_halts(halts)
    assert 0 < sum(report["halted"] for report in halts) < len(halts)


# -- D7: two people click ----------------------------------------------------------------------------------------------


def card_of(view: View, task: str) -> Card | None:
    """The card that asks for `task`, once it is shown."""
    cards = [slot.children[0] for slot in list(view.controls.questions.slots) if slot.children]
    return next((card for card in cards if f"data-checkpoint='{task}@1'" in card.children[0].value), None)


def press(button: Any, together: threading.Barrier) -> None:
    together.wait()
    button.click()


def click_together(settings: Settings, count: int) -> None:
    """One view in the kernel that runs the plan, one that reaches it from outside; both answer every question."""
    questions = [{"id": f"q{number:03}", "agent": "human", "prompt": "Go?"} for number in range(count)]
    run = Orchestrator(settings).run(plan(*questions, limits={"max_parallel": 5}))
    views = View(RunSubject(run)), View(SessionSubject(Session.open(run.path, settings)))
    told: list[list[str]] = [[], []]
    for view, heard in zip(views, told, strict=True):
        view.controls.told.observe(lambda change, heard=heard: heard.append(change["new"]), "value")
    for question in questions:
        name = str(question["id"])
        until(lambda name=name: all(card_of(view, name) for view in views), 30)
        mine, theirs = (card_of(view, name) for view in views)
        assert mine is not None
        assert theirs is not None
        theirs.reason.value = "no"
        together = threading.Barrier(2)
        threads = [threading.Thread(target=press, args=(button, together)) for button in (mine.approve, theirs.reject)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    run.wait(60)
    decisions = [
        record.event
        for record in Session.open(run.path, settings).records()
        if isinstance(record.event, e.CheckpointApproved | e.CheckpointRejected)
    ]
    assert len(decisions) == len({decision.checkpoint for decision in decisions}) == count
    approved = {d.checkpoint[:4] for d in decisions if isinstance(d, e.CheckpointApproved)}
    rejected = {d.checkpoint[:4] for d in decisions} - approved
    for heard, verb, done in zip(told, ("approve", "reject"), (approved, rejected), strict=True):
        until(lambda heard=heard, verb=verb, done=done: _accepted(heard, verb) == done)


def _accepted(told: list[str], verb: str) -> set[str]:
    """The questions whose answer was said to be taken."""
    return {text.partition(f": {verb} accepted")[0][-4:] for text in told if f": {verb} accepted" in text}


def test_row_D7_two_people_click_at_once(tmp_path: Path) -> None:
    click_together(Settings(workspace=tmp_path / "sessions", projection_interval=0.05), 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_row_D7_two_people_click_five_hundred_times(tmp_path: Path) -> None:
    click_together(Settings(workspace=tmp_path / "sessions", projection_interval=0.05), 500)
