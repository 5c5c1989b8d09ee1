from __future__ import annotations

import pytest

from orchestrator_nb.agents.coding.cli import Clis
from orchestrator_nb.agents.coding.judging import Ended, Judge, judge
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    ErrorSeen,
    Finished,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    Unknown,
    Usage,
)

CLAUDE, CODEX, GEMINI = (Clis().get(name) for name in ("claude", "codex", "gemini"))
START = Started(1, "s")
GOOD, BAD = Finished(9, ok=True, text="done"), Finished(9, ok=False, kind="auth", text="no key")
ABORTED = Finished(9, ok=False, kind="interrupted", text="aborted")


@pytest.mark.parametrize(
    ("events", "code", "ended", "state", "error"),
    [
        ([START, GOOD], 0, "itself", "succeeded", ""),
        ([START, GOOD], 0, "stopped", "succeeded", ""),
        ([START, GOOD], -15, "lingering", "succeeded", ""),
        ([START, GOOD], 1, "itself", "failed", "other"),
        ([START, GOOD], -15, "stopped", "interrupted", "interrupted"),
        ([START, GOOD], -9, "timeout", "incomplete", "other"),
        ([START, BAD], 1, "itself", "failed", "auth"),
        ([START, BAD], 0, "itself", "failed", "auth"),
        ([START, BAD], -15, "stopped", "failed", "auth"),
        ([START, ABORTED], 0, "stopped", "interrupted", "interrupted"),
        ([START], 0, "stopped", "interrupted", "interrupted"),
        ([START], 0, "itself", "incomplete", "other"),
        ([START], 1, "itself", "incomplete", "other"),
        ([START], -9, "itself", "interrupted", "interrupted"),
        ([START], 143, "itself", "interrupted", "interrupted"),
        ([START], -9, "timeout", "incomplete", "other"),
        ([START, Retry(2, 1, reason="server")], -9, "timeout", "incomplete", "server"),
        ([START, Retry(2, 1, reason="server"), Text(3, "on")], -9, "timeout", "incomplete", "other"),
        ([START, ErrorSeen(2, "network", "x", transient=True)], 1, "itself", "incomplete", "network"),
        ([], 1, "itself", "failed", "other"),
        ([], 0, "itself", "incomplete", "other"),
    ],
)
def test_states(events: list[AgentEvent], code: int, ended: Ended, state: str, error: str) -> None:
    summary = judge(CLAUDE, events, code, "", ended)
    assert (summary.state, summary.error) == (state, error)
    assert bool(summary.message) is (state != "succeeded")


def test_success_is_never_judged_by_the_exit_code_alone() -> None:
    """gemini exits with 0 when it is interrupted, claude too; a refusal fails no process."""
    assert judge(GEMINI, [START], 0, "", "stopped").state == "interrupted"
    assert judge(GEMINI, [], 0).state == "incomplete"


def test_refusals_are_told_beside_success() -> None:
    denial = PermissionDenied(3, "Write", "/x", "no", "mode", "event", "t1")
    summary = judge(CLAUDE, [START, denial, GOOD], 0)
    assert (summary.state, summary.denials) == ("succeeded", (denial,))


def test_a_better_source_replaces_a_text() -> None:
    guess = PermissionDenied(3, "Write", "/x", "in words", "mode", "text", "t1")
    sure = PermissionDenied(9, "Write", "/x", "in words", "mode", "result", "t1")
    assert judge(CLAUDE, [START, guess, sure, GOOD], 0).denials == (sure,)
    assert judge(CLAUDE, [START, sure, guess, GOOD], 0).denials == (sure,)


def test_the_record_repeats_no_refusal() -> None:
    judging = Judge(CODEX)
    words = "patch rejected: writing outside of the project; rejected by user approval settings"
    twice = [PermissionDenied(line, "apply_patch", "", words, "directory", "stderr") for line in (2, 3)]
    ran = PermissionDenied(5, "command_execution", "bash -c 'touch x'", "touch: no", "directory", "text", "item_0")
    for event in (START, *twice, ran):
        judging.see(event)
    judging.recall(
        [
            PermissionDenied(12, "apply_patch", "/o/x", words, "directory", "rollout", "call_1"),
            PermissionDenied(14, "apply_patch", "/o/y", words, "directory", "rollout", "call_2"),
            PermissionDenied(16, "exec_command", "touch x", "touch: no", "directory", "text", "call_3"),
            PermissionDenied(18, "exec_command", "touch z", "touch: no", "directory", "text", "call_4"),
        ]
    )
    judging.see(GOOD)
    denials = judging.summary(0).denials
    assert [denial.target for denial in denials] == ["/o/x", "/o/y", "touch x", "touch z"]


def test_what_ended_a_run_that_never_began() -> None:
    summary = judge(CODEX, [], 2, "error: unexpected argument '-a' found")
    assert (summary.state, summary.error, summary.transient) == ("failed", "usage", False)
    assert "unexpected argument '-a'" in summary.message
    assert "orchestrate doctor" in summary.message, "it says what to do"


def test_what_may_pass_by_itself() -> None:
    for kind, transient in {"rate_limit": True, "overload": True, "auth": False, "turn_limit": False}.items():
        final = Finished(2, ok=False, kind=kind, text="x")  # type: ignore[arg-type]
        assert judge(CLAUDE, [START, final], 1).transient is transient


def test_counts_and_last_words() -> None:
    limit = RateLimit(3, 5.0)
    seen = [START, Unknown(2), Retry(3, 1), Text(4, "one"), Text(5, "t", partial=True), Text(6, "two"), limit]
    summary = judge(CODEX, [*seen, Finished(7, ok=True, turns=4)], 0)
    assert (summary.unknown, summary.retries, summary.text, summary.turns) == (1, 1, "two", 4)
    assert summary.limit == limit
    assert summary.session == "s"
    assert judge(CODEX, [GOOD], 0).session is None


def test_a_long_sleep_for_a_limit_tells_when_it_ends() -> None:
    asleep = Retry(2, 1, delay=3600.0, reason="rate_limit")
    summary = judge(CLAUDE, [START, asleep], -15, ended="timeout")
    assert (summary.state, summary.error) == ("incomplete", "rate_limit")
    assert summary.limit == RateLimit(2, None, "it tries again in 3600 s")
    assert judge(CLAUDE, [START, Retry(2, 1, delay=5.0, reason="rate_limit")], 1).limit is None
    told = RateLimit(1, 5.0)
    assert judge(CLAUDE, [told, asleep], 1).limit == told


# -- usage -------------------------------------------------------------------------------------------------------------


def test_usage_of_a_first_run() -> None:
    summary = judge(CODEX, [START, Usage(2, 100, 10, 5, cumulative=True), GOOD], 0)
    assert summary.usage == summary.totals == Usage(2, 100, 10, 5)
    assert judge(CODEX, [START, GOOD], 0).usage is None


def test_usage_of_a_resumed_run_is_what_was_added() -> None:
    """codex tells the totals of the session."""
    first = judge(CODEX, [START, Usage(2, 100, 10, 5, cumulative=True), GOOD], 0)
    again = [START, Usage(2, 250, 30, 5, cumulative=True), GOOD]
    second = judge(CODEX, again, 0, resumed=True, before=first.totals)
    assert second.usage == Usage(2, 150, 20, 0)
    assert second.totals is not None
    assert second.totals.input_tokens == 250
    assert judge(CODEX, again, 0, resumed=True).usage is None, "unknown, not a wrong number"


def test_cost_of_a_resumed_run() -> None:
    """Older claudes tell the cost of the session, but the tokens of the run."""
    told = Usage(2, 100, 10, cost=0.5, cost_cumulative=True)
    first = judge(CLAUDE, [START, told, GOOD], 0)
    assert first.usage is not None
    assert first.usage.cost == 0.5
    again = Usage(2, 70, 7, cost=0.75, cost_cumulative=True)
    second = judge(CLAUDE, [START, again, GOOD], 0, resumed=True, before=first.totals)
    assert second.usage == Usage(2, 70, 7, cost=0.25)
    assert second.totals is not None
    assert (second.totals.input_tokens, second.totals.cost) == (170, 0.75)
    blind = judge(CLAUDE, [START, again, GOOD], 0, resumed=True)
    assert blind.usage == Usage(2, 70, 7, cost=None), "an unknown cost is none, not 0"


def test_a_total_that_is_less_than_before_is_of_this_run() -> None:
    before = Usage(2, 100, 10, cost=0.5)
    seen = [START, Usage(2, 70, 7, cost=0.25, cost_cumulative=True), GOOD]
    summary = judge(CLAUDE, seen, 0, resumed=True, before=before)
    assert summary.usage == Usage(2, 70, 7, cost=0.25)
    assert summary.totals is not None
    assert summary.totals.cost == 0.75


def test_several_final_events_of_one_run_add_up() -> None:
    seen = [START, Usage(2, 100, 10, cost=0.5), Finished(2, ok=True), Usage(5, 70, 7, cost=0.25), Finished(5, ok=True)]
    assert judge(CLAUDE, seen, 0).usage == Usage(5, 170, 17, cost=0.75)
    totals = [Usage(2, 100, 10, cumulative=True), Usage(5, 170, 17, cumulative=True)]
    assert judge(CODEX, [START, *totals, GOOD], 0).usage == Usage(5, 170, 17)
    unpriced = [Usage(2, 100, 10), Usage(5, 70, 7, cost=0.25)]
    assert judge(CLAUDE, [START, *unpriced, GOOD], 0).usage == Usage(5, 170, 17, cost=None)


def test_cost_that_is_told_for_the_run_adds_up() -> None:
    first = judge(CLAUDE, [START, Usage(2, 100, 10, cost=0.5), GOOD], 0)
    second = judge(CLAUDE, [START, Usage(2, 70, 7, cost=0.25), GOOD], 0, resumed=True, before=first.totals)
    assert second.usage == Usage(2, 70, 7, cost=0.25)
    assert second.totals == Usage(2, 170, 17, cost=0.75)
