"""What a pane tells a page that begins to show it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from orchestrator_nb import PlanBuilder
from orchestrator_nb.jupyter.envelope import Envelope
from orchestrator_nb.jupyter.graph import GraphPane
from orchestrator_nb.jupyter.part import Changes
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.runtime.orchestrator import Orchestrator


class Recorded(GraphPane):
    """A pane whose messages are kept."""

    def __init__(self, *arguments: Any) -> None:
        self.sent: list[tuple[dict[str, Any], Any]] = []
        self.envelope = Envelope()  # a pane that another test left behind must not carry what this one tells
        super().__init__(*arguments)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append((content, buffers))


def until_sent(pane: Recorded, kind: str) -> tuple[dict[str, Any], Any]:
    deadline = time.monotonic() + 10
    while not (found := [message for message in pane.sent if message[0]["type"] == kind]):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found[-1]


def shown(number: int, views: int = 1, page: str = "page", carries: bool = False) -> dict[str, Any]:
    """What a page says that shows so many views."""
    return {"type": "view", "page": page, "views": views, "number": number, "carries": carries}


def recorded(tmp_path: Path) -> Recorded:
    plan = PlanBuilder("One")
    plan.simulated(title="Only", result=1)
    run = Orchestrator(workspace=tmp_path / "work").run(plan).wait(20)
    return Recorded(view_of(run))


def test_a_page_that_missed_the_beginning_is_told_all(tmp_path: Path) -> None:
    pane = recorded(tmp_path)
    before = json.loads(pane.encoded())["number"]
    pane.note(Changes(tasks={0}))
    until_sent(pane, "rows")
    pane._received(None, shown(before), [])
    message, (whole,) = until_sent(pane, "whole")
    assert json.loads(whole)["number"] == message["number"] > before
    pane.shut()


def test_a_page_that_lacks_nothing_is_left_alone(tmp_path: Path) -> None:
    pane = recorded(tmp_path)
    number = json.loads(pane.encoded())["number"]
    pane._received(None, shown(number), [])
    pane.note(Changes(tasks={0}))
    until_sent(pane, "rows")
    assert [message["type"] for message, _ in pane.sent] == ["rows"]
    assert pane.visible
    pane._received(None, shown(number, views=0), [])
    assert not pane.visible
    pane.shut()


def test_pages_that_do_not_answer_the_roll_show_nothing(tmp_path: Path) -> None:
    pane = recorded(tmp_path)
    for page in ("one", "other"):
        pane._received(None, shown(0, page=page), [])
    pane.ask()
    until_sent(pane, "roll")
    pane._received(None, shown(0, page="one"), [])
    pane.strike()
    assert pane.shown_by == {"one": 1}
    pane.ask()
    pane.strike()
    assert not pane.visible
    pane.shut()


def test_a_page_that_speaks_late_is_told_all(tmp_path: Path) -> None:
    pane = recorded(tmp_path)
    pane._received(None, shown(0), [])
    pane.ask()
    pane.strike()
    pane.note(Changes(tasks={0}))
    pane._received(None, shown(pane._number - 1), [])
    assert pane.visible
    until_sent(pane, "whole")
    pane.shut()
