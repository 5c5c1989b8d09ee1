"""Known names and hints, cheap whatever is asked."""

from __future__ import annotations

import time

from orchestrator_nb.core.names import Names


def test_hints() -> None:
    names = Names(["T-02", "T-10", "report"])
    assert names.hint("T-2") == "did you mean 'T-02'?"
    assert names.hint("t_02") == "did you mean 'T-02'?"
    assert names.hint("reprot") == "did you mean 'report'?"
    assert names.hint("zzzzzz") == ""
    assert "report" in names
    assert "reprot" not in names


def test_of_names_that_are_alike_the_first_is_meant() -> None:
    assert Names(["T-02", "t-02"]).hint("T-2") == "did you mean 'T-02'?"


def test_a_plan_full_of_wrong_names_costs_little() -> None:
    names = Names([f"task-{number:05d}" for number in range(100_000)])
    began = time.process_time()
    hints = [names.hint(f"tsak-{number}") for number in range(2_000)]
    assert time.process_time() - began < 5
    assert names.hint("task-7") == "did you mean 'task-00007'?"
    assert len(hints) == 2_000
