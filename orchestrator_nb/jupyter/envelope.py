"""What parts of a view tell at one turn goes in one message: a message costs a kernel more than what is in it.

The first pane that has something to tell carries it for all, with the news of ordinary widgets too. A page that misses
such a message sees it by the carrier's numbers, asks for all of that pane anew, and gets the state of those widgets
with it.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol
from weakref import WeakKeyDictionary


class Carrier(Protocol):
    """A pane."""

    key: str
    comm: Any

    @property
    def carries(self) -> bool:
        """Whether the pages that show it set the state of other widgets too, when they are told to."""

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to the pages."""


class Envelope:
    """What is told while the context is open. All but `takes` is for the updates' thread."""

    def __init__(self) -> None:
        self._thread = 0
        self._told: list[tuple[Carrier, dict[str, Any]]] = []
        self._widgets: dict[Any, dict[str, Any]] = {}
        #: Names of the traits that were ever told so.
        self._carried: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()

    def put(self, pane: Carrier, message: dict[str, Any]) -> None:
        """Send a message of `pane`, with others if there is a turn of several."""
        self._told.append((pane, message))
        if not self._thread:
            self._send()

    def drop(self, pane: Carrier) -> None:
        """What `pane` has told at this turn is overtaken."""
        self._told = [told for told in self._told if told[0] is not pane]

    def takes(self, widget: Any, state: dict[str, Any]) -> bool:
        """Take what is new in the state of `widget`, unless there is no turn in this thread, or it is no plain data."""
        if self._thread != threading.get_ident() or not all(map(_plain, state.values())):
            return False
        self._widgets.setdefault(widget, {}).update(state)
        return True

    def carried(self) -> dict[str, dict[str, Any]]:
        """By model, as it is now, what panes have ever carried of the state of widgets that are open."""
        carried = [(widget, names) for widget, names in self._carried.items() if widget.comm is not None]
        return {widget.model_id: widget.get_state(names) for widget, names in carried}

    def __enter__(self) -> None:
        self._thread = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._thread = 0
        self._send()

    def _send(self) -> None:
        told, self._told = [told for told in self._told if told[0].comm is not None], []
        widgets, self._widgets = [news for news in self._widgets.items() if news[0].comm is not None], {}
        carrier = next((pane for pane, _ in told if pane.carries), None) if widgets else None
        if carrier is None:
            for widget, state in widgets:
                widget.comm.send({"method": "update", "state": state, "buffer_paths": []})
        if len(told) == 1 and carrier is None:
            told[0][0].send(told[0][1])
        elif told:
            together: dict[str, Any] = {"type": "together"}
            together["messages"] = [{"pane": pane.key, **message} for pane, message in told]
            if carrier is not None:
                together["widgets"] = {widget.model_id: state for widget, state in widgets}
                for widget, state in widgets:
                    self._carried.setdefault(widget, set()).update(state)
            (carrier or told[0][0]).send(together)


def _plain(value: Any) -> bool:
    """Whether the page need not make anything of it: no other widget, nothing that contains one."""
    return value is None or isinstance(value, bool | int | float) or _plain_text(value)


def _plain_text(value: Any) -> bool:
    return isinstance(value, str) and not value.startswith("IPY_MODEL_")


#: Of all views: what is told at the same time, for whichever of them, goes together.
shared = Envelope()
