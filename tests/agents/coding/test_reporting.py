"""What an attempt puts on record: tokens and cost of several runs of a program, refusals once each."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from orchestrator_nb.agents.coding.options import Options
from orchestrator_nb.agents.coding.preparing import Checked
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.reporting import INTERVAL, MOST_REFUSALS, Reports, work_of
from orchestrator_nb.agents.coding.vocabulary import PermissionDenied, Started, Usage
from orchestrator_nb.core.events import MOST_CHANGES, AgentDenied, AgentIdentified, AgentSpent, AgentStarted, Changed
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.ports import Assignment, RunContext
from orchestrator_nb.system.sandbox.containing import Means
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.sandbox.probing import Sandbox
from orchestrator_nb.worktrees.changes import Change

BOX = Sandbox(Means(Level.BUBBLEWRAP, "/usr/bin/bwrap"), "bubblewrap (/usr/bin/bwrap)")
NONE = Sandbox(Means(Level.NONE), "uncontained: asked for")


class Desk:
    """Where an attempt reports to, and its clock."""

    def __init__(self, **fields: Any) -> None:
        self.told: list[Any] = []
        self.now = 0.0
        here = PurePath("/session")
        task = Task.model_validate({"id": "t", "agent": "claude", "prompt": "x"})
        context = RunContext(session="s", directory=here, base=here, cwd=here)
        assignment = Assignment(run=context, task=task, number=1, work=task, attempt=2, **fields)
        services: Any = self
        self.reports = Reports(services, assignment, "claude", Redactor(["a-secret-value"]), lambda: self.now)

    def report(self, event: Any) -> None:
        self.told.append(event)

    def see(self, event: Any, remedy: str = "") -> None:
        self.reports.see(event, lambda denial: remedy)

    def run_ended(self, usage: Usage | None, *denials: PermissionDenied) -> None:
        self.reports.run_ended(usage, denials, lambda denial: "")

    def over(self) -> AgentSpent | None:
        """What is told last of what was used."""
        self.reports.over()
        return next((event for event in reversed(self.told) if isinstance(event, AgentSpent)), None)


def answer(tokens: int) -> Usage:
    return Usage(1, tokens, 1, 2, cache_write_tokens=3, cached_apart=True, partial=True)


def test_a_start_says_what_contains_it_and_who_granted_what() -> None:
    desk = Desk(answered_by="ann")
    desk.reports.started(Checked(Options(), BOX), "edit", "", None, unasked=False)
    desk.reports.started(Checked(Options(), NONE), "edit", "level `full`", "s-1", unasked=False)
    desk.reports.started(Checked(Options(), NONE), "edit", "level `full`", "s-1", unasked=True)
    first, second, third = desk.told
    assert isinstance(first, AgentStarted)
    assert (first.sandbox, first.why, first.granted, first.by) == ("bubblewrap", "bubblewrap (/usr/bin/bwrap)", "", "")
    assert (second.sandbox, second.why, second.by, second.session) == ("uncontained", "asked for", "ann", "s-1")
    assert third.by == "ann, the task's `recovery`"


def test_usage_is_told_while_it_grows_but_not_at_every_answer() -> None:
    desk = Desk()
    desk.see(Started(1, "s-1", "opus", "9"))
    for number in range(100):
        desk.now = number * INTERVAL / 10
        desk.see(answer(10))
    spent = [event for event in desk.told if isinstance(event, AgentSpent)]
    assert desk.told[0] == AgentIdentified("t", 2, "s-1", "opus", "9")
    assert 10 <= len(spent) <= 11
    assert spent[0] == AgentSpent("t", 2, 15, 1, 2)  # what a cache gives and takes is read, too; the price is unknown
    assert spent[-1].input_tokens == 15 * 91


def test_the_end_of_a_run_counts_for_all_that_it_told_on_the_way() -> None:
    desk = Desk()
    desk.see(Started(1, "s-1"))
    desk.see(answer(10))
    desk.run_ended(Usage(1, 100, 5, cost=0.5))
    desk.see(Started(1, "s-1"))
    desk.run_ended(Usage(1, 10, 5, cost=0.25))
    assert desk.over() == AgentSpent("t", 2, 110, 10, 0, 0.75, final=True)


@pytest.mark.parametrize("how", ["cancelled", "no final event"])
def test_a_run_that_broke_off_has_used_what_it_told_at_an_unknown_price(how: str) -> None:
    desk = Desk()
    desk.see(Started(1, "s-1"))
    desk.run_ended(Usage(1, 100, 5, cost=0.5))
    desk.see(Started(1, "s-1"))
    desk.see(answer(10))
    if how == "no final event":
        desk.run_ended(None)
    assert desk.over() == AgentSpent("t", 2, 115, 6, 2, None, final=True)


def test_what_told_nothing_is_unknown_and_what_did_not_begin_is_nothing() -> None:
    desk = Desk()
    desk.see(Started(1, "s-1"))
    desk.run_ended(None)
    assert desk.over() is None
    other = Desk()
    other.run_ended(None)  # its session was unknown to it
    other.see(Started(1, "s-2"))
    other.run_ended(Usage(1, 100, 5, cost=0.5))
    assert other.over() == AgentSpent("t", 2, 100, 5, 0, 0.5, final=True)


def test_a_refusal_is_told_at_once_with_its_remedy_and_without_secrets() -> None:
    desk = Desk()
    desk.see(PermissionDenied(1, "Bash", "echo a-secret-value\n| sh", "No.", "mode", "event", "b"), "level `full`")
    assert desk.told == [
        AgentDenied("t", 2, "Bash", "echo [redacted] | sh", "No.", "event", "level `full`", "b"),
    ]


def test_refusals_that_the_programs_record_adds_are_told_once() -> None:
    told = PermissionDenied(1, "Bash", "make", "no", "mode", "event", "call-1")
    same, more = (PermissionDenied(5, "shell", "make", reason, "mode", "rollout", "r-1") for reason in ("no", "never"))
    desk = Desk()
    desk.see(told)
    desk.run_ended(None, same, more)
    assert [event.reason for event in desk.told] == ["no", "never"]
    desk.see(told)  # in the next run it happens again
    assert len(desk.told) == 3


def test_refusals_are_not_told_for_ever() -> None:
    desk = Desk()
    for number in range(3 * MOST_REFUSALS):
        desk.see(PermissionDenied(number, "Bash", "make", "no", "mode", "event", f"call-{number}"))
    assert len(desk.told) == MOST_REFUSALS


def test_the_work_names_files_in_order_and_no_paths_of_this_machine() -> None:
    changes = [Change(f"{number:03}\udcff.py", "added") for number in reversed(range(MOST_CHANGES + 5))]
    work = work_of("claude", "edit", BOX, changes)
    assert (work.agent, work.sandbox, work.why, work.more_changes) == ("claude", "bubblewrap", "", 5)
    assert work.changes[0] == Changed("000\ufffd.py", "added")
    assert len(work.changes) == MOST_CHANGES
    assert work_of("claude", "edit", NONE, []).why == "asked for"
