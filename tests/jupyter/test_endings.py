"""What a page is told that still shows a widget which has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.cells import metadata_of
from orchestrator_nb.jupyter.endings import Endings
from orchestrator_nb.jupyter.part import Bundle

#: The first bytes of a PNG that is 300 pixels wide.
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAASwAAADIEAIAAABcAAAA"


class Recorded(Endings):
    """What it sends is kept."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__()

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append(content)


def broken() -> list[Bundle]:
    raise OrchestratorError("the session is gone")


def answer(endings: Recorded, widget: str) -> dict[str, Any]:
    endings._received(None, {"type": "ended", "widget": widget}, [])
    deadline = time.monotonic() + 10
    while not endings.sent:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return endings.sent.pop()


@pytest.fixture
def endings() -> Any:
    made = Recorded()
    yield made
    made.close()


def test_a_page_that_asks_is_told_the_outputs(endings: Recorded) -> None:
    endings.add({"one": lambda: [{"text/plain": "all"}, {"image/png": PICTURE}], "other": broken})
    assert endings.ended == ["one", "other"]
    told = answer(endings, "one")
    assert [output["data"] for output in told["outputs"]] == [{"text/plain": "all"}, {"image/png": PICTURE}]
    assert told["outputs"][1]["metadata"] == metadata_of({"image/png": PICTURE}) == {"image/png": {"width": 200}}
    assert answer(endings, "other")["outputs"][0]["data"] == {"text/plain": "the session is gone"}


def test_nothing_is_made_before_a_page_asks_nor_for_strangers(endings: Recorded) -> None:
    asked: list[str] = []

    def maker(name: str) -> Callable[[], list[Bundle]]:
        return lambda: [{"text/plain": asked.append(name) or name}]

    endings.add({"one": maker("one")})
    endings._received(None, {"type": "ended", "widget": "stranger"}, [])
    endings._received(None, {"type": "ended"}, [])
    answer(endings, "one")
    assert asked == ["one"]


def test_the_last_ones_are_remembered(endings: Recorded) -> None:
    for number in range(250):
        endings.add({str(number): broken})
    assert endings.ended == [str(number) for number in range(50, 250)]
    endings.add({"60": broken})
    assert len(endings.ended) == 200
