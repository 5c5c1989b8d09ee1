"""`View`: a run as a notebook shows it, and its parts: each stands alone in any cell, several times, all in step.

There is one view a session and kernel. Its parts are made when they are first asked for, told of changes by the
published records (never polled), and closed once the run is over and no page shows them any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import ipywidgets

from orchestrator_nb.core import events as e
from orchestrator_nb.core.events import Record
from orchestrator_nb.core.tasks import SETTLED, TaskStatus
from orchestrator_nb.jupyter.cells import Output, print_text
from orchestrator_nb.jupyter.controls import Controls
from orchestrator_nb.jupyter.endings import Maker, ended
from orchestrator_nb.jupyter.environment import Environment, environment
from orchestrator_nb.jupyter.graph import GraphPane
from orchestrator_nb.jupyter.log import LogPane
from orchestrator_nb.jupyter.outputs import OutputPane
from orchestrator_nb.jupyter.part import Bundle, Changes, Pane, Part, Still, close_all, roll
from orchestrator_nb.jupyter.progress import ProgressPanel
from orchestrator_nb.jupyter.settled import settled_graph, settled_outputs
from orchestrator_nb.jupyter.subject import RunSubject, SessionSubject, Subject
from orchestrator_nb.jupyter.table import PlanTable
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.system.memory import give_back

_PARTS: dict[str, type[Part]] = {}
#: Events after which tasks that wait for this one may stand differently.
#: Statuses between which a vendor's quota decides.
_OF_QUOTAS = (TaskStatus.PENDING, TaskStatus.AWAITING_QUOTA)
_ENDINGS = (e.TaskCompleted, e.TaskFailureSettled, e.TaskBlocked, e.TaskSkipped, e.TaskCancelled, e.CheckpointRejected)
#: Statuses of a session that goes on, or can.
_UNFINISHED = ("created", "running", "paused", "stopping", "halting", "interrupted", "stopped", "halted", "error")

_views: WeakValueDictionary[Path, View] = WeakValueDictionary()
_views_lock = threading.Lock()


def view_of(shown: Run | Session) -> View:
    """The view of a run or session: one for each session, and of its run where that is in this process."""
    run = Run.of_session(shown.path)
    with _views_lock:
        view = _views.get(shown.path)
        if view is None:
            view = _views[shown.path] = View(_subject_of(shown, run))
        elif run is not None and not (isinstance(view.subject, RunSubject) and view.subject.run is run):
            view.attach(RunSubject(run))
        elif run is None and isinstance(view.subject, RunSubject):  # it is over here, and may go on elsewhere
            view.attach(_subject_of(shown, None))
        return view


def _subject_of(shown: Run | Session, run: Run | None) -> Subject:
    if run is not None:
        return RunSubject(run)
    return SessionSubject(shown if isinstance(shown, Session) else Session(shown.directory, shown.settings))


class View:
    """A run, seen and steered from a cell. Display it, or one of its parts: `run.view.graph`."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        #: The task that is looked at in all parts, by its id; empty for none.
        self.selected = ""
        self._parts: dict[str, Part] = {}
        self._whole: ipywidgets.VBox | None = None
        self._outputs: list[Output] = []
        self._lock = threading.RLock()
        self._unsubscribe: Callable[[], None] | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"<View of {self.subject.id} {self.subject.status}>"

    # -- parts ---------------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> PlanTable:
        """S1's table of the tasks with their live status."""
        return cast("PlanTable", self.part("plan"))

    @property
    def graph(self) -> GraphPane:
        """The graph with live status."""
        return cast("GraphPane", self.part("graph"))

    @property
    def outputs(self) -> OutputPane:
        """What the tasks write, one at a time: the selected one."""
        return cast("OutputPane", self.part("outputs"))

    @property
    def log(self) -> LogPane:
        """The run told in lines."""
        return cast("LogPane", self.part("log"))

    @property
    def controls(self) -> Controls:
        """Buttons for the run and the selected task, and the questions that wait for a person."""
        return cast("Controls", self.part("controls"))

    @property
    def progress(self) -> ProgressPanel:
        """How far the run is, and each of its phases."""
        return cast("ProgressPanel", self.part("progress"))

    def part(self, name: str, *, live: bool = False) -> Part:
        """The part of this name, made if it is not open; `live` for a click in a notebook, which is no cell."""
        if not live and environment() is Environment.HEADLESS:
            return cast("Part", Still(self, name))
        with self._lock:
            if name not in self._parts:
                self._follow()
                part = self._parts[name] = _PARTS[name](self)
                if isinstance(part, Pane):
                    roll.panes.add(part)
            return self._parts[name]

    def now(self) -> float:
        """Seconds since the epoch, by the kernel's clock; in a replay, of what is shown."""
        return self.subject.now()

    def select(self, task_id: str) -> None:
        """Look at this task in all parts."""
        with self.subject.reading() as state:
            if task_id and task_id not in state.tasks:
                return
        self.selected = task_id
        self.changed(Changes(run=True))

    @property
    def carried(self) -> bool:
        """Whether a page shows a pane that carries what others tell."""
        return any(part.carries for part in list(self._parts.values()) if isinstance(part, Pane))

    def replay(self) -> Any:
        """The run so far as a slider moves through its log (`jupyter.replay.ReplayPanel`), by itself.

        Where nobody can move a slider, the run is shown as it stands, and None returned.
        """
        from orchestrator_nb.jupyter.replay import ReplayPanel

        if environment() is not Environment.NOTEBOOK:
            self.show()
            return None
        return ReplayPanel(Session(self.subject.directory, self.subject.settings))

    # -- changes -------------------------------------------------------------------------------------------------------

    def attach(self, subject: Subject) -> None:
        """Show `subject` from now on: the same session, being run by this process."""
        with self._lock:
            if self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None
            self.subject, self._over = subject, False
            if self._parts:
                self._follow()
        self.changed(Changes(everything=True, run=True))

    def _follow(self) -> None:
        if self._unsubscribe is None:
            updates.start()
            self._over = not self.subject.live
            self._unsubscribe = self.subject.subscribe(self.take)

    def take(self, records: list[Record]) -> None:
        """New records, or none when the run's status may have changed."""
        changes = Changes(run=True, records=records)
        with self.subject.reading() as state:
            for record in records:
                event = record.event
                task = state.tasks.get(getattr(event, "task", "") or _task_of_checkpoint(state, event))
                if isinstance(event, e.PlanAccepted | e.TaskReset):
                    changes.everything = True
                elif isinstance(event, e.QuotaReached | e.QuotaRestored):  # others wait for it, too
                    changes.tasks.update(task.index for task in state.by_index if task.status in _OF_QUOTAS)
                elif task is not None:
                    changes.tasks.add(task.index)
                    if isinstance(event, _ENDINGS) or task.status in SETTLED:
                        changes.tasks.update(state.graph.children[task.index])
        self.changed(changes)
        if not self.subject.live and not self._over:
            self._over = True
            updates.call(self._settle)

    def changed(self, changes: Changes) -> None:
        """Let all parts tell their pages."""
        with self._lock:
            parts = list(self._parts.values())
        updates.due(*[part for part in parts if part.takes(changes)])

    # -- display -------------------------------------------------------------------------------------------------------

    def show(self, name: str = "") -> None:
        """Show all, or the part of this name, as where the code runs allows: live, static, or as text."""
        match environment():
            case Environment.NOTEBOOK:
                self._show_live(name)
            case Environment.HEADLESS:
                for bundle in self.settled(name):
                    Output().show(bundle)
            case _:
                print_text(self.settled(name)[0]["text/plain"])

    def show_or_settle(self) -> None:
        """Show all: live while there is something to steer, and as what stays once the run has finished."""
        if environment() is Environment.NOTEBOOK and self.subject.status not in _UNFINISHED:
            for bundle in self.settled():
                Output().show(bundle)
        else:
            self.show()

    def settled(self, name: str = "") -> list[Bundle]:
        """What a saved notebook keeps of all, or of one part: static outputs, the first one with text."""
        if name == "graph":
            return settled_graph(self.subject) or [{"text/plain": "There is no graph yet."}]
        return [_PARTS[name].settled(self)] if name else settled_outputs(self.subject)

    def _ipython_display_(self) -> None:
        self.show()

    def _show_live(self, name: str) -> None:
        with self._lock:
            widget: Any = self.part(name) if name else self._all()
            output = Output(name, widget.model_id)
            self._outputs = [*self._outputs[-20:], output]
        texts = self._summary()
        output.show({"application/vnd.jupyter.widget-view+json": _reference(widget), **texts})
        roll.call()

    def _all(self) -> ipywidgets.VBox:
        if self._whole is None:
            names = ("Outputs", "Log")
            tabs = ipywidgets.Tab([self.outputs, self.log], titles=names)
            self._whole = ipywidgets.VBox([self.progress, self.controls, self.graph, self.plan, tabs])
        return self._whole

    def _summary(self) -> Bundle:
        """What a reader without kernel sees of a run that was still going on when the notebook was saved."""
        return ProgressPanel.settled(self)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """The run is over: put what stays in the place of what was live. In the updates' thread."""
        with self._lock:
            outputs, self._outputs = self._outputs, []
        made: dict[str, list[Bundle]] = {}
        for output in outputs:
            if output.name not in made:
                made[output.name] = self.settled(output.name)
            first, *more = made[output.name]
            output.replace(first)
            for bundle in more:
                output.add(bundle)
        ended(_makers(self.subject, outputs))
        shown = {output.name for output in outputs}
        if "" in shown or shown.issuperset(self._parts):  # else somebody put a part into a widget of their own
            for part in list(self._parts.values()):
                part.awaited = False
            self.left()
        roll.call()

    def left(self) -> None:
        """A page shows a part no more. Once the run is over and no page shows any, all is closed."""
        with self._lock:
            if not self._over or any(part.visible for part in self._parts.values() if part.counted):
                return
            parts, self._parts = list(self._parts.values()), {}
            whole, self._whole = self._whole, None
            outputs, self._outputs = self._outputs, []
            if self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None
        ended(_makers(self.subject, outputs))
        updates.call(lambda: _close(parts, whole))


def _close(parts: list[Part], whole: Any) -> None:
    for part in parts:
        part.shut()
    if whole is not None:
        close_all(whole)
    give_back()


def _makers(subject: Subject, outputs: list[Output]) -> dict[str, Maker]:
    """Make what takes the place of the widgets in `outputs`, without holding on to the run and its view."""
    directory, settings = subject.directory, subject.settings

    def maker(name: str) -> Maker:
        return lambda: View(SessionSubject(Session(directory, settings))).settled(name)

    return {output.widget: maker(output.name) for output in outputs}


def _reference(widget: Any) -> dict[str, Any]:
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}


def _task_of_checkpoint(state: Any, event: Any) -> str:
    checkpoint = state.checkpoints.get(getattr(event, "checkpoint", ""))
    return checkpoint.task if checkpoint is not None else ""


_PARTS.update(
    plan=PlanTable, graph=GraphPane, outputs=OutputPane, log=LogPane, controls=Controls, progress=ProgressPanel
)
