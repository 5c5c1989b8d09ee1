"""When a review is needed, and what follows from it: the truth table, against rules written down a second time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.coding.vocabulary import FileEdit, Text
from orchestrator_nb.core.events import AgentStarted, AgentWork, Changed, TaskCompleted, TaskFailed, TaskStarted
from orchestrator_nb.core.reports import Finding
from orchestrator_nb.core.reviews import ReviewResponse
from orchestrator_nb.policies.review import Circumstances, ReviewOrchestrator, decide

TABLE = Path(__file__).with_name("review_table.txt")
NAMES = ("ann", "bob", "cat", "dan")
VOTES = ("approve", "concerns", "reject", "abstain")


def response(name: str, verdict: Any, severity: Any = "") -> ReviewResponse:
    """One vote; its severity is told by a finding for some, by the field for others."""
    if severity and name in ("ann", "cat"):
        return ReviewResponse("r", name, "v", verdict, findings=(Finding("found", severity=severity),))
    return ReviewResponse("r", name, "v", verdict, severity)


def expected(asked: int, said: tuple[tuple[str, str] | None, ...], over: bool) -> str | None:
    """DESIGN's table, rule by rule, written without looking at the code."""
    given = [vote for vote in said if vote]
    half_of_asked = Fraction(asked, 2)
    cast = [verdict for verdict, _ in given if verdict != "abstain"]
    yes = [verdict for verdict in cast if verdict in ("approve", "concerns")]
    no = [verdict for verdict in cast if verdict == "reject"]
    found = [severity for _, severity in given if severity]
    waiting = not over and len(given) < asked
    if "critical" in found:
        return "stop"
    if waiting:
        return "stop" if len(no) > half_of_asked else None
    half = Fraction(len(cast), 2)
    if len(no) > half:
        return "stop"
    if not len(cast) > half_of_asked:
        return "pause"
    if not len(yes) > half:  # neither side has most: split
        return "pause"
    if "concerns" in yes or found:
        return "warn"
    return "continue" if len(yes) == len(cast) else "pause"


def ruling(asked: int, said: tuple[tuple[str, str] | None, ...], over: bool) -> str | None:
    votes = [response(name, *vote) for name, vote in zip(NAMES, said, strict=False) if vote]
    decision = decide(NAMES[:asked], votes, over=over)
    return decision and decision.ruling


def answers(severities: tuple[str, ...]) -> list[tuple[str, str] | None]:
    return [None, *itertools.product(VOTES, severities)]


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize(
    ("asked", "severities"),
    [
        (1, ("", "info", "low", "medium", "high", "critical")),
        (2, ("", "info", "low", "medium", "high", "critical")),
        (3, ("", "info", "low", "medium", "high", "critical")),
        (4, ("", "high", "critical")),  # in these rules, all that is below critical is alike
    ],
)
def test_every_combination_of_votes_severities_and_deadline(asked: int, severities: Any, over: bool) -> None:
    tried = 0
    for said in itertools.product(answers(severities), repeat=asked):
        assert ruling(asked, said, over) == expected(asked, said, over), (said, over)
        tried += 1
    assert tried == len(answers(severities)) ** asked


def rows() -> Iterator[tuple[int, tuple[int, ...], str, str]]:
    for line in TABLE.read_text().splitlines():
        if line[:1].isdigit():
            asked, *counts, without, with_findings = line.split()
            yield int(asked), tuple(map(int, counts)), without, with_findings


def test_the_table_that_people_read() -> None:
    """Of how many were asked, how many said what: the ruling at the deadline without findings, and with one."""
    seen = set()
    for asked, counts, without, with_findings in rows():
        seen.add((asked, counts))
        votes = [verdict for verdict, count in zip(VOTES, counts, strict=True) for _ in range(count)]
        plain = tuple((verdict, "") for verdict in votes)
        assert ruling(asked, plain, True) == without, (asked, counts)
        if votes:
            found = ((votes[0], "medium"), *plain[1:])
            assert ruling(asked, found, True) == with_findings, (asked, counts)
            assert ruling(asked, ((votes[0], "critical"), *plain[1:]), True) == "stop"
    every = {
        (asked, counts)
        for asked in range(1, 5)
        for counts in itertools.product(range(asked + 1), repeat=4)
        if sum(counts) <= asked
    }
    assert seen == every


def test_who_was_not_asked_and_who_speaks_twice_does_not_count() -> None:
    votes = [response("eve", "reject", "critical"), response("ann", "approve"), response("ann", "reject")]
    decision = decide(["ann"], votes)
    assert decision is not None
    assert (decision.ruling, decision.reason) == ("continue", "1 of 1 approve, without findings")


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        ([("approve", "critical"), ("approve", "")], "a critical finding of ann"),
        ([("reject", ""), ("reject", "")], "2 of 2 reject"),
        ([("approve", ""), ("abstain", "")], "no quorum: 1 of 2 gave a verdict"),
        ([("approve", ""), ("reject", "")], "votes are split: 1 approve, 1 reject"),
        ([("concerns", "low"), ("approve", "")], "2 of 2 approve, 1 with concerns, 1 with findings"),
        ([("approve", ""), ("approve", ""), ("reject", "")], "1 of 3 reject without a finding"),
    ],
)
def test_reasons(votes: Any, reason: str) -> None:
    said = [response(name, *vote) for name, vote in zip(NAMES, votes, strict=False)]
    assert ReviewOrchestrator().evaluate_verdict(said).reason == reason


# -- triggers and requests ---------------------------------------------------------------------------------------------


def test_triggers() -> None:
    orchestrator = ReviewOrchestrator()
    assert orchestrator.why(Circumstances()) == ()
    assert orchestrator.why(Circumstances(asked=True, failures=2)) == ("asked", "failures")
    assert orchestrator.why(Circumstances(paths=("src/a.py", ".github/workflows/x.yml"))) == ("sensitive_paths",)
    assert orchestrator.why(Circumstances(paths=("src/AuthService.py",))) == ("sensitive_paths",)
    assert orchestrator.why(Circumstances(recovery=True, changed_lines=400)) == ("recovery", "large_diff")
    assert orchestrator.why(Circumstances(changed_lines=399, failures=1)) == ()
    assert orchestrator.why(Circumstances(phase_end=True)) == ()  # only where it is asked for
    assert ReviewOrchestrator(frozenset(["phase_end"])).why(Circumstances(phase_end=True)) == ("phase_end",)


def test_s3_should_trigger_review_reads_events_of_agents_and_of_the_log() -> None:
    trigger = ReviewOrchestrator().should_trigger_review
    assert not trigger([Text(1, "reject"), FileEdit(2, "src/a.py"), TaskStarted("t", 1), TaskFailed("t", 1, "x")])
    assert trigger([FileEdit(1, "deploy/.env.production")])
    assert trigger([TaskFailed("t", 1, "x"), TaskFailed("t", 2, "x")])
    assert trigger([AgentStarted("t", 1, "claude", "edit", "bubblewrap", granted="the directory /data")])
    work = AgentWork("claude", "edit", "bubblewrap", changes=(Changed("setup.py"),))
    assert trigger([TaskCompleted("t", 1, work=work)])
    assert not trigger([AgentStarted("t", 1, "claude", "edit", "bubblewrap"), TaskCompleted("t", 1)])


def test_s3_create_review_request() -> None:
    context = {"task": "T-01", "attempt": 2, "subject": "the result", "subject_sha256": "ab", "reviewers": ["a", "b"]}
    request = ReviewOrchestrator().create_review_request(context)
    assert (request.id, request.reviewers, request.deadline) == ("T-01@2", ("a", "b"), 900.0)
    assert request.question.startswith("Does this work do what its task asks for")
    for reviewers in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="at least one reviewer, and of each only once"):
            ReviewOrchestrator().create_review_request({**context, "reviewers": reviewers})
