"""Estimates: from past runs of the same work, and from nothing else."""

from __future__ import annotations

from pathlib import Path

from orchestrator_nb.runtime.estimates import Estimate, estimates, in_words
from orchestrator_nb.runtime.orchestrator import Orchestrator
from tests.runtime.waiting import plan

SLOW = {"id": "slow", "agent": "simulated", "parameters": {"duration": 0.2}}
QUICK = {"id": "quick", "agent": "simulated", "dependencies": ["slow"]}
FAILING = {"id": "failing", "agent": "simulated", "parameters": {"fail": "no"}}


def test_the_same_work_took_what_it_took(orchestrator: Orchestrator) -> None:
    for _ in range(2):
        orchestrator.run(plan(SLOW, QUICK, FAILING)).wait(20)
    other = {**SLOW, "parameters": {"duration": 0.3}}
    asked = plan({**SLOW, "id": "a", "title": "By another name"}, {**other, "id": "b"}, {**FAILING, "id": "c"})
    known = estimates(asked, orchestrator.settings)
    assert list(known) == ["a"]
    assert 0.2 <= known["a"].seconds < 10
    assert (known["a"].runs, known["a"].cost) == (2, None)


def test_where_there_was_nothing_nothing_is_known(orchestrator: Orchestrator) -> None:
    assert estimates(plan(SLOW), orchestrator.settings) == {}
    assert in_words(plan(SLOW), {}) == ""


def test_what_is_damaged_or_large_is_passed_over(orchestrator: Orchestrator) -> None:
    good = orchestrator.run(plan(SLOW)).wait(20)
    for content in (b"not a log\n", b"x" * 5_000_000):
        bad = orchestrator.run(plan(SLOW)).wait(20)
        Path(bad.path, "events.jsonl").write_bytes(content)
    assert estimates(plan(SLOW), orchestrator.settings)["slow"].runs == 1
    assert good.status == "completed"


def test_a_fork_that_took_it_over_is_no_run(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(SLOW, QUICK)).wait(20)
    orchestrator.fork(run.path, "quick").wait(20)
    assert {name: each.runs for name, each in estimates(plan(SLOW, QUICK), orchestrator.settings).items()} == {
        "slow": 1,
        "quick": 2,
    }


def test_in_words_it_is_the_longest_way_and_all_the_money() -> None:
    asked = plan(SLOW, QUICK, {"id": "beside", "agent": "simulated"})
    known = {"slow": Estimate(30, 0.5, 3), "quick": Estimate(40, None, 1), "beside": Estimate(60, 0.25, 2)}
    assert in_words(asked, known) == "1m 10s, 0.7500 $"
    assert in_words(asked, {"slow": known["slow"]}) == "at least, known of 1 of 3 tasks: 30s, 0.5000 $"
    assert in_words(asked, known, done=["slow", "beside"]) == "40s"
    assert str(known["slow"]) == "30s, 0.5000 $ (3 runs)"
