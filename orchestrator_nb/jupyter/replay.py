"""A run seen again: its log folded up to any record, shown by the parts of a view, moved through with a slider."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets

from orchestrator_nb.core import events as e
from orchestrator_nb.core.events import Record
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.jupyter.part import Changes
from orchestrator_nb.jupyter.subject import Listener, Subject
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.view import View
from orchestrator_nb.projections.explain import Explanation, explain
from orchestrator_nb.projections.lines import Lines
from orchestrator_nb.projections.words import duration
from orchestrator_nb.runtime.plans import load_plan_blob
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.inbox import Verb

#: Seconds that playing a whole run takes, and between two of its steps.
PLAYING = 12.0
STEP = 0.2


class Replay(Subject):
    """A session as it stood after any of its records."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.directory, self.settings = session.directory, session.settings
        self.records = list(session.records())
        #: The first position at which there is a plan.
        self.first = next((n for n, r in enumerate(self.records, 1) if isinstance(r.event, e.PlanAccepted)), 1)
        #: How many records are taken in.
        self.position = 0
        self._plans: dict[str, Plan] = {}
        self._state = State()
        self._lock = threading.RLock()
        self.seek(len(self.records))

    def seek(self, position: int) -> list[Record] | None:
        """Stand after the first `position` records. Returns those taken in since; None if it went back."""
        with self._lock:
            back = position < self.position
            if back:
                self._state, self.position = State(), 0
            taken = self.records[self.position : position]
            for record in taken:
                self._state.apply(record, self._plan_of(record.event))
            self.position += len(taken)
            return None if back else taken

    def _plan_of(self, event: e.AnyEvent) -> Plan | None:
        if not isinstance(event, e.PlanAccepted):
            return None
        if event.plan.sha256 not in self._plans:
            self._plans[event.plan.sha256] = load_plan_blob(self.directory.blobs.get(event.plan))
        return self._plans[event.plan.sha256]

    @property
    def here(self) -> bool:
        """Never: nothing runs."""
        return False

    @property
    def live(self) -> bool:
        """Never."""
        return False

    @property
    def status(self) -> str:
        """Of the run at that time."""
        return self._state.status

    def now(self) -> float:
        """The time of the last record taken in."""
        return self._state.at

    @contextmanager
    def reading(self) -> Iterator[State]:
        """The state at that time."""
        with self._lock:
            yield self._state

    def explain(self, task_id: str) -> Explanation:
        """Why the task had not started, or what had become of it."""
        with self._lock:
            return explain(self._state, task_id, self.session.admission())

    def tell(self, verb: Verb, **fields: Any) -> str:
        """Nothing can be steered in the past. Raises `CommandRefused`."""
        raise CommandRefused(f"this is a replay: there is nothing to {verb}")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Nothing new ever happens."""
        return lambda: None


class LiveSlider(Live, ipywidgets.IntSlider):
    """A slider that answers while a cell is busy."""


class LiveToggle(Live, ipywidgets.ToggleButton):
    """A toggle that answers while a cell is busy."""


class ReplayPanel(ipywidgets.VBox):
    """The slider, what happened at that moment, and the parts of the view as they stood then."""

    def __init__(self, session: Session) -> None:
        self.replay = Replay(session)
        self.view = View(self.replay)
        self.sent_at = 0.0
        first, last = self.replay.first, max(self.replay.first, len(self.replay.records))
        wide = ipywidgets.Layout(width="auto", flex="1 1 auto")
        self.slider = LiveSlider(last, first, last, description="Record", layout=wide)
        self.play = LiveToggle(description="Play", tooltip="Play the run from here, the whole of it in 12 seconds")
        self.moment = ipywidgets.Label(self._moment())
        self.slider.observe(lambda _: updates.due(self), "value")
        self.play.observe(self._toggled, "value")
        self._played_from = (0.0, 0.0)
        row = ipywidgets.HBox([self.play, self.slider])
        super().__init__([row, self.moment, self.view.progress, self.view.graph, self.view.plan])

    def flush(self) -> None:
        """Go where the slider is, or one step on. For the updates' thread."""
        if self.play.value:
            self.slider.value = max(self.slider.value, self._played_to())
            if self.slider.value < self.slider.max:
                updates.due(self, after=STEP)
            else:
                self.play.value = False
        taken = self.replay.seek(self.slider.value)
        if taken is None:
            self.view.changed(Changes(tasks=set(range(len(self.replay._state.by_index))), run=True))
        else:
            self.view.take(taken)
        self.moment.value = self._moment()

    def _toggled(self, change: Any) -> None:
        if change["new"]:
            if self.slider.value >= self.slider.max:
                self.slider.value = self.slider.min
            self._played_from = time.monotonic(), self.replay.records[self.slider.value - 1].at
        updates.due(self)

    def _played_to(self) -> int:
        """The last record that has happened by now, at the speed of playing."""
        records = self.replay.records
        began, at = self._played_from
        speed = (records[-1].at - records[0].at) / PLAYING
        return bisect_right(records, at + (time.monotonic() - began) * speed, key=lambda record: record.at)

    def _moment(self) -> str:
        with self.replay.reading() as state:
            record = self.replay.records[self.replay.position - 1]
            told = " ".join(Lines().of(record, state)) or type(record.event).__name__
            return f"{duration(max(0.0, record.at - self.replay.records[0].at))}: {told}"
