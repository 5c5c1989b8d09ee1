"""The questions that wait for a person: one card each, bound to the hash of exactly what it shows (guarantee G9).

A card stays as it is while its question does, so that nothing typed into it is lost. It keeps its place in the panel
until it goes: the page redraws what stands behind a widget that is taken out, and would lose the cursor.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import ipywidgets
from ipywidgets.widgets.widget_string import TextStyle

from orchestrator_nb.core.faults import printable
from orchestrator_nb.core.ports import subject_hash
from orchestrator_nb.core.state import CheckpointState, State
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.jupyter.answers import AnswerForm
from orchestrator_nb.jupyter.part import close_all
from orchestrator_nb.jupyter.proposals import proposal_form
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.widgets import MUTED, Button, Column, Html, Line, Looks, Row, badge, message, put
from orchestrator_nb.projections.rendering import markdown_html, text_html
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.words import timestamp
from orchestrator_nb.storage.inbox import Verb

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.controls import Controls

#: Cards that are shown at once.
_MAX_CARDS = 5


class Questions(Column):
    """The open checkpoints of a session. All methods are for the updates' thread."""

    def __init__(self, controls: Controls, **traits: Any) -> None:
        self._controls = controls
        self.cards: dict[tuple[str, str], Card] = {}
        self.slots: list[Column] = []
        self.more: Html | None = None
        super().__init__(**traits)

    def draw(self, asked: list[tuple[CheckpointState, str]], known: dict[str, CheckpointState]) -> list[str]:
        """Show the questions `asked`, with their tasks' titles; returns what became of those that went."""
        open_ones = {(question.id, question.subject_sha256): (question, title) for question, title in asked}
        gone = [self.cards.pop(key) for key in list(self.cards) if key not in open_ones]
        for card in gone:
            card.slot.children = ()
            close_all(card)
        for key, (question, title) in open_ones.items():
            if key not in self.cards and len(self.cards) < _MAX_CARDS:
                self.cards[key] = self._place(Card(self._controls, question, title))
        if self.more is not None:
            left = len(open_ones) - len(self.cards)
            more = f"<span style='{MUTED}'>… and {left:,} more, shown as soon as there is room</span>"
            put(self.more, value=more if left else "")
        return [card.fate(known) for card in gone if not card.answered_here]

    def _place(self, card: Card) -> Card:
        free = [slot for slot in self.slots if not slot.children]
        card.slot = free[0] if free else Column(**self._controls.looks.column)
        card.slot.children = (card,)
        if not free:
            self.more = self.more or Html(**self._controls.looks.text)
            self.slots.append(card.slot)
            self.children = (*self.slots, self.more)
        return card


class Card(Column):
    """One question: what is asked and approved, the fields of the answer, and the two buttons."""

    slot: Column

    def __init__(self, controls: Controls, asked: CheckpointState, title: str) -> None:
        self._controls = controls
        self._id, self._task = asked.id, asked.task
        #: Of what is shown here: the answer is bound to it, whatever the log says.
        self._shown = subject_hash(asked.task, asked.question, asked.answer_schema)
        #: The answer that is on its way, and whether one was taken.
        self._sending, self.answered_here = "", False
        looks = Looks()
        self.form = proposal_form(controls.view.subject, asked, looks) or AnswerForm(asked.answer_schema, looks)
        self.approve = Button(description="Approve", button_style="success", icon="check", **looks.button)
        self.reject = Button(description="Reject", button_style="danger", icon="times", **looks.button)
        self.approve.tooltip = f"Answer with yes: {one_line(asked.task)} goes on, with the answer above."
        self.reject.tooltip = f"Answer with no: {one_line(asked.task)} fails, for the reason given."
        self.reason = Line(
            description="Reason",
            placeholder="why not: needed to reject",
            layout=ipywidgets.Layout(width="300px", max_width="100%"),
            style=TextStyle(description_width="initial"),
        )
        self.note = Html(**looks.text)
        self.approve.on_click(lambda _: self._answer("approve", self._approve))
        self.reject.on_click(lambda _: self._answer("reject", self._reject))
        self.reason.observe(lambda _: updates.call(lambda: put(self.note, value="")), "value")
        layout = ipywidgets.Layout(
            border_left=f"4px solid {STATUSES['awaiting_approval'].light}", margin="6px 2px", padding="2px 8px"
        )
        super().__init__(
            children=[
                Html(value=_asked_html(asked, title, self._shown), **looks.text),
                self.form,
                Row(children=[self.approve, self.reject, self.reason], **looks.row),
                self.note,
            ],
            layout=layout,
        )

    def fate(self, known: dict[str, CheckpointState]) -> str:
        """Why it is gone: who answered it, if anybody did."""
        asked = known.get(self._id)
        if asked is None or asked.approved is None:
            return f"{self._task} does not wait for an answer any more."
        by = f" by {asked.by}" if asked.by else ""
        return f"{self._task} was approved{by}." if asked.approved else f"{self._task} was rejected{by}: {asked.reason}"

    def _answer(self, verb: Verb, work: Callable[[], str]) -> None:
        """A click: show that it was heard, and answer in the background."""
        if self._sending or self.answered_here:
            return
        self._sending = verb
        updates.call(self._draw)
        self._controls.carry_out(work, self._answered)

    def _approve(self) -> str:
        answer = self.form.answer()
        return self._controls.tell("approve", checkpoint=self._id, subject_sha256=self._shown, answer=answer)

    def _reject(self) -> str:
        reason = self.reason.value.strip()
        if not reason:
            raise CommandRefused("Say why not: the reason is recorded, and what the task fails for.")
        return self._controls.tell("reject", checkpoint=self._id, subject_sha256=self._shown, reason=reason)

    def _answered(self, accepted: bool, said: str) -> None:
        self._sending, self.answered_here = "", accepted
        put(self.note, value="" if accepted else message(said, refused=True))
        if accepted:
            self._controls.say(f"{self._task}: {said}")
        self._draw()

    def _draw(self) -> None:
        sent = self._sending or self.answered_here
        put(self.approve, disabled=bool(sent), description="Approving…" if self._sending == "approve" else "Approve")
        put(self.reject, disabled=bool(sent), description="Rejecting…" if self._sending == "reject" else "Reject")


def titled_questions(state: State) -> Iterator[tuple[CheckpointState, str]]:
    """The open questions, each with the title of its task."""
    for question in state.open_checkpoints:
        yield question, state.plan.tasks[state.tasks[question.task].index].title if state.plan is not None else ""


def _asked_html(asked: CheckpointState, title: str, shown: str) -> str:
    """The question as people read it, and below it, folded, everything that its hash covers, to the letter.

    That part is open from the start where some of the question is not to be seen above it: the address of a link, what
    was cleaned away, what is too long.
    """
    exactly = {"task": asked.task, "question": asked.question, "answer": asked.answer_schema}
    letters = "\n".join(printable(line) for line in json.dumps(exactly, indent=2, ensure_ascii=False).split("\n"))
    question = markdown_html(asked.question)
    opened = " open" if _hides(question, asked.question) else ""
    name = f"{badge('awaiting_approval')} <b>{text_html(asked.task)}</b>"
    if title and title != asked.task:
        name += f" {text_html(title)}"
    return (
        f"<div data-checkpoint='{html.escape(asked.id)}' style='line-height: 1.4; overflow-wrap: anywhere'>"
        f"<div>{name} <span style='{MUTED}'>asked {timestamp(asked.asked_at)} UTC</span></div>"
        f"<div style='max-height: 300px; overflow: auto'>{question}</div>"
        f"<details{opened}><summary style='cursor: pointer; {MUTED}'>Exactly what is approved: "
        f"<code title='{shown}'>{shown[:12]}</code></summary>"
        f"<pre style='white-space: pre-wrap; max-height: 160px; overflow: auto'>{html.escape(letters)}</pre>"
        "</details></div>"
    )


def _hides(shown: str, question: str) -> bool:
    """Whether some of `question` is not to be seen in the HTML made of it: a word, or a character that hides."""
    seen = html.unescape(re.sub("<[^>]*>", "", shown))
    plain = question.replace("\n", " ")
    return printable(plain) != plain or not set(_WORD.findall(seen)).issuperset(_WORD.findall(question))


_WORD = re.compile(r"[^\W_]+")
