"""`run.view.outputs`: what one task writes, live, and what came of it: result, files, notebook, and why."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator_nb.core.agent_attempts import AgentAttempt
from orchestrator_nb.core.events import Artifact, Record
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.jupyter.contents import content
from orchestrator_nb.jupyter.part import Bundle, Changes, Pane
from orchestrator_nb.jupyter.printed import Printed
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.usage import marks, used

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

#: Seconds between two looks at what a running task prints.
_LOOK = 0.2
#: Seconds that a followed task is shown at least, so that who reads sees something.
_STAY = 1.0
#: Files that are listed.
_FILES = 200
#: Tasks that the chooser offers at once.
_OFFERED = 50
#: In this order it offers them.
_FIRST = (
    TaskStatus.RUNNING,
    TaskStatus.AWAITING_REVIEW,
    TaskStatus.AWAITING_APPROVAL,
    TaskStatus.RETRYING,
    TaskStatus.FAILED,
)


class OutputPane(Pane):
    """One task at a time: the one that is looked at, or, as long as nobody chose, one that is running."""

    name = "outputs"

    def __init__(self, view: View) -> None:
        self._looked_at = view.selected
        self._follow = not view.selected
        #: The task that is shown, which attempt of it (0: the last one), and what that has written.
        self._shown = view.selected
        self._attempt = 0
        self._moved_at = float("-inf")
        self._printed: Printed | None = None
        self._head: dict[str, Any] = {}
        with view.subject.reading() as state:
            self.view = view
            self._choose(state, Changes())
        super().__init__(view, kind="text")

    # -- which task ----------------------------------------------------------------------------------------------------

    def _choose(self, state: State, changes: Changes) -> None:
        """Look at what somebody selected; else stay with a task as long as it runs, then go to one that runs."""
        before = self._shown
        if self.view.selected != self._looked_at:
            self._looked_at = self._shown = self.view.selected
            self._follow = self._follow and not self._shown
        stays = self._follow and time.monotonic() < self._moved_at + _STAY
        if (self._follow and not stays) or self._shown not in state.tasks:
            self._shown = _followed(state, self._shown, changes)
        if self._shown != before:
            self._attempt, self._moved_at = 0, time.monotonic()

    def received(self, message: dict[str, Any]) -> None:
        """The page follows, chooses an attempt, looks for a task, or wants to see what came of one."""
        match message:
            case {"type": "follow", "on": bool(on)}:
                self._follow = on
            case {"type": "attempt", "attempt": int(attempt)}:
                self._attempt = attempt
            case {"type": "find", "text": str(text)}:
                self._find(text.strip())
            case {"type": "ask", "what": str(what), "key": str(key)}:
                name = str(message.get("name", ""))
                threading.Thread(target=self._answer, args=(what, key, name), daemon=True).start()
        updates.due(self)

    def _find(self, text: str) -> None:
        with self.view.subject.reading() as state:
            exact = text in state.tasks
            choices = [] if exact else _choices(state, text)
        if exact or len(choices) == 1:
            self.view.select(text if exact else choices[0])
        else:
            updates.call(lambda: self.post("choices", choices=choices))

    def _answer(self, what: str, key: str, name: str) -> None:
        """Make what the page asks for of the task in `key`, in a thread of its own: files are read, texts rendered."""
        with self.view.subject.reading() as state:
            if (task := state.tasks.get(key.partition(" ")[0])) is None or state.plan is None:
                return
            spec, task = state.plan.tasks[task.index], msgspec.structs.replace(task)
        told = content(self.view.subject, spec, task, what, name)
        updates.call(lambda: self.post("content", what=what, key=key, name=name, content=told))

    # -- what the page is told -----------------------------------------------------------------------------------------

    def whole(self, state: State) -> dict[str, Any]:
        """The task, and what it has written as far as that was read; more follows when the page begins to show it."""
        printed = self._printed
        text = {"key": printed.key, "note": printed.note, **printed.recent.since(0)} if printed is not None else None
        return {
            "task": self._described(state),
            "text": text,
            "follow": self._follow,
            "choices": _choices(state, ""),
            "contents": {},
        }

    def refresh(self, changes: Changes) -> None:
        """Send what has changed: the task, its status, what it wrote."""
        if changes.everything:
            self._printed = None
            self.post_whole()
        with self.view.subject.reading() as state:
            self._choose(state, changes)
            task, published, running = self._described(state), state.seq, state.running > 0
        head = {"follow": self._follow, "task": task}
        if head != self._head:
            self._head = head
            self.post("task", **head)
        if task is not None:
            self._read(task, published, changes.records)
            if self.visible and (task["live"] or (self._follow and running)):
                updates.due(self, after=_LOOK if task["live"] else _STAY)

    def _read(self, task: dict[str, Any], published: int, newest: list[Record]) -> None:
        key, over = f"{task['id']}/{task['attempt']}", not task["live"]
        printed = self._printed
        if printed is None or printed.key != key:
            subject = self.view.subject
            directory = subject.path / subject.directory.attempt(task["id"], task["attempt"])
            silent = task["live"] and not (task["done"] or task["total"] or task["message"])
            printed = Printed(
                task["kind"],
                task["id"],
                task["attempt"],
                directory,
                subject.directory.log_path,
                after=published if silent else 0,
            )
            self._printed = printed
        if printed.read(published, over, newest):
            self.post("text", text={"key": key, "note": printed.note, **printed.recent.since(printed.told)})
            printed.told = printed.recent.end

    def _described(self, state: State) -> dict[str, Any] | None:
        task = state.tasks.get(self._shown)
        if task is None or state.plan is None:
            return None
        attempt = min(self._attempt or task.attempt, task.attempt)
        told = described(state.plan.tasks[task.index], task, attempt, str(self.view.subject.path))
        of_agent = [known for known in state.agent_attempts.get(task.id, ()) if known.attempt == attempt]
        return {**told, **_by(of_agent)}

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """The results of all tasks."""
        from orchestrator_nb.jupyter.contents import results

        return results(view.subject)


def described(spec: Task, task: TaskState, attempt: int, path: str) -> dict[str, Any]:
    """What the pane's head says of a task; its `key` changes when what came of it may have."""
    running = task.status is TaskStatus.RUNNING
    return {
        "id": task.id,
        "title": "" if spec.label == task.id else one_line(spec.label),
        "kind": spec.kind,
        "agent": agent_label(task.number),
        "status": task.status.value,
        "attempt": attempt,
        "attempts": task.attempt,
        "live": running and attempt == task.attempt,
        "done": task.done,
        "total": task.total,
        "message": one_line(task.message),
        "started": task.started_at if running else None,
        "duration": task.duration,
        "error": one_line(task.error) if task.error else "",
        "files": [_file(task, output, path) for output in task.outputs[:_FILES]],
        "more_files": max(0, len(task.outputs) - _FILES),
        "key": f"{task.id} {task.attempt} {task.status} {task.done}",
    }


def _by(attempts: list[AgentAttempt]) -> dict[str, str]:
    """How the coding agent of this attempt runs, and what it has used; what people must not overlook is apart."""
    if not attempts or attempts[0].started is None:
        return {"by": "", "marks": ""}
    started, usage = attempts[0].started, used(attempts)
    parts = [started.agent, f"level {started.level}" if started.level else ""]
    parts += [f"contained by {started.sandbox}" if started.sandbox not in ("", "uncontained") else started.why]
    parts += [f"open: {', '.join(started.open)}"] if started.sandbox != "uncontained" and started.open else []
    parts += [f"granted: {started.granted}{f' by {started.by}' if started.by else ''}"] if started.granted else []
    parts += [str(usage)] if usage.counted or attempts[0].over else []
    return {"by": one_line(" · ".join(filter(None, parts)), 600), "marks": marks(attempts)}


def _file(task: TaskState, output: Artifact, path: str) -> dict[str, Any]:
    name = output.path.removeprefix(f"outputs/{task.id}/")
    return {"name": name, "path": f"{path}/{output.path}", "size": output.size}


def _followed(state: State, shown: str, changes: Changes) -> str:
    """The task to look at: `shown` as long as it runs, else one that has just begun, any that runs, the first one."""
    now = state.tasks.get(shown)
    if now is not None and now.status is TaskStatus.RUNNING:
        return shown
    changed = [state.by_index[index] for index in changes.tasks if index < len(state.by_index)]
    running = [task.id for task in (*changed, *state.by_index) if task.status is TaskStatus.RUNNING]
    if running:
        return running[0]
    return shown if now is not None or not state.by_index else state.by_index[0].id


def _choices(state: State, text: str) -> list[str]:
    """Ids that hold `text`, those first of which there is something to see."""
    wanted = text.lower()
    found = [task for task in state.by_index if wanted in task.id.lower()]
    if state.plan is not None and wanted and not found:
        found = [task for task in state.by_index if wanted in state.plan.tasks[task.index].label.lower()]
    found.sort(key=lambda task: _FIRST.index(task.status) if task.status in _FIRST else len(_FIRST))
    return [task.id for task in found[:_OFFERED]]
