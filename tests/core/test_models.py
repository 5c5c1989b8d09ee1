"""The plan's models: shorthands, strictness, round trips, size in memory."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from orchestrator_nb.core.checks import check
from orchestrator_nb.core.fields import is_inside
from orchestrator_nb.core.models import (
    Dependency,
    DependencyKind,
    OnFailure,
    Param,
    Plan,
    Result,
    Retry,
    Task,
    Work,
    agent_kind,
)
from tests.plans import PLANS


def task(**keys: Any) -> Task:
    return Plan.model_validate({"tasks": [{"id": "a", **keys}]}).tasks[0]


def param(data: Any) -> Param:
    return Plan.model_validate({"params": {"x": data}}).params["x"]


# -- shorthands --------------------------------------------------------------------------------------------------------


def test_dependencies_are_ids_or_mappings() -> None:
    spec = task(dependencies=["b", {"task": "c", "kind": "sequential"}, {"task": "d", "kind": "resource"}])
    assert spec.dependencies[0] == Dependency("b", DependencyKind.DATA)
    assert spec.dependencies[1].kind is DependencyKind.SEQUENTIAL
    assert spec.upstream == ("b", "c")


def test_retry_result_and_merge_have_short_forms() -> None:
    assert task(retry=2).retry == Retry(attempts=2)
    assert task(retry={"delay": 1}).retry == Retry(delay=1)
    assert task(result="sarif").result == Result(format="sarif")
    assert Plan.model_validate({"merge": "concatenate"}).merge.strategy == "concatenate"


def test_a_fallback_is_used_unless_something_else_is_said() -> None:
    assert task(fallback={"command": "x"}).on_failure is OnFailure.FALLBACK
    assert task(fallback={"command": "x"}, on_failure="skip").on_failure is OnFailure.SKIP
    assert task().on_failure is OnFailure.BLOCK


def test_inputs_as_a_list_are_named_after_the_files() -> None:
    inputs = task(inputs=["data/my-file.csv", "${output.b:out/report.json}", "other/my-file.csv", "1.txt"]).inputs
    assert inputs == {
        "my_file": "data/my-file.csv",
        "report": "${output.b:out/report.json}",
        "my_file_2": "other/my-file.csv",
        "_1": "1.txt",
    }


def test_tasks_may_be_a_mapping() -> None:
    plan = Plan.model_validate({"tasks": {"a": {"command": "x"}, "b": None}})
    assert [spec.id for spec in plan.tasks] == ["a", "b"]
    with pytest.raises(ValidationError, match="leave `id` out"):
        Plan.model_validate({"tasks": {"a": {"id": "b"}}})


@pytest.mark.parametrize(
    ("data", "kind", "required", "default"),
    [
        (3, "int", False, 3),
        (True, "bool", False, True),
        (0.5, "float", False, 0.5),
        ("x", "str", False, "x"),
        ([1], "json", False, [1]),
        (None, "str", True, None),
        ({}, "str", True, None),
        ({"type": "path"}, "path", True, None),
        ({"type": "path", "default": "."}, "path", False, "."),
        ({"default": {"a": 1}}, "json", False, {"a": 1}),
        ({"default": None}, "str", False, None),
        ({"type": "int", "required": False}, "int", False, None),
    ],
)
def test_params_have_types_and_defaults(data: Any, kind: str, required: bool, default: Any) -> None:
    made = param(data)
    assert (made.type, made.required, made.default) == (kind, required, default)


def test_agents_are_told_from_the_work() -> None:
    kinds = [agent_kind(Work(**work)) for work in ({"command": "x"}, {"function": "m:f"}, {"notebook": "a"}, {})]
    assert kinds == ["shell", "function", "notebook", "none"]
    assert Task(id="a", agent="human", command="x").kind == "human"


# -- strictness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {"timeout": "60"},
        {"timeout": True},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"retry": "2"},
        {"retry": True},
        {"retry": 0},
        {"retry": 1.5},
        {"title": 12},
        {"command": 3},
        {"command": ["a", 1]},
        {"dependencies": "b"},
        {"env": {"A": 1}},
        {"ok_exit_codes": ["0"]},
        {"ok_exit_codes": [256]},
        {"outputs": ["../x"]},
        {"inputs": {"a b": "x"}},
        {"unknown": 1},
        {"parameters": {"x": object()}},
        {"parameters": None},
        {"parameters": {"x": [float("nan")]}},
        {"dependencies": [{"task": "b", "why": "x"}]},
    ],
)
def test_nothing_is_guessed(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        task(**keys)


def test_whole_numbers_may_be_written_as_json_does() -> None:
    assert task(retry=3.0).retry == Retry(attempts=3)
    assert task(ok_exit_codes=[1.0]).ok_exit_codes == (1,)


def test_plans_are_frozen() -> None:
    plan = Plan(tasks=(Task(id="a"),))
    with pytest.raises(ValidationError, match="frozen"):
        plan.title = "x"
    with pytest.raises(ValidationError, match="frozen"):
        plan.tasks[0].title = "x"
    with pytest.raises(AttributeError):
        Dependency("a").task = "b"  # type: ignore[misc]


@pytest.mark.parametrize("path", ["a", "a/b.c", "./a", "a/./b", "-rf", "größe", "a b", "~", "..."])
def test_paths_inside(path: str) -> None:
    assert is_inside(path)


@pytest.mark.parametrize(
    "path", ["", ".", "./", "/a", "..", "../a", "a/../b", "a/..", "C:x", "a\\b", "a\nb", "\0", "\ud800"]
)
def test_paths_outside(path: str) -> None:
    assert not is_inside(path)


# -- as a value --------------------------------------------------------------------------------------------------------


@given(PLANS)
@settings(max_examples=100, deadline=None)
def test_a_plan_survives_the_trip_through_its_canonical_json(raw: dict[str, Any]) -> None:
    plan = Plan.model_validate(raw)
    with_default = [param for param in plan.params.values() if param.default is not None]
    faulty = any(
        param.required or (param.type == "str" and not isinstance(param.default, str)) for param in with_default
    )
    if faulty or any(spec.fallback and spec.on_failure is not OnFailure.FALLBACK for spec in plan.tasks):
        assert any(fault.severity == "error" for fault in check(plan))  # such a plan is never kept
        return
    content = plan.model_dump_json(exclude_defaults=True)
    again = Plan.model_validate_json(content)
    assert again == plan
    assert again.model_dump_json(exclude_defaults=True) == content


def test_a_task_can_be_copied_with_changes() -> None:
    first = Task(id="a", command=("x",))
    second = first.model_copy(update={"title": "t"})
    assert (first.title, second.title, second.command, first.label, second.label) == ("", "t", ("x",), "a", "t")


def test_a_plan_finds_its_tasks_by_id() -> None:
    plan = Plan(tasks=(Task(id="a"), Task(id="b", dependencies=(Dependency("a"),))))
    assert (len(plan), plan["b"].id, plan.graph.parents) == (2, "b", [(), (0,)])


def test_a_copy_of_a_plan_with_other_tasks_has_another_graph() -> None:
    plan = Plan(tasks=(Task(id="a"), Task(id="b")))
    assert len(plan.graph) == 2
    assert len(plan.model_copy(update={"tasks": plan.tasks[:1]}).graph) == 1


def test_a_task_is_small() -> None:
    Task.model_validate({"id": "T", "command": "x", "review": ["human"]})  # whose own dictionary is large
    tasks = [Task(id=f"T-{number}", command=("x",)) for number in range(10)]
    size = sys.getsizeof(tasks[5]) + sys.getsizeof(tasks[5].__dict__)
    assert size <= 500  # names are kept once, not 29 times in every task
    assert tasks[5].review is None
    assert "review" not in tasks[5].model_dump_json(exclude_defaults=True)
    assert tasks[4].__pydantic_fields_set__ is tasks[5].__pydantic_fields_set__
    assert sys.getsizeof(Dependency("a")) <= 64
