"""Faults as people read them."""

from __future__ import annotations

import pytest

from orchestrator_nb.core.faults import Fault, dotted, printable, refuse
from orchestrator_nb.errors import PlanError


def test_a_fault_says_where_what_and_what_to_do() -> None:
    path = ("tasks", 3, "dependencies", 1)
    fault = Fault("error", "unknown dependency 'T-2'", "x", path, "did you mean 'T-02'?", "plan.yaml", 12, 5)
    assert str(fault) == "plan.yaml:12: task 'x': unknown dependency 'T-2'; did you mean 'T-02'?"
    assert fault.key == "dependencies[1]"


def test_what_is_not_known_is_left_out() -> None:
    assert str(Fault("error", "is empty", file="plan.yaml")) == "plan.yaml: is empty"
    assert str(Fault("warning", "no task holds the lock 'x'")) == "warning: no task holds the lock 'x'"


def test_messages_of_S0_stand_as_they_are() -> None:
    assert str(Fault("warning", "Task a exceeds context budget", "a")) == "warning: Task a exceeds context budget"


def test_keys_outside_tasks() -> None:
    assert Fault("error", "", path=("params", "x", "choices", 0)).key == "params.x.choices[0]"
    assert dotted(()) == ""


def test_faults_are_safe_to_print() -> None:
    assert str(Fault("error", "bad \x1b[31m\u202e\r\n id")) == r"bad \x1b[31m\u202e\r\n id"
    assert printable("größe 日本") == "größe 日本"


def test_refuse_raises_with_all_of_them_and_lets_warnings_pass() -> None:
    warning, one, two = Fault("warning", "w"), Fault("error", "one"), Fault("error", "two")
    refuse([warning])
    with pytest.raises(PlanError, match=r"^one$"):
        refuse([one, warning])
    with pytest.raises(PlanError) as caught:
        refuse([one, warning, two])
    assert str(caught.value) == "2 faults in the plan:\none\ntwo"
    assert caught.value.faults == (one, warning, two)
