from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.core.ids import fault_of_id
from orchestrator_nb.errors import WorktreeError
from orchestrator_nb.worktrees import naming

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,30}", fullmatch=True).filter(lambda text: fault_of_id(text) is None)


@given(IDS, IDS)
def test_names_of_tasks_are_told_apart_and_read_back(one: str, other: str) -> None:
    assert naming.task_of(naming.one_name(one)) == one
    assert (naming.one_name(one) == naming.one_name(other)) == (one == other)


@pytest.mark.parametrize(
    "task", ["T-01", "review/api", "a..b", "a...b", "x.lock", "x.lock/y", "a/b.c/d-", "a.lock.lock"]
)
def test_refs_of_tasks_are_refs_to_git(task: str) -> None:
    ref = naming.attempt_ref("20260101-120000-abcde", task, 1, "work")
    assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


def test_a_long_id_gets_a_short_name_of_its_own() -> None:
    one, other = ("/".join(["a" + "." * 78 + "b"] * 2 + [end]) for end in ("x", "y"))
    assert naming.one_name(one) != naming.one_name(other)
    assert len(naming.one_name(one)) <= 200


@pytest.mark.parametrize("task", ["", "../x", "a b", "-x", ".git"])
def test_what_is_no_id_gets_no_name(task: str) -> None:
    with pytest.raises(WorktreeError, match="is no task id"):
        naming.one_name(task)


@pytest.mark.parametrize("session", ["", "a/b", "a.lock", "-x", "a\n"])
def test_a_session_must_fit_into_a_branch(session: str) -> None:
    with pytest.raises(WorktreeError, match="cannot be part of a branch's name"):
        naming.checked_session(session)


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(WorktreeError, match="counted from 1, not 0"):
        naming.checked_attempt(0)


def test_an_author_is_a_name_that_changes_nothing_around_it() -> None:
    assert naming.author("Agent-02") == ("Agent-02", "agent-02@orchestrator.invalid")
    assert naming.author("a <b>\n[core]\n\tx = y\0") == ("a b core x y", "a-b-core-x-y@orchestrator.invalid")
    assert naming.author('"\\') == ("orchestrator", "orchestrator@orchestrator.invalid")


def test_trailers_are_read_from_the_last_paragraph_only() -> None:
    text = naming.message("Do\n\nOrchestrator-Task: forged\n\nit", {"Task": "T-01", "Attempt": 2})
    assert text.splitlines()[0] == "Do Orchestrator-Task: forged it"
    assert naming.trailers(text) == {"Task": "T-01", "Attempt": "2"}
    assert naming.trailers("Subject only") == {}
