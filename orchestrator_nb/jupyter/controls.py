"""`run.view.controls`: buttons for the run and the selected task, and the questions that wait for a person.

A click never waits. It shows at once that it was heard, and is carried out in a thread of its own; what was done, or
why it was refused, is said in the line below the buttons.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets

from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.jupyter.checkpoints import Questions, titled_questions
from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.jupyter.part import Bundle, Changes, Part, close_all
from orchestrator_nb.jupyter.subject import RunSubject, SessionSubject, Subject
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.widgets import (
    MUTED,
    Button,
    Column,
    Html,
    Looks,
    Row,
    badge,
    in_background,
    message,
    put,
)  # fmt: skip
from orchestrator_nb.projections.rendering import plain_html, text_html
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.words import count
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.inbox import Verb
from orchestrator_nb.storage.lock import holder

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """A button: its words before and while it is carried out, and what it will do."""

    label: str
    heard: str
    icon: str
    does: str
    style: str = ""


LOOKS: dict[Verb, Look] = {
    "pause": Look("Pause", "Pausing…", "pause", "Start no more tasks for now; running ones go on."),
    "resume": Look("Resume", "Resuming…", "play", "Go on. What is finished is not run again."),
    "stop": Look("Stop", "Stopping…", "stop", "Start no more tasks; the run ends when the running ones have ended. "
                 "It can be resumed."),
    "halt": Look("Halt", "Halting…", "bolt", "Emergency: end the run and its running tasks at once (TERM, then KILL). "
                 "It can be resumed.", "danger"),
    "retry": Look("Retry", "Retrying…", "repeat", "Run {task} again; what it blocked waits anew."),
    "cancel": Look("Cancel", "Cancelling…", "times", "End {task} for good; what depends on it is blocked.", "warning"),
}  # fmt: skip
#: How the buttons look that do what was asked about.
_STYLES = {"halt": "danger", "cancel": "danger", "resume": "warning"}
#: Statuses of a run in which a verb makes sense (DESIGN 4 "Verbs").
_MAKES_SENSE = {
    "pause": ("running",),
    "resume": ("paused", "interrupted", "stopped", "halted", "failed", "error"),
    "stop": ("running", "paused"),
    "halt": ("running", "paused", "stopping", "interrupted"),
}
#: Those of a run that somebody runs.
_LIVE = ("running", "paused", "stopping", "halting")
_OF_TASKS: tuple[Verb, ...] = ("retry", "cancel")


def objection(verb: Verb, status: str, task: TaskState | None = None) -> str:
    """Why `verb` makes no sense in a run of this `status`, for this task; empty if it does.

    It follows what the run and the session refuse (`runtime.runner`, `runtime.session`), and what would change nothing.
    """
    if verb not in _OF_TASKS:
        return "" if status in _MAKES_SENSE[verb] else _NOT_NOW.get((verb, status), f"The run is {_named(status)}.")
    if task is None:
        return "Select a task first, in the graph or in the table."
    name = one_line(task.id)
    if verb == "cancel":
        if status not in _LIVE:
            return f"The run is {_named(status)}: there is nothing to cancel."
        return f"{name} is {_of(task)} already." if task.status.settled else ""
    if task.status is TaskStatus.COMPLETED:
        return f"{name} is completed: run.rerun() runs it again, with what depends on it, in a new session."
    if task.status is TaskStatus.BLOCKED:
        return f"{name} is blocked by {one_line(task.blocked_by)}: retry that one, and this one follows."
    if task.status is TaskStatus.AWAITING_QUOTA:
        return ""
    return "" if task.status.settled else f"{name} is {_of(task)}: only a task that has ended can be tried again."


_NOT_NOW = {
    ("resume", "running"): "The run goes on already.",
    ("resume", "completed"): "The run is completed: nothing is left to do.",
    ("resume", "stopping"): "The run is stopping: it can be resumed when it has ended.",
    ("resume", "halting"): "The run is halting: it can be resumed when it has ended.",
}


def _named(status: str) -> str:
    return {"created": "just starting", "error": "broken off"}.get(status, status)


def _of(task: TaskState) -> str:
    return STATUSES[task.status].name.lower()


class Controls(Part, Live, ipywidgets.VBox):
    """Buttons, what came of them, and the open questions."""

    name = "controls"

    def __init__(self, view: View) -> None:
        self.looks = Looks()
        #: Verbs that were clicked and are not answered yet.
        self._heard: set[Verb] = set()
        #: The task that the buttons are for, as they are drawn.
        self._task = ""
        self._drawn: object = None
        #: Those that a run of this process had, for its next one.
        self._functions: Mapping[str, Callable[..., Any]] = {}
        self.confirmation: _Confirmation | None = None
        self.buttons = {verb: Button(icon=look.icon, **self.looks.button) for verb, look in LOOKS.items()}
        for verb, button in self.buttons.items():
            button.on_click(lambda _, verb=verb: self._clicked(verb))
        self._of_task = Html(**self.looks.text)
        self.asking = Column(**self.looks.column)
        self.told = Html(**self.looks.text)
        self.questions = Questions(self, **self.looks.column)
        of_run = [button for verb, button in self.buttons.items() if verb not in _OF_TASKS]
        row = Row(children=[*of_run, self._of_task, *(self.buttons[verb] for verb in _OF_TASKS)], **self.looks.row)
        super().__init__(view, children=[row, self.asking, self.told, self.questions], **self.looks.column)
        self._draw()

    def refresh(self, changes: Changes) -> None:
        """Draw what is different."""
        self._draw()

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """How it stands, and how to go on without a kernel that knows of it."""
        subject = view.subject
        status, goes_on = _status(subject), f"orchestrate resume {subject.id}"
        plain = f"The run {subject.id} is {_named(status)}."
        if status in _MAKES_SENSE["resume"]:
            plain += (
                f" To go on with it: '{goes_on}' in a terminal, or the buttons of Session.open(\"{subject.id}\").view."
            )
        with subject.reading() as state:
            asked = [f"{asked.task}: {one_line(asked.question)}" for asked in state.open_checkpoints]
        plain = "\n".join([plain, *(f"A question waits for an answer: {each}" for each in asked)])
        lines = "".join(f"<p>{text_html(line, 400)}</p>" for line in plain.splitlines())
        return {"text/plain": plain, "text/html": f"<div>{lines}</div>"}

    # -- drawing, in the updates' thread -------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self.comm is None:
            return  # it was closed meanwhile
        subject, asked = self.view.subject, self.confirmation
        status = _status(subject)
        with subject.reading() as state:  # not for long: the run waits for it
            task = state.tasks.get(self.view.selected)
            asked_of = state.tasks.get(asked.task) if asked is not None else None
            running = state.running if status in _LIVE else 0
            open_ones, known = list(titled_questions(state)), dict(state.checkpoints)
        facts = (status, task and (task.id, task.status, task.blocked_by), frozenset(self._heard), id(subject))
        if facts != self._drawn:
            self._drawn, self._task = facts, task.id if task is not None else ""
            self._draw_buttons(status, task)
            runner = holder(subject.directory.lock_path) if status in _LIVE and not subject.here else None
            put(self._of_task, value=_of_task_html(task, str(runner or "")))
        if asked is not None and objection(asked.verb, status, asked_of):
            self.take_back(asked)  # it makes no sense any more
        elif asked is not None:
            asked.draw(running)
        if answered := self.questions.draw(open_ones, known):
            self.say(" ".join(answered))

    def _draw_buttons(self, status: str, task: TaskState | None) -> None:
        name = one_line(task.id) if task is not None else "the selected task"
        for verb, look in LOOKS.items():
            why_not = objection(verb, status, task)
            heard = verb in self._heard or (verb, status) in (("stop", "stopping"), ("halt", "halting"))
            put(
                self.buttons[verb],
                description=look.heard if heard else look.label,
                disabled=bool(why_not) or heard,
                tooltip=why_not or look.does.format(task=name),
                button_style="" if why_not else look.style,
            )

    def take_back(self, confirmation: _Confirmation) -> None:
        """Ask this no more."""
        if self.confirmation is confirmation:
            self._ask(None)

    def _ask(self, confirmation: _Confirmation | None) -> None:
        old, self.confirmation = self.confirmation, confirmation
        self.asking.children = (confirmation,) if confirmation is not None else ()
        if old is not None:
            close_all(old)

    def say(self, text: str, *, refused: bool = False) -> None:
        """Tell what came of a click."""
        put(self.told, value=message(text, refused=refused))

    # -- clicks, in any thread -----------------------------------------------------------------------------------------

    def _clicked(self, verb: Verb) -> None:
        task = self._task
        if verb in ("halt", "cancel") or (verb == "retry" and task in self._kept()):
            updates.call(lambda: self._confirm(verb, task))
        else:
            self.obey(verb, task)

    def _kept(self) -> Collection[str]:
        """The tasks whose notebooks can go on from a failed cell."""
        subject = self.view.subject
        return subject.run.kept_kernels if isinstance(subject, RunSubject) else ()

    def _confirm(self, verb: Verb, task: str) -> None:
        does: dict[str, Callable[[], None]]
        if verb == "halt":
            question, no = "", "Keep running"
            does = {"Halt now": lambda: self.obey(verb, task)}
        elif verb == "cancel":
            question, no = f"End {text_html(task)} for good now? What depends on it is blocked.", "Keep it"
            does = {"Cancel the task": lambda: self.obey(verb, task)}
        else:
            question = (
                f"The kernel of {text_html(task)} is kept: once the cell that failed is mended, the notebook can go on "
                "in it. To run it whole ends that kernel."
            )
            no = "Not now"
            does = {
                "From the failed cell": lambda: self.obey(verb, task, from_failed_cell=True),
                "Run it whole": lambda: self.obey(verb, task),
            }
        self._ask(_Confirmation(self, verb, task, question, does, no))
        self._draw()

    def obey(self, verb: Verb, task: str, *, difference: str = "", from_failed_cell: bool = False) -> None:
        """A click that needs no further question, or whose question was answered with yes."""
        if verb in self._heard:
            return
        self._heard.add(verb)
        updates.call(self._draw)
        fields: dict[str, Any] = {"task": task} if verb in _OF_TASKS else {}
        if from_failed_cell:
            fields["from_failed_cell"] = True

        def work() -> str:
            if verb == "resume" and _status(self.view.subject) != "paused":
                return self._go_on(difference)
            said = self.tell(verb, **fields)
            return f"{said}. {self._left()}" if verb == "stop" else said

        def ended(accepted: bool, said: str) -> None:
            self.say(said[:1].upper() + said[1:], refused=not accepted)
            self._heard.discard(verb)
            updates.due(self, after=0.1)  # by then the state says so too

        self.carry_out(work, ended)

    def carry_out(self, work: Callable[[], str], ended: Callable[[bool, str], None]) -> None:
        """Do `work` in the background; in the updates' thread tell `ended` whether it was done, and what it said."""

        def errand() -> None:
            try:
                accepted, said = True, work()
            except OrchestratorError as error:
                accepted, said = False, str(error)
            except Exception as error:
                logger.exception("a click could not be carried out")
                accepted, said = False, f"{type(error).__name__}: {error}"
            updates.call(lambda: ended(accepted, said))

        in_background(errand)

    # -- what clicks do, in the background -----------------------------------------------------------------------------

    def tell(self, verb: Verb, **fields: Any) -> str:
        """Carry out a verb; returns what was done. Raises `OrchestratorError` with the reason if it is refused."""
        subject = self.view.subject
        if isinstance(subject, RunSubject) and not subject.live:  # what is recorded now, only its log will show
            self._functions = subject.run.functions()
            self.view.attach(SessionSubject(Session.open(subject.path, subject.settings)))
        return self.view.subject.tell(verb, **fields)

    def _left(self) -> str:
        with self.view.subject.reading() as state:
            running = state.running
        return f"{count(running, 'running task')} will end first." if running else "No task is running."

    def _go_on(self, accepted: str = "") -> str:
        """Go on with a session that nobody runs; `accepted` is the difference of the plans that was agreed to."""
        subject = self.view.subject
        orchestrator = Orchestrator(subject.settings)
        session = Session.open(subject.path, subject.settings)
        changed = orchestrator.changed_plan(session)
        difference = str(differences(session.plan, changed.require())) if changed is not None else ""
        if difference and difference != accepted:
            updates.call(lambda: self._show_difference(difference))
            raise CommandRefused("The plan has changed since the session was started: see what is different below.")
        functions = subject.run.functions() if isinstance(subject, RunSubject) else self._functions
        run = orchestrator.resume(subject.path, accept_changes=bool(difference), functions=functions)
        self.view.attach(RunSubject(run))
        return "The run goes on."

    def _show_difference(self, difference: str) -> None:
        shown = f"<div style='max-height: 240px; overflow: auto'>{plain_html(difference)}</div>"
        question = f"Changed tasks, and what depends on them, run again:{shown}"
        does = {"Resume with the new plan": lambda: self.obey("resume", "", difference=difference)}
        self._ask(_Confirmation(self, "resume", "", question, does, "Not now"))


class _Confirmation(Column):
    """What a click would destroy or change, with a button for each way to do it and one to leave it."""

    def __init__(
        self,
        controls: Controls,
        verb: Verb,
        task: str,
        question: str,
        does: Mapping[str, Callable[[], None]],
        no: str,
    ) -> None:
        self.verb, self.task, self._fixed = verb, task, question
        looks = Looks()
        self.question = Html(value=question, **looks.text)
        self.yes = [Button(description=name, button_style=_STYLES.get(verb, ""), **looks.button) for name in does]
        self.no = Button(description=no, **looks.button)
        buttons = Row(children=[*self.yes, self.no], **looks.row)
        super().__init__(children=[self.question, buttons], **looks.column)

        def leave() -> None:
            updates.call(lambda: controls.take_back(self))

        def confirmed(do: Callable[[], None]) -> None:
            leave()
            do()

        for button, do in zip(self.yes, does.values(), strict=True):
            button.on_click(lambda _, do=do: confirmed(do))
        self.no.on_click(lambda _: leave())

    def draw(self, running: int) -> None:
        """Say what it would do now."""
        if not self._fixed:
            tasks = f"End {count(running, 'running task')} now?" if running else "Halt the run? No task is running now."
            put(self.question, value=f"<span role='alert'>{tasks}</span>")


def _status(subject: Subject) -> str:
    """The run's status; `interrupted` for one that died before it had begun."""
    status = subject.status
    return "interrupted" if status == "created" and not subject.live else status


def _of_task_html(task: TaskState | None, runner: str) -> str:
    """Which task the buttons beside are for, and who runs the session, if that is another process."""
    if task is not None:
        said = f"Task <b>{text_html(task.id, 60)}</b> ({badge(task.status)} {_of(task)}):"
    else:
        said = f"<span style='{MUTED}'>No task selected:</span>"
    if runner:
        said = f"<span style='{MUTED}'>Run by {text_html(runner)}, which does what is asked here.</span> {said}"
    return f"<div style='line-height: 1.4; overflow-wrap: anywhere'>{said}</div>"
