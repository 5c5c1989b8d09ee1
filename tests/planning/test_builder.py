"""Plans written in Python."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.models import Dependency, DependencyKind
from orchestrator_nb.errors import PlanError
from orchestrator_nb.planning.builder import PlanBuilder


def count(paths: list[str], limit: int = 3) -> int:
    """Count them."""
    return min(len(paths), limit)


async def later(x: int) -> int:
    return x


def test_functions_are_tasks_and_arguments_are_dependencies() -> None:
    plan = PlanBuilder("Count")
    source = plan.param("source", "data", type="path", help="Folder")

    @plan.task(timeout=60)
    def files(folder: str) -> list[str]:
        return [folder]

    found = files(source)
    total = plan.task(count)(found, limit=2)
    built = plan.build()
    assert [task.id for task in built.tasks] == ["files", "count"]
    assert built["files"].function == ":files"
    assert built["files"].parameters == {"folder": "${params.source}"}
    assert built["files"].timeout == 60
    assert built["count"].function == f"{__name__}:count"
    assert built["count"].parameters == {"paths": "${result.files}", "limit": 2}
    assert built["count"].dependencies == (Dependency("files"),)
    assert plan.functions == {":files": files.function}
    assert (total.id, files.__name__, built.params["source"].type) == ("count", "files", "path")


def test_order_by_arrows() -> None:
    plan = PlanBuilder()
    a, b, c, d = (plan.shell(["x"], id=name) for name in "abcd")
    assert (a >> [b, c] >> d) is d
    plan.shell(["y"], id="e").after(d, [a, "b"], kind="sequential")
    f = plan.shell("z", id="f", after=[a, "c"])
    f << b
    built = plan.build()
    assert {task.id: task.upstream for task in built.tasks} == {
        "a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d", "a", "b"), "f": ("a", "c", "b"),
    }  # fmt: skip
    assert {dependency.kind for dependency in built["e"].dependencies} == {DependencyKind.SEQUENTIAL}


def test_tasks_are_sorted_whatever_the_order_in_which_they_were_written() -> None:
    plan = PlanBuilder()
    last = plan.shell(["x"], id="last")
    plan.shell(["y"], id="first") >> last
    assert [task.id for task in plan.build().tasks] == ["first", "last"]


def test_handles_in_texts_lists_and_mappings_are_values() -> None:
    plan = PlanBuilder()
    n = plan.param("n", 3)
    a = plan.shell(["x"], id="a", outputs=["out.csv"])
    plan.agent("simulated", f"Read {a.output('out.csv')}, {a['key']} and {n}", id="b")
    plan.notebook(
        Path("n.ipynb"), {"x": [a, {"y": a["k"]}], "n": n}, id="c", env={"N": n}, inputs=[a.output("out.csv")]
    )
    plan.shell(["y", n, 4, a], id="d", checks=[["test", n]])
    built = plan.build()
    assert built["b"].prompt == "Read ${output.a:out.csv}, ${value.a:key} and ${params.n}"
    assert built["c"].parameters == {"x": ["${result.a}", {"y": "${value.a:k}"}], "n": "${params.n}"}
    assert (built["c"].env, built["c"].inputs) == ({"N": "${params.n}"}, {"out": "${output.a:out.csv}"})
    assert built["d"].command == ("y", "${params.n}", "4", "${result.a}")
    assert all(built[name].upstream == ("a",) for name in "bcd")


def test_a_value_makes_a_sequential_dependency_one_of_data() -> None:
    plan = PlanBuilder()
    a = plan.shell(["x"], id="a")
    plan.shell(["y", a], id="b").after(a, kind="sequential")
    assert plan.build()["b"].dependencies == (Dependency("a"),)


def test_every_kind_of_agent() -> None:
    plan = PlanBuilder()
    plan.shell("ruff check $ORCH_PARAM_x")
    plan.shell(["/usr/bin/ruff", "check"])
    plan.notebook("a/size.ipynb")
    plan.human("Publish?", {"type": "boolean"})
    plan.simulated(title="Read the code", duration=1.5, result={"n": 1}, steps=["one", "two"])
    plan.agent("own", "Do it", {"depth": 1})
    built = plan.build()
    assert [(task.id, task.kind) for task in built.tasks] == [
        ("ruff", "shell"), ("ruff-2", "shell"), ("size", "notebook"), ("human", "human"),
        ("Read-the-code", "simulated"), ("own", "own"),
    ]  # fmt: skip
    assert built["Read-the-code"].parameters == {"duration": 1.5, "result": {"n": 1}, "steps": ["one", "two"]}
    assert built["human"].parameters == {"schema": {"type": "boolean"}}
    assert built["ruff"].command == "ruff check $ORCH_PARAM_x"


def test_functions_that_cannot_be_imported_are_kept_by_name() -> None:
    plan = PlanBuilder()

    class Callable:
        def method(self) -> int:
            return 1

        def __call__(self) -> int:
            return 2

    made = Callable()
    double = lambda x: 2 * x  # noqa: E731 - a lambda is what is tested
    first = plan.task(double)(1)
    plan.task(double)(2)
    plan.task(lambda: 3)()
    plan.task(made.method)()
    plan.task(made.method)()
    plan.task(made)()
    plan.task(functools.partial(count, ["a"]))(limit=1)
    plan.task(later)(1)
    built = plan.build()
    assert first.id == "lambda"
    assert [task.function for task in built.tasks] == [
        ":function", ":function", ":function_2", ":method", ":method", ":Callable", ":partial", f"{__name__}:later",
    ]  # fmt: skip
    assert plan.functions[":function"](4) == 8
    assert plan.functions[":function_2"]() == 3
    assert plan.load().functions == plan.functions


def test_a_function_may_be_used_again_with_other_options() -> None:
    plan = PlanBuilder()
    counting = plan.task(count, timeout=5)
    counting(["a"])
    counting.options(id="all", retry=2)(["b"])
    built = plan.build()
    assert [(task.id, task.timeout, task.retry is not None) for task in built.tasks] == [
        ("count", 5, False),
        ("all", 5, True),
    ]
    assert counting.function(["a"]) == 1


def test_phases_limits_merge_and_fallback() -> None:
    plan = PlanBuilder("T", description="D", limits={"max_parallel": 2}, merge="concatenate")
    phase = plan.phase("p", "Phase", max_parallel=1)
    plan.shell(["x"], phase=phase, fallback={"function": count, "parameters": {"paths": []}}, ok_exit_codes={0, 1})
    built = plan.build()
    assert (built.title, built.description, built.limits.max_parallel, built.merge.strategy) == (
        "T",
        "D",
        2,
        "concatenate",
    )
    assert built.phases[0].max_parallel == 1
    fallback = built["x"].fallback
    assert fallback is not None
    assert (fallback.function, built["x"].ok_exit_codes) == (f"{__name__}:count", (0, 1))


# -- what is wrong is said where it is written -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": "long"}, "timeout must be a number, not 'long'"),
        ({"timout": 3}, "unknown key 'timout'; did you mean 'timeout'?"),
        ({"id": "../x"}, "an id is made of"),
        ({"env": {"A": object()}}, "env['A'] is of type object"),
        ({"after": 3}, "comes after tasks, not after int"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        PlanBuilder().shell(["x"], **options)
    assert words in str(caught.value)


def test_wrong_arguments_are_refused_as_the_call_would() -> None:
    plan = PlanBuilder()
    with pytest.raises(TypeError, match="missing a required argument: 'paths'"):
        plan.task(count)()
    with pytest.raises(TypeError, match="unexpected keyword"):
        plan.task(count)([], limits=3)
    with pytest.raises(TypeError, match="cannot be given by name"):
        plan.task(print)("x")
    with pytest.raises(PlanError, match=r"count\(\)\['paths'\] is of type set"):
        plan.task(count)({"a"})


def test_names_are_given_once_and_other_plans_are_not_mixed_in() -> None:
    plan, other = PlanBuilder(), PlanBuilder()
    a = plan.shell(["x"], id="a")
    with pytest.raises(PlanError, match="has a task 'a' already"):
        plan.shell(["y"], id="a")
    plan.param("n", 1)
    with pytest.raises(PlanError, match="has a parameter 'n' already"):
        plan.param("n", 2)
    with pytest.raises(PlanError, match="belongs to another plan"):
        other.shell(["x"], after=a)
    with pytest.raises(PlanError, match="not to int"):
        a >> 3
    with pytest.raises(PlanError, match="'a-b' is no name"):
        plan.param("a-b")
    with pytest.raises(TypeError, match="cannot be looped over"):
        list(a)
    with pytest.raises(KeyError, match="no task has the id 'A'"):
        plan["A"]


def test_what_makes_no_sense_is_said_when_the_plan_is_built() -> None:
    plan = PlanBuilder()
    a = plan.shell(["x"], id="a", phase="p")
    a >> plan.shell(["x"], id="b") >> a
    with pytest.raises(PlanError) as caught:
        plan.build()
    assert "unknown phase 'p'" in str(caught.value)
    assert "cycle: a -> b -> a" in str(caught.value)


def test_it_shows_what_it_holds() -> None:
    plan = PlanBuilder("Count")
    a = plan.shell(["x"], id="a")
    b = plan.task(count)(a)
    assert repr(plan) == "PlanBuilder 'Count': 2 tasks\n  a      shell\n  count  function   after a"
    assert (repr(a), repr(a["k"]), str(b), repr(plan.task(count))) == (
        "<task 'a'>",
        "<value ${value.a:k}>",
        "${result.count}",
        "<task function count>",
    )
    assert (len(plan), list(plan.tasks), plan["a"].id) == (2, ["a", "count"], "a")
    for _ in range(40):
        plan.task(count)([])
    assert repr(plan).endswith("  ... 12 more")


def test_a_thousand_calls_are_numbered() -> None:
    plan = PlanBuilder()
    counting = plan.task(count)
    parts = [counting([str(number)]) for number in range(1_000)]
    plan.task(count, id="all")([*parts])
    built = plan.build()
    assert built.tasks[999].id == "count-1000"
    assert len(built["all"].dependencies) == 1_000
