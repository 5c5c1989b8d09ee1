"""A proposed plan in a notebook: a table that can be edited, and the graph that follows what is written in it.

It stands where other questions have the form of their answer, between the text that is approved and the two buttons.
What is edited is checked as it is typed; approved as it is, the answer is empty.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
from ipywidgets.widgets.widget_string import TextStyle

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.core.state import CheckpointState
from orchestrator_nb.errors import CommandRefused, PlanError
from orchestrator_nb.jupyter.graph import GraphPane, plan_graph
from orchestrator_nb.jupyter.part import Changes
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.widgets import (
    MUTED,
    Button,
    Choice,
    Column,
    Html,
    Line,
    Lines,
    Looks,
    Row,
    in_background,
    message,
    put,
)
from orchestrator_nb.planning.breakdown import TaskBreakdown
from orchestrator_nb.planning.changing import as_data
from orchestrator_nb.planning.goal import load_goal
from orchestrator_nb.planning.proposal import edited_plan
from orchestrator_nb.projections.rendering import text_html
from orchestrator_nb.projections.words import count
from orchestrator_nb.runtime.checkpoints import is_plan_approval
from orchestrator_nb.runtime.course import proposal
from orchestrator_nb.runtime.estimates import Estimate, estimates, in_words

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.subject import Subject

#: Tasks that are shown as rows; a larger plan is edited as text.
MAX_ROWS = 40


def proposal_form(subject: Subject, asked: CheckpointState, looks: Looks) -> ProposalForm | None:
    """The form for the approval of a plan; None for any other question, and for a plan too large for a table."""
    if not is_plan_approval(asked):
        return None
    with subject.reading() as state:
        goal, breakdown = state.goal, proposal(state, subject.directory.blobs)
    if goal is None or breakdown is None or len(breakdown.plan) > MAX_ROWS:
        return None
    kinds = load_goal(subject.directory.blobs.get(goal.goal)).rights.kinds
    form = ProposalForm(breakdown, kinds, looks)

    def estimate() -> None:
        about = estimates(breakdown.plan, subject.settings)
        updates.call(lambda: form.tell(about))

    in_background(estimate)
    return form


class ProposalForm(Column):
    """The tasks of a proposed plan, one row each, above their graph."""

    def __init__(self, breakdown: TaskBreakdown, kinds: Sequence[str], looks: Looks) -> None:
        self._plan = breakdown.plan
        self._kinds = tuple(dict.fromkeys([*kinds, *(task.kind for task in breakdown.plan.tasks)]))
        self._looks = looks
        self._field = {
            "layout": ipywidgets.Layout(width="160px", min_height="28px"),
            "style": TextStyle(description_width="initial"),
        }
        self._wide = {"layout": ipywidgets.Layout(width="auto", max_width="760px"), "style": self._field["style"]}
        self.rows = [self._row(task) for task in breakdown.plan.tasks]
        self.table = Column(children=self.rows, **looks.column)
        self.add = Button(description="Add a task", icon="plus", **looks.button)
        self.add.on_click(lambda _: updates.call(self._add))
        self.estimate = Html(**looks.text)
        self.note = Html(**looks.text)
        self.graph: GraphPane = plan_graph(breakdown.plan)
        super().__init__(children=[self.table, self.add, self.estimate, self.note, self.graph], **looks.column)
        self.judge()

    def answer(self) -> dict[str, str]:
        """Nothing if the plan is as it was, else what it is now. Raises `CommandRefused` if that is no plan."""
        text = self._edited()
        if text is None:
            return {}
        try:
            edited_plan({"plan": text}, Registry())
        except PlanError as error:
            raise CommandRefused(str(error)) from None
        return {"plan": text}

    def judge(self) -> None:
        """Say what is wrong with what is written, and draw what is right. In the updates' thread."""
        text = self._edited()
        if text is None:
            self._draw(self._plan)
            put(self.note, value=self._said("As proposed"))
            return
        try:
            plan = edited_plan({"plan": text}, Registry())
        except PlanError as error:
            put(self.note, value=message(str(error), refused=True))
            return
        if plan is not None:
            self._draw(plan)
            put(self.note, value=self._said(f"Edited: {count(len(plan), 'task')}"))

    def tell(self, about: Mapping[str, Estimate]) -> None:
        """Say what the tasks, and all of it, may take. In the updates' thread."""
        if self.comm is None:
            return
        for row in self.rows:
            if row.name.value in about:
                put(row.took, value=self._said(f"took {about[row.name.value]}"))
        if about:
            put(self.estimate, value=self._said(f"Estimate, from past runs: {in_words(self._plan, about)}"))

    def close(self) -> None:
        """Forget the graph, too."""
        updates.forget(self.graph)
        super().close()

    def _said(self, words: str) -> str:
        return f"<span role='status' style='{MUTED}'>{html.escape(words)}</span>"

    def _draw(self, plan: Plan) -> None:
        state = self.graph.view.subject.state  # type: ignore[attr-defined]
        if state.plan is not plan:
            state.plan = plan
            self.graph.note(Changes(everything=True))

    def _edited(self) -> str | None:
        """The plan as it is written, as JSON; None if nothing was changed."""
        raw = as_data(self._plan)
        tasks = [row.task() for row in self.rows if row.kept]
        if tasks == raw["tasks"]:
            return None
        return json.dumps({**raw, "tasks": tasks}, ensure_ascii=False)

    def _row(self, task: Task | None) -> TaskRow:
        return TaskRow(task, self._kinds, lambda: updates.call(self.judge), self._looks, self._field, self._wide)

    def _add(self) -> None:
        self.rows.append(self._row(None))
        self.table.children = tuple(self.rows)
        self.judge()


class TaskRow(Column):
    """One task: its id, title, agent, what it comes after, its prompt."""

    def __init__(
        self,
        task: Task | None,
        kinds: Sequence[str],
        changed: Callable[[], None],
        looks: Looks,
        field: dict[str, Any],
        wide: dict[str, Any],
    ) -> None:
        self._raw: dict[str, Any] = as_data(Plan(tasks=(task,)))["tasks"][0] if task is not None else {}
        self.kept = True
        self.name = Line(
            value=task.id if task is not None else "", placeholder="id", disabled=task is not None, **field
        )
        self.title = Line(value=task.title if task is not None else "", placeholder="title", **field)
        kind = task.kind if task is not None else kinds[0]
        self.agent = Choice(options=list(kinds), value=kind, layout=field["layout"])
        self.after = Line(value=_after(self._raw), placeholder="after: ids", **field)
        self.prompt = Lines(value=self._raw.get("prompt", ""), placeholder="prompt", rows=3, **wide)
        self.drop = Button(icon="trash", tooltip="Leave this task out, or take it back in", **looks.button)
        self.drop.on_click(lambda _: updates.call(lambda: self._toggle(changed)))
        for widget in (self.name, self.title, self.agent, self.after, self.prompt):
            widget.observe(lambda _: changed(), "value")
        self.took = Html(**looks.text)
        told = [] if self._raw.get("prompt") is not None or task is None else [_work(task, looks)]
        line = Row(children=[self.name, self.title, self.agent, self.after, self.drop, self.took], **looks.row)
        self._body = (self.prompt,) if not told else tuple(told)
        super().__init__(children=(line, *self._body), **looks.column)

    def task(self) -> dict[str, Any]:
        """The task as it is written: only what was changed differs from what was proposed."""
        raw = dict(self._raw)
        if not raw:
            raw["id"] = self.name.value.strip()
        for key, widget in (("title", self.title), ("prompt", self.prompt)):
            if widget.value != raw.get(key, ""):
                raw[key] = widget.value
        if self.agent.value != (raw.get("agent") or _kind(raw)):
            raw["agent"] = self.agent.value
        if self.after.value.strip() != _after(raw):
            known = {_name(each): each for each in raw.get("dependencies", ())}
            names = [name.strip() for name in self.after.value.split(",") if name.strip()]
            raw["dependencies"] = [known.get(name, name) for name in names]
        return raw

    def _toggle(self, changed: Callable[[], None]) -> None:
        self.kept = not self.kept
        for widget in (self.title, self.agent, self.after, self.prompt):
            put(widget, disabled=not self.kept)
        put(self.drop, icon="trash" if self.kept else "undo")
        changed()


def _name(dependency: Any) -> str:
    return str(dependency["task"] if isinstance(dependency, dict) else dependency)


def _after(raw: dict[str, Any]) -> str:
    return ", ".join(_name(each) for each in raw.get("dependencies", ()))


def _kind(raw: dict[str, Any]) -> str:
    return Task.model_validate(raw).kind if raw.get("id") else ""


def _work(task: Task, looks: Looks) -> Html:
    """What a task does that has no prompt: to be read only."""
    work = task.command or task.function or task.notebook or task.parameters
    shown = work if isinstance(work, str) else json.dumps(work, ensure_ascii=False)
    return Html(value=f"<code>{text_html(shown, 400)}</code>", **looks.text)
