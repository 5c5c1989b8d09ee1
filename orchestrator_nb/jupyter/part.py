"""What all parts of a view have in common: what changed since they last told the page, and how they are shown."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import msgspec
import traitlets
from anywidget import AnyWidget

from orchestrator_nb.core.events import Record
from orchestrator_nb.core.state import State
from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.jupyter.envelope import shared
from orchestrator_nb.jupyter.module import ESM, LOADER
from orchestrator_nb.jupyter.updates import updates

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

#: A mimebundle: what one output of a cell holds.
Bundle = dict[str, Any]

#: Records that wait until a part tells its page; of more, the last ones.
MAX_RECORDS = 200


@dataclass
class Changes:
    """What changed since a part last told the page."""

    #: Positions of tasks in the plan.
    tasks: set[int] = field(default_factory=set)
    #: The run: its status, warnings, checkpoints.
    run: bool = False
    #: There is another plan, or another subject: nothing that was told holds.
    everything: bool = False
    #: The newest records: spares who tells of them to read the log, if no earlier ones are missing.
    records: list[Record] = field(default_factory=list)

    def add(self, other: Changes) -> None:
        """Take what `other` says in too."""
        self.tasks |= other.tasks
        self.run |= other.run
        self.everything |= other.everything
        if other.records:
            self.records = (self.records + other.records)[-MAX_RECORDS:]


class Part:
    """One part of a view. A mixin, the first base of a widget; `refresh` and `settled` are its own.

    `refresh` is called in the updates' thread, with what changed since the last time, and is the only place that writes
    to the widget. What the page asks for arrives in other threads, and must never wait.
    """

    #: As in `run.view.<name>`.
    name = ""
    #: Whether it knows when a page shows it, and whether one is about to.
    counted = False
    awaited = True
    sent_at = 0.0
    #: With what else its messages go.
    envelope = shared

    def __init__(self, view: View, **traits: Any) -> None:
        self.view = view
        self._changes = Changes()
        self._changes_lock = threading.Lock()
        super().__init__(**traits)

    @property
    def visible(self) -> bool:
        """Whether a page shows it, as far as is known."""
        return True

    @property
    def most(self) -> int:
        """How many messages it sends at one turn, as far as it knows."""
        return 1

    def note(self, changes: Changes) -> None:
        """Something changed: tell the page soon."""
        if self.takes(changes):
            updates.due(self)

    def takes(self, changes: Changes) -> bool:
        """Something changed: whether there is a page to tell."""
        with self._changes_lock:
            self._changes.add(changes)
        return self.visible

    def flush(self) -> None:
        """Tell the page. For the updates' thread."""
        with self._changes_lock:
            changes, self._changes = self._changes, Changes()
        if self.comm is not None:  # type: ignore[attr-defined]
            self.refresh(changes)

    def refresh(self, changes: Changes) -> None:
        """Tell the page what changed."""
        raise NotImplementedError

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """What stays of it in a saved notebook: `text/plain` and `text/html` that needs no kernel. Makes no widget."""
        raise NotImplementedError

    def shut(self) -> None:
        """Close it and what it consists of: the page forgets it."""
        updates.forget(self)
        close_all(self)

    def _ipython_display_(self) -> None:
        self.view.show(self.name)


class Still:
    """A part in a headless notebook: it shows what stays of it, and is no widget."""

    def __init__(self, view: View, name: str) -> None:
        self.view, self.name = view, name

    def _ipython_display_(self) -> None:
        self.view.show(self.name)


def close_all(widget: Any) -> None:
    """Close a widget with all that it consists of."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    for owned in ("layout", "style"):
        if (found := getattr(widget, owned, None)) is not None:
            found.close()
    widget.close()


class Pane(Part, Live, AnyWidget):
    """A part that the ES module draws: the page holds a copy of `whole`, and is told what changed, numbered.

    The page starts from the `snapshot` in the model's state and takes every later message in turn; when one is missing
    it asks for all anew. A snapshot is made whenever the state is asked for, so a reloaded page starts from the newest.
    """

    counted = True
    _esm = LOADER
    #: The module itself, which the page loads once.
    code = traitlets.Unicode(ESM).tag(sync=True)
    #: Which drawing of the module is meant.
    kind = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Any().tag(sync=True, to_json=lambda _, pane: pane.encoded())

    def __init__(self, view: View, **traits: Any) -> None:
        self._number = 0
        #: What the pages know it by.
        self.key = uuid.uuid4().hex
        #: How many views of it each page shows, and the pages that have not answered since the roll was called.
        self.shown_by: dict[str, int] = {}
        self._silent: set[str] = set()
        #: The pages that cannot set the state of other widgets.
        self._unable: set[str] = set()
        super().__init__(view, **traits)
        self.on_msg(self._received)

    @property
    def visible(self) -> bool:
        """Whether a page shows it: it says so when it begins and ends to. One that was just made is about to be."""
        return bool(self.shown_by) or self.awaited

    @property
    def carries(self) -> bool:
        """Whether the pages that show it set the state of other widgets too, when they are told to."""
        return bool(self.shown_by) and not self._unable

    def whole(self, state: State) -> dict[str, Any]:
        """All that the page has to know, as JSON."""
        raise NotImplementedError

    def received(self, message: dict[str, Any]) -> None:
        """The page says something else. Not for anything that takes time."""

    def encoded(self) -> bytes:
        """The snapshot."""
        with self.view.subject.reading() as state:
            whole = self.whole(state)
        return msgspec.json.encode({"pane": self.key, "number": self._number, "now": self.view.now(), **whole})

    def post(self, kind: str, **content: Any) -> None:
        """Tell the page one thing more. For the updates' thread."""
        self._number += 1
        self.envelope.put(self, {"type": kind, "number": self._number, "now": self.view.now(), **content})

    def post_whole(self) -> None:
        """Tell the page all anew. For the updates' thread."""
        self._number += 1
        self.envelope.drop(self)
        message = {"type": "whole", "number": self._number, "widgets": self.envelope.carried()}
        self.send(message, buffers=[self.encoded()])

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        match message:
            case {"type": "sync"}:
                updates.call(self.post_whole)
            case {"type": "view", "page": str(page), "views": int(views), "number": number}:
                (self._unable.discard if message.get("carries") else self._unable.add)(page)
                self._seen_in(page, views, number)
            case {"type": "select", "task": str(task)}:
                self.view.select(task)
            case dict():
                self.received(message)

    def _seen_in(self, page: str, views: int, number: Any) -> None:
        """A page says how many views of it it shows."""
        self._silent.discard(page)
        if views <= 0:
            self._forget(page)
            self.view.left()
            return
        more = views > self.shown_by.get(page, 0)
        self.shown_by[page], self.awaited = views, False
        if more:
            updates.due(self)
            if number != self._number:  # something was sent before the page listened
                updates.call(self.post_whole)

    def ask(self) -> None:
        """Ask the pages whether they still show it. For the updates' thread."""
        self._silent = set(self.shown_by)
        self.send({"type": "roll"})

    def strike(self) -> None:
        """Forget the pages that have not answered. One that only slept is told all when it speaks again."""
        if silent := self._silent:
            self._silent = set()
            for page in silent:
                self._forget(page)
            self.view.left()

    def _forget(self, page: str) -> None:
        self.shown_by.pop(page, None)
        self._unable.discard(page)


class RollCall:
    """Asks the pages which panes they still show: one that was closed or has crashed never says that it does not.

    Called when there is a reason: a run is shown, or has ended.
    """

    #: Seconds after which it is called: a page that stops to show something may still say so by itself.
    DELAY = 1.0
    #: Seconds within which a page answers: it may be busy.
    PATIENCE = 5.0

    def __init__(self) -> None:
        #: All that are asked about.
        self.panes: WeakSet[Pane] = WeakSet()
        self._asking = self._again = False

    def call(self) -> None:
        """Call it soon."""
        updates.call(self._ask, after=self.DELAY)

    def _ask(self) -> None:
        if self._asking:
            self._again = True
            return
        asked = [pane for pane in self.panes if pane.shown_by]
        if asked:
            self._asking = True
            for pane in asked:
                updates.call(pane.ask, after=0.01)  # in turn with what else is sent
            updates.call(lambda: self._strike(asked), after=self.PATIENCE)

    def _strike(self, asked: list[Pane]) -> None:
        for pane in asked:
            pane.strike()
        again, self._asking, self._again = self._again, False, False
        if again:
            self._ask()


roll = RollCall()
