"""What goes in one message, and what of ordinary widgets goes with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from comm.base_comm import BaseComm

from orchestrator_nb.jupyter.envelope import Envelope, shared
from orchestrator_nb.jupyter.widgets import Bar, Column, put
from tests.jupyter.test_part import Recorded, recorded, shown, until_sent

ROWS = {"type": "rows", "number": 1}


class RecordedComm(BaseComm):
    """Keeps what is sent."""

    def __init__(self, **keys: Any) -> None:
        self.sent: list[Any] = []
        super().__init__(**keys)

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **__: Any) -> None:
        if msg_type == "comm_msg":
            self.sent.append(data)


@pytest.fixture
def pane(tmp_path: Path) -> Iterator[Recorded]:
    """A pane whose page sets the state of other widgets too."""
    made = recorded(tmp_path)
    made._received(None, shown(made._number, carries=True), [])
    until_sent(made, "rows")
    made.sent.clear()
    yield made
    made.shut()


def opened(widget: Any) -> Any:
    """With a comm that keeps what it sends."""
    widget.comm = RecordedComm(comm_id=widget.model_id)
    return widget


def news(pane: Recorded, widget: Any, **traits: Any) -> list[dict[str, Any]]:
    """What `pane` sends at a turn in which it tells something, and the traits of `widget` are set."""
    with shared:
        put(widget, **traits)
        shared.put(pane, ROWS)
    sent = [message for message, _ in pane.sent]
    pane.sent.clear()
    return sent


def test_what_panes_tell_at_one_turn_is_one_message_and_what_is_overtaken_is_left_out(tmp_path: Path) -> None:
    first, second = recorded(tmp_path), recorded(tmp_path / "other")
    assert first.key != second.key == json.loads(second.encoded())["pane"]
    envelope = Envelope()
    with envelope:
        envelope.put(first, {"type": "rows", "number": 1})
        envelope.put(second, {"type": "rows", "number": 1})
        envelope.put(first, {"type": "select", "number": 2})
        assert not first.sent
    assert [message for message, _ in first.sent] == [
        {
            "type": "together",
            "messages": [
                {"pane": first.key, "type": "rows", "number": 1},
                {"pane": second.key, "type": "rows", "number": 1},
                {"pane": first.key, "type": "select", "number": 2},
            ],
        }
    ]
    with envelope:
        envelope.put(first, {"type": "rows", "number": 3})
        envelope.put(second, {"type": "rows", "number": 2})
        envelope.drop(first)
    envelope.put(first, {"type": "rows", "number": 5})  # outside of a turn
    assert [message for message, _ in second.sent] == [{"type": "rows", "number": 2}]
    assert first.sent[-1][0] == {"type": "rows", "number": 5}
    for pane in (first, second):
        pane.shut()


def test_a_pane_carries_the_news_of_a_widget_and_who_asks_anew_gets_it(pane: Recorded) -> None:
    widget = opened(Bar())
    with shared:
        put(widget, value=1.0)
        put(widget, value=2.0, bar_style="info")
        shared.put(pane, ROWS)
    told = {"value": 2.0, "bar_style": "info"}
    together = {"type": "together", "messages": [{"pane": pane.key, **ROWS}], "widgets": {widget.model_id: told}}
    assert [message for message, _ in pane.sent] == [together]
    assert not widget.comm.sent
    widget.value = 3.0
    pane.envelope = shared
    pane.post_whole()
    whole = pane.sent[-1][0]
    assert whole["widgets"][widget.model_id] == {"value": 3.0, "bar_style": "info"}
    model = widget.model_id
    widget.close()
    assert model not in shared.carried()


@pytest.mark.parametrize("why", ["no page", "a page that cannot", "one of two that cannot"])
def test_without_a_page_that_carries_a_widget_tells_its_news_itself(pane: Recorded, why: str) -> None:
    if why != "one of two that cannot":
        pane._received(None, shown(pane._number, views=0), [])
    if why != "no page":
        pane._received(None, shown(pane._number, page="other"), [])
    widget = opened(Bar())
    assert news(pane, widget, value=1.0) == [ROWS]
    assert widget.comm.sent == [{"method": "update", "state": {"value": 1.0}, "buffer_paths": []}]
    widget.close()


def test_nothing_is_carried_where_no_pane_tells_anything(pane: Recorded) -> None:
    widget = opened(Bar())
    with shared:
        put(widget, value=1.0)
    assert not pane.sent
    assert widget.comm.sent == [{"method": "update", "state": {"value": 1.0}, "buffer_paths": []}]
    widget.close()


def test_children_and_what_other_threads_set_are_told_by_themselves(pane: Recorded) -> None:
    widget, column = opened(Bar()), opened(Column())
    assert news(pane, column, children=(widget,)) == [ROWS]
    assert column.comm.sent[0]["state"] == {"children": [f"IPY_MODEL_{widget.model_id}"]}
    layout = ipywidgets.Layout()
    assert news(pane, widget, layout=layout) == [ROWS]
    with shared:
        other = threading.Thread(target=lambda: put(widget, value=1.0))
        other.start()
        other.join()
    states = [message["state"] for message in widget.comm.sent]
    assert states == [{"layout": f"IPY_MODEL_{layout.model_id}"}, {"value": 1.0}]
    for each in (column, widget, layout):
        each.close()


def test_what_is_closed_at_the_same_turn_is_told_nothing_more(pane: Recorded) -> None:
    widget = opened(Bar())
    with shared:
        put(widget, value=1.0)
        widget.close()
        shared.put(pane, ROWS)
    assert [message for message, _ in pane.sent] == [ROWS]
