"""The limits of a run."""

from __future__ import annotations

from orchestrator_nb.core.limits import Limits
from orchestrator_nb.core.models import Plan
from orchestrator_nb.policies.admission import Admission, admission_for


def test_what_fits_and_what_does_not() -> None:
    admission = Admission(10, {"cpu": 4.0})
    assert admission.blocker((("cpu", 2.0),), {"cpu": 2.0}) is None
    assert admission.blocker((("cpu", 2.5),), {"cpu": 2.0}) == "cpu"
    assert admission.blocker((("cpu", 9.0),), {}) is None, "alone, rather than never"
    assert admission.blocker((("lock x", 1.0),), {"lock x": 1.0}) == "lock x"
    assert admission.blocker((("phase p", 1.0),), {"phase p": 99.0}) is None, "no limit was set"


def test_fractions_add_up() -> None:
    admission = Admission(10, {"cpu": 1.0})
    assert admission.blocker((("cpu", 0.1),), {"cpu": 0.1 * 9}) is None


def test_the_plan_and_the_caller_before_the_machine() -> None:
    plan = Plan.model_validate(
        {
            "limits": {"max_parallel": 3, "cpu": 1.5, "resources": {"gpu": 2}},
            "phases": [{"id": "p", "max_parallel": 2}, {"id": "q"}],
        }
    )
    admission = admission_for(plan, Limits(), cores=8, memory_gb=16)
    assert admission.max_parallel == 3
    assert admission.capacity == {"cpu": 1.5, "memory": 16, "lock gpu": 2.0, "phase p": 2.0}
    assert admission_for(plan, Limits(max_parallel=1), 8, 16).max_parallel == 1
    assert admission_for(Plan(), Limits(), 8, 16).max_parallel == 10
