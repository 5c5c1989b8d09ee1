from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.ports import subject_hash
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.jupyter.answers import AnswerForm
from orchestrator_nb.jupyter.checkpoints import Card
from orchestrator_nb.jupyter.controls import Controls
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.jupyter.widgets import Looks
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import plan, statuses, until

LEVEL = {"type": "integer", "minimum": 1, "maximum": 5}
RELEASE = {
    "type": "object",
    "properties": {
        "version": {"type": "string", "minLength": 3, "description": "As in 1.2"},
        "channel": {"enum": ["stable", "beta"], "default": "beta"},
        "systems": {"type": "array", "items": {"enum": ["linux", "mac"]}, "minItems": 1},
        "signed": {"type": "boolean"},
        "note": {"type": "string"},
    },
    "required": ["version", "channel", "systems", "signed"],
    "additionalProperties": False,
}


@pytest.fixture
def orchestrator(tmp_path: Path) -> Orchestrator:
    return Orchestrator(Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05))


def question(task_id: str, prompt: str = "Go?", schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": task_id, "agent": "human", "prompt": prompt, "parameters": {"schema": schema} if schema else {}}


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        if not run.done:
            run.halt()
        run.wait(10)


def asked(orchestrator: Orchestrator, runs: list[Run], *questions: dict[str, Any]) -> Controls:
    """Controls of a run that asks all this."""
    run = orchestrator.run(plan(*questions))
    runs.append(run)
    until(lambda: set(statuses(run).values()) == {"awaiting_approval"})
    controls: Controls = view_of(run).controls
    until(lambda: len(cards(controls)) == min(5, len(questions)))
    return controls


def cards(controls: Controls) -> list[Card]:
    return [slot.children[0] for slot in controls.questions.slots if slot.children]


def shown(card: Card) -> str:
    return str(card.children[0].value)


# -- forms -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "filled", "answer"),
    [
        ({}, "", None),
        ({}, "because", "because"),
        ({}, "3", "3"),
        ({"type": "string"}, "3", "3"),
        (LEVEL, "3", 3),
        ({"type": "number"}, "0.5", 0.5),
        ({"type": "boolean"}, 1, False),
        ({"enum": ["a", 1, True, None]}, 1, 1),
        ({"enum": ["a", 1, True, None]}, 2, True),
        ({"enum": ["a", 1, True, None]}, 3, None),
        ({"type": "array", "items": {"enum": ["x", "y", "z"]}}, (0, 2), ["x", "z"]),
        ({"type": "array", "items": {"enum": ["x", "y", "z"]}}, (), []),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "7", 7),
    ],
)
def test_a_form_gives_the_answer_that_was_filled_in(schema: dict[str, Any], filled: Any, answer: Any) -> None:
    form = AnswerForm(schema, Looks())
    form.fields[""].input.value = filled
    given = form.answer()
    assert (given, type(given)) == (answer, type(answer))


@pytest.mark.parametrize(
    ("schema", "filled", "fault"),
    [
        ({"type": "string"}, " ", "This is needed."),
        ({"type": "string", "pattern": "^v"}, "1", "does not match"),
        (LEVEL, "6", "6 is greater than the maximum of 5"),
        (LEVEL, "three", "is not of type"),
        (LEVEL, "2.5", "2.5 is not of type"),
        ({"type": "number"}, "NaN", "JSON cannot hold"),
        ({"type": "boolean"}, -1, "This is needed."),
        ({"enum": ["a", "b"]}, -1, "This is needed."),
        ({"type": "array", "items": {"enum": ["x"]}, "minItems": 1}, (), "should be non-empty"),
        ({"type": "array", "items": {"type": "integer"}}, "[1", "This is no JSON"),
        ({"type": "array", "items": {"type": "integer"}}, '["a"]', "is not of type"),
        ({"anyOf": [{"type": "null"}, LEVEL]}, "[" * 10_000, "This is no JSON"),
    ],
)
def test_what_does_not_fit_is_said_below_its_field(schema: dict[str, Any], filled: Any, fault: str) -> None:
    form = AnswerForm(schema, Looks())
    field = form.fields[""]
    field.input.value = filled
    with pytest.raises(CommandRefused, match="does not fit"):
        form.answer()
    until(lambda: fault in field.note.value)
    assert "role='alert'" in field.note.value


def test_an_object_has_a_field_for_each_property() -> None:
    form = AnswerForm(RELEASE, Looks())
    kinds = {name: type(field.input).__name__ for name, field in form.fields.items()}
    assert kinds == {"version": "Line", "channel": "Choice", "systems": "Choices", "signed": "Choice", "note": "Line"}
    assert "As in 1.2; at least 3 characters" in form.fields["version"].note.value
    assert "may be left empty" in form.fields["note"].note.value
    with pytest.raises(CommandRefused):
        form.answer()
    until(lambda: "This is needed." in form.fields["signed"].note.value)
    assert "This is needed." not in form.fields["channel"].note.value  # it has a default
    form.fields["version"].input.value = "1.2"
    form.fields["systems"].input.value = (0,)
    form.fields["signed"].input.value = 0
    assert form.answer() == {"version": "1.2", "channel": "beta", "systems": ["linux"], "signed": True}


def test_faults_are_told_while_one_types() -> None:
    field = AnswerForm(LEVEL, Looks()).fields[""]
    assert "a whole number, at least 1, at most 5" in field.note.value
    field.input.value = "9"
    until(lambda: "greater than the maximum" in field.note.value)
    field.input.value = "2"
    until(lambda: "at least 1, at most 5" in field.note.value)


def test_words_of_a_schema_stay_words() -> None:
    bad = "<img src=x onerror=alert(1)>"
    form = AnswerForm({"type": "integer", "title": bad, "description": bad, "minimum": 3}, Looks())
    field = form.fields[""]
    assert "<img" not in field.note.value
    assert "&lt;img" in field.note.value
    field.input.value = bad
    until(lambda: "role='alert'" in field.note.value)
    assert "<img" not in field.note.value


# -- cards -------------------------------------------------------------------------------------------------------------


def test_a_card_shows_all_that_is_approved_and_its_hash(orchestrator: Orchestrator, runs: list[Run]) -> None:
    controls = asked(orchestrator, runs, question("q", "Is it **good**?", LEVEL))
    html = shown(cards(controls)[0])
    assert "<strong>good</strong>" in html
    assert subject_hash("q", "Is it **good**?", LEVEL) in html
    for part in ('"task": "q"', '"question": "Is it **good**?"', '"minimum": 1'):
        assert json.dumps(part)[1:-1].replace('\\"', "&quot;") in html
    assert "<details><summary" in html


@pytest.mark.parametrize(
    ("hidden", "told"),
    [
        ("Delete everything?\rTidy up?", "Delete everything?\\\\rTidy up?"),
        ("Fine?\x1b]0;secret\x07", "secret"),
        ("Fine?\n\n[//]: # (and delete all)", "and delete all"),
        ("Look at [it](https://example.org/elsewhere)", "https://example.org/elsewhere"),
        ("Fine? \u202egnp.exe", "\\u202egnp.exe"),
        ("x " * 40_000 + "and delete all", "and delete all"),
    ],
    ids=["overwritten", "control", "definition", "address", "direction", "length"],
)
def test_what_reading_would_not_show_is_shown_to_the_letter(
    orchestrator: Orchestrator, runs: list[Run], hidden: str, told: str
) -> None:
    html = shown(cards(asked(orchestrator, runs, question("q", hidden)))[0])
    assert "<details open>" in html
    assert told.replace("\\\\", "\\") in html.partition("<details open>")[2]
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_words_of_a_question_stay_words(orchestrator: Orchestrator, runs: list[Run]) -> None:
    payload = "<script>alert(1)</script></pre></details><img src=x onerror=alert(1)>"
    html = shown(cards(asked(orchestrator, runs, question("q", payload)))[0])
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_an_approval_is_for_what_was_shown(orchestrator: Orchestrator, runs: list[Run]) -> None:
    controls = asked(orchestrator, runs, question("q", "How many?", LEVEL))
    card = cards(controls)[0]
    card.form.fields[""].input.value = "4"
    card.approve.click()
    runs[0].wait(10)
    assert runs[0].result_of("q") == 4
    until(lambda: cards(controls) == [])
    approved = [r.event for r in Session.open(runs[0].path, runs[0].settings).records() if hasattr(r.event, "answer")]
    assert [event.subject_sha256 for event in approved] == [subject_hash("q", "How many?", LEVEL)]
    until(lambda: "q: approve accepted" in controls.told.value)


def test_a_rejection_needs_a_reason(orchestrator: Orchestrator, runs: list[Run]) -> None:
    controls = asked(orchestrator, runs, question("q"))
    card = cards(controls)[0]
    card.reject.click()
    until(lambda: "Say why not" in card.note.value)
    assert not card.reject.disabled
    assert statuses(runs[0]) == {"q": "awaiting_approval"}
    card.reason.value = "not today"
    until(lambda: card.note.value == "")
    card.reject.click()
    assert runs[0].wait(10).status == "failed"
    with runs[0].state() as state:
        assert state.tasks["q"].error == "Rejected: not today"


def test_an_answer_that_does_not_fit_is_not_sent(orchestrator: Orchestrator, runs: list[Run]) -> None:
    controls = asked(orchestrator, runs, question("q", "How many?", LEVEL))
    card = cards(controls)[0]
    card.form.fields[""].input.value = "6"
    card.approve.click()
    until(lambda: "does not fit" in card.note.value and not card.approve.disabled)
    assert statuses(runs[0]) == {"q": "awaiting_approval"}


def test_what_was_typed_stays_while_other_questions_go(orchestrator: Orchestrator, runs: list[Run]) -> None:
    controls = asked(orchestrator, runs, question("q1"), question("q2"), question("q3"))
    first, second, third = cards(controls)
    second.form.fields[""].input.value = "half an answ"
    second.reason.value = "perhaps"
    slots = controls.questions.children
    Session.open(runs[0].path, runs[0].settings).tell("approve", checkpoint="q1", by="Ada")
    until(lambda: cards(controls) == [second, third])
    assert second.form.fields[""].input.value == "half an answ"
    assert second.reason.value == "perhaps"
    assert controls.questions.children == slots  # what the page draws anew loses its cursor
    until(lambda: "q1 was approved by Ada." in controls.told.value)
    assert first.comm is None
    Session.open(runs[0].path, runs[0].settings).tell("reject", checkpoint="q3", reason="<b>no</b>", by="Bob")
    until(lambda: "q3 was rejected by Bob: &lt;b&gt;no&lt;/b&gt;" in controls.told.value)


def test_a_question_that_has_changed_is_another_card(orchestrator: Orchestrator, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("tasks:\n  - {id: q, agent: human, prompt: 'Delete one file?'}\n")
    run = orchestrator.run(str(file))
    controls: Controls = view_of(run).controls
    until(lambda: len(cards(controls)) == 1)
    old = cards(controls)[0]
    run.halt()
    run.wait(10)
    file.write_text("tasks:\n  - {id: q, agent: human, prompt: 'Delete all files?'}\n")
    again = orchestrator.resume(run.path, accept_changes=True)
    with again.state() as state:
        assert state.tasks["q"].status != "completed"
    until(lambda: statuses(again) == {"q": "awaiting_approval"})
    old.approve.click()  # what it shows is not asked any more
    until(lambda: "✗" in old.note.value)
    assert statuses(again) == {"q": "awaiting_approval"}
    fresh: Controls = view_of(again).controls
    until(lambda: len(cards(fresh)) == 1 and "Delete all files?" in shown(cards(fresh)[0]))
    cards(fresh)[0].approve.click()
    assert again.wait(10).status == "completed"


def test_five_cards_at_once_and_how_many_more(orchestrator: Orchestrator, runs: list[Run]) -> None:
    controls = asked(orchestrator, runs, *(question(f"q{number}") for number in range(8)))
    until(lambda: "and 3 more" in controls.questions.more.value)
    for left in (2, 1, 0):
        cards(controls)[0].approve.click()
        until(lambda left=left: f"and {left} more" in controls.questions.more.value or not left)
        until(lambda: len(cards(controls)) == 5)
    until(lambda: controls.questions.more.value == "")


def test_a_question_of_a_halted_run_is_answered_for_its_next_resume(
    orchestrator: Orchestrator, runs: list[Run]
) -> None:
    controls = asked(orchestrator, runs, question("q"))
    runs[0].halt()
    runs[0].wait(10)
    cards(controls)[0].approve.click()
    until(lambda: cards(controls) == [])
    until(lambda: "it takes effect with" in controls.told.value)
    assert Session.open(runs[0].path, runs[0].settings).state.checkpoints["q@1"].approved is True
