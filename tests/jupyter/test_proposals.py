"""A proposed plan in a notebook: its table, what is edited in it, and its graph."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.jupyter.checkpoints import Card
from orchestrator_nb.jupyter.proposals import MAX_ROWS, ProposalForm
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.settings import Settings
from tests.jupyter.test_checkpoints import cards
from tests.runtime.waiting import asks, statuses, until

TASKS = [
    {"id": "read", "agent": "human", "prompt": "Read it?"},
    {"id": "write", "agent": "simulated", "parameters": {"result": "x"}, "dependencies": ["read"]},
    {"id": "both", "agent": "simulated", "dependencies": [{"task": "read", "kind": "sequential"}, "write"]},
]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    runs: list[Run] = []

    def begin(*tasks: dict[str, Any]) -> tuple[Run, Card]:
        def planner(request: str) -> Any:
            return {"plan": {"title": "A guide", "tasks": list(tasks)}}

        settings = Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)
        run = Orchestrator(settings).ask("Write a guide", planner=planner)
        runs.append(run)
        until(lambda: asks(run), 20)
        controls = view_of(run).controls
        until(lambda: cards(controls), 20)
        return run, cards(controls)[0]

    yield begin
    for run in runs:
        with contextlib.suppress(OrchestratorError):  # it may be ending
            run.halt()
        run.wait(20)


def form_of(card: Card) -> ProposalForm:
    assert isinstance(card.form, ProposalForm)
    return card.form


def edited(form: ProposalForm) -> dict[str, dict[str, Any]]:
    return {task["id"]: task for task in json.loads(form.answer()["plan"])["tasks"]}


def test_approved_as_it_is_the_answer_is_empty(start: Any) -> None:
    run, card = start(TASKS[1] | {"dependencies": []})
    assert form_of(card).answer() == {}
    card.approve.click()
    until(lambda: statuses(run).get("write") == "completed", 20)


def test_what_is_edited_is_what_is_approved_and_nothing_else(start: Any) -> None:
    run, card = start(*TASKS)
    form = form_of(card)
    read, write, both = form.rows
    assert [row.after.value for row in form.rows] == ["", "read", "read, write"]
    read.prompt.value = "Have you read it?"
    write.title.value = "Write it"
    both.after.value = "read"
    now = edited(form)
    assert now["read"] == {**TASKS[0], "prompt": "Have you read it?"}
    assert now["write"] == {**TASKS[1], "title": "Write it"}
    assert now["both"] == {**TASKS[2], "dependencies": [{"task": "read", "kind": "sequential"}]}
    until(lambda: "Edited: 3 tasks" in form.note.value, 20)
    card.approve.click()
    until(lambda: statuses(run).get("read") == "awaiting_approval", 20)
    assert run.plan["write"].title == "Write it"


def test_tasks_are_left_out_taken_back_and_added(start: Any) -> None:
    _, card = start(*TASKS)
    form = form_of(card)
    form.rows[2].drop.click()
    until(lambda: "Edited: 2 tasks" in form.note.value, 20)
    assert list(edited(form)) == ["read", "write"]
    form.rows[2].drop.click()
    until(lambda: "As proposed" in form.note.value, 20)
    form.add.click()
    until(lambda: len(form.rows) == 4, 20)
    new = form.rows[3]
    new.name.value, new.agent.value, new.prompt.value, new.after.value = "index", "human", "An index?", "both"
    assert edited(form)["index"] == {"id": "index", "prompt": "An index?", "agent": "human", "dependencies": ["both"]}


def test_what_is_wrong_is_said_and_refused(start: Any) -> None:
    run, card = start(*TASKS)
    form = form_of(card)
    form.rows[0].after.value = "both"
    until(lambda: "Invalid Topology: Task read depends on future task both" in form.note.value, 20)
    with pytest.raises(CommandRefused, match="Invalid Topology"):
        form.answer()
    card.approve.click()
    until(lambda: "Invalid Topology" in card.note.value, 20)
    assert asks(run)


def test_the_graph_follows_what_is_written(start: Any) -> None:
    _, card = start(*TASKS)
    form = form_of(card)
    state = form.graph.view.subject.state  # type: ignore[attr-defined]
    assert len(state.plan) == 3
    form.rows[2].drop.click()
    until(lambda: len(state.plan) == 2, 20)


def test_what_the_tasks_took_before_is_told(start: Any) -> None:
    run, card = start({**TASKS[1], "dependencies": []})
    assert not form_of(card).estimate.value
    card.approve.click()
    until(lambda: run.done, 20)
    _, card = start({**TASKS[1], "dependencies": []}, {"id": "new", "agent": "simulated"})
    form = form_of(card)
    until(lambda: form.estimate.value, 20)
    assert "at least, known of 1 of 2 tasks" in form.estimate.value
    assert "(1 run)" in form.rows[0].took.value
    assert not form.rows[1].took.value


def test_a_plan_too_large_for_a_table_is_edited_as_text(start: Any) -> None:
    tasks = [{"id": f"t{n}", "agent": "simulated"} for n in range(MAX_ROWS + 1)]
    _, card = start(*tasks)
    assert not isinstance(card.form, ProposalForm)
    assert card.form.answer() == {}


def test_words_of_a_planner_are_text(start: Any) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    _, card = start({"id": "a", "agent": "simulated", "parameters": {"result": hostile}, "title": hostile})
    form = form_of(card)
    (row,) = form.rows
    assert row.title.value == hostile  # a field holds text
    assert "<img" not in "".join(str(getattr(child, "value", "")) for child in row.children[1:])
