from __future__ import annotations

import ast
import asyncio
import contextvars
import functools
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.calls import Signature, TaskContext
from orchestrator_nb.core.events import TaskProgressed
from orchestrator_nb.core.ports import Timeout
from tests.agents.lab import Lab

MODULE = """
import asyncio, os, sys, time
from orchestrator_nb.core.reports import Finding, Report

def add(a, b=2):
    print("adding")
    return a + b

async def later(a):
    await asyncio.sleep(0)
    return {"a": a}

def where(ctx: "TaskContext"):
    ctx.progress("half", 1, 2)
    ctx.progress("all", 2, 2)
    (ctx.outputs / "answer.json").write_text('{"n": [1, 2]}')
    return ctx.outputs / "answer.json"

def about(ctx: "TaskContext"):
    return [ctx.task, ctx.attempt, dict(ctx.params), ctx.inputs["data"].read_text(), ctx.idempotency_key, ctx.session]

def review():
    return Report("one thing", [Finding("bad", "style", "ERROR")])

def fails():
    raise ValueError("no such luck")

def unreachable():
    raise ConnectionError("try later")

def leaves():
    sys.exit("bye")

def dies():
    os._exit(7)

def sleeps():
    time.sleep(30)

def answers_a_set():
    return {1}

def pid():
    return os.getpid()
"""

THREAD_AND_PROCESS = pytest.mark.parametrize("isolate", ["thread", "process"])


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path, params={"p": 1})
    (lab.base / "fun").mkdir()
    (lab.base / "fun" / "work.py").write_text(MODULE)
    return lab


def here(lab: Lab, function: Any, **fields: Any) -> Any:
    """Run a function that was handed in; its value."""
    reference = f":f{len(lab.context.functions)}"
    lab.context.functions[reference] = function  # type: ignore[index]
    return lab.succeed(function=reference, **fields)


@THREAD_AND_PROCESS
def test_arguments_are_given_by_name(lab: Lab, isolate: str) -> None:
    assert lab.succeed(function="fun.work:add", parameters={"a": 3}, isolate=isolate) == 5
    assert lab.succeed(function="fun.work:later", parameters={"a": [1]}, isolate=isolate, attempt=2) == {"a": [1]}


@THREAD_AND_PROCESS
def test_a_context_says_where_outputs_go_and_takes_progress(lab: Lab, isolate: str) -> None:
    execution = lab.run(function="fun.work:where", outputs=["answer.json"], isolate=isolate)
    assert execution.outcome.value == {"n": [1, 2]}  # type: ignore[union-attr]
    assert [artifact.path for artifact in execution.outputs] == ["outputs/T-01/answer.json"]
    progress = [event for event in lab.events if isinstance(event, TaskProgressed)]
    assert progress == [TaskProgressed("T-01", 1, "half", 1, 2), TaskProgressed("T-01", 1, "all", 2, 2)]


@THREAD_AND_PROCESS
def test_a_context_knows_its_task(lab: Lab, isolate: str, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("content")
    value = lab.succeed(function="fun.work:about", inputs={"data": str(tmp_path / "data.txt")}, isolate=isolate)
    assert value == ["T-01", 1, {"p": 1}, "content", f"{lab.session.id}/T-01", lab.session.id]


@THREAD_AND_PROCESS
def test_a_report_is_a_structured_result(lab: Lab, isolate: str) -> None:
    execution = lab.run(function="fun.work:review", isolate=isolate)
    assert execution.format == "report"
    assert execution.outcome.value == {  # type: ignore[union-attr]
        "summary": "one thing",
        "findings": [{"message": "bad", "category": "style", "severity": "high"}],
    }


@THREAD_AND_PROCESS
def test_an_exception_is_told_with_its_place(lab: Lab, isolate: str) -> None:
    failure = lab.fail(function="fun.work:fails", isolate=isolate)
    assert failure.error.startswith("ValueError: no such luck\n")
    assert "fun/work.py" in failure.error
    assert "orchestrator_nb" not in failure.error
    assert (failure.kind, failure.transient) == ("exception", False)
    assert lab.fail(function="fun.work:unreachable", isolate=isolate, attempt=2).transient
    assert "exit('bye')" in lab.fail(function="fun.work:leaves", isolate=isolate, attempt=3).error


@THREAD_AND_PROCESS
@pytest.mark.parametrize(
    ("function", "parameters", "words", "kind"),
    [
        ("fun.work:add", {}, "needs 'a', to be given in `parameters`", "preflight"),
        ("fun.work:add", {"a": 1, "bb": 2}, "no parameter 'bb'; did you mean 'b'? (it takes: a, b)", "preflight"),
        ("fun.work:ad", {"a": 1}, "has no function 'ad'; did you mean 'add'?", "preflight"),
        ("fun.work:__doc__", {}, "is no function but a NoneType", "preflight"),
        ("fun.work:answers_a_set", {}, "the function's result is of type set: return sorted(...)", "result"),
    ],
)
def test_a_bad_call_is_explained(
    lab: Lab, isolate: str, function: str, parameters: dict[str, Any], words: str, kind: str
) -> None:
    failure = lab.fail(function=function, parameters=parameters, isolate=isolate)
    assert words in failure.error
    assert failure.kind == kind


def test_an_isolated_function_runs_in_a_process_of_its_own(lab: Lab) -> None:
    assert lab.succeed(function="fun.work:pid", isolate="process") != os.getpid()
    assert lab.fail(function="fun.work:dies", isolate="process", attempt=2).exit_code == 7
    assert b"adding" not in lab.read("attempts/T-01/1/log")
    lab.succeed(function="fun.work:add", parameters={"a": 1}, isolate="process", attempt=3)
    assert lab.read("attempts/T-01/3/log") == b"adding\n"


def test_the_time_limit_of_a_process_is_real_and_that_of_a_thread_is_not(lab: Lab) -> None:
    began = time.monotonic()
    ended = lab.run(function="fun.work:sleeps", isolate="process", timeout=0.5).outcome
    assert ended == Timeout(0.5)
    assert ended.error == "Task Timeout: Agent exceeded 0.5s"
    outcome = lab.run(function="fun.work:sleeps", timeout=0.2, attempt=2).outcome
    assert isinstance(outcome, Timeout)
    assert "goes on in its thread; `isolate: process` would end it" in outcome.error
    assert time.monotonic() - began < 10


def test_a_function_of_the_notebook_cannot_be_isolated(lab: Lab) -> None:
    lab.context.functions[":f"] = lambda: 1  # type: ignore[index]
    assert "put it in a module" in (lab.preflight(function=":f", isolate="process") or "")
    assert "put it in a module" in lab.fail(function=":f", isolate="process").error


def test_a_function_that_was_not_handed_in_again_is_named(lab: Lab) -> None:
    lab.context.functions[":load"] = lambda: 1  # type: ignore[index]
    failure = lab.fail(function=":lod")
    assert "hand it in again; did you mean ':load'? (handed in: :load)" in failure.error
    assert lab.preflight(function=":lod") == failure.error


def test_a_function_may_be_handed_in_by_its_bare_name(lab: Lab) -> None:
    lab.context.functions["bare"] = lambda: 4  # type: ignore[index]
    assert lab.succeed(function=":bare") == 4


def test_preflight_finds_a_missing_function_without_importing(lab: Lab) -> None:
    assert lab.preflight(function="fun.work:add", parameters={"a": 1}) is None
    assert "did you mean 'add'?" in (lab.preflight(function="fun.work:ad") or "")
    assert "needs 'a', to be" in (lab.preflight(function="fun.work:add") or "")
    fault = lab.preflight(function="fun.work:add", parameters={"a": 1, "bb": 2})
    assert fault == "function 'fun.work:add' has no parameter 'bb'; did you mean 'b'? (it takes: a, b)"
    assert lab.preflight(function="fun.work:about") is None
    assert "has no `function`" in (lab.preflight(agent="function") or "")


@pytest.mark.parametrize(
    "source",
    [
        "def f(a, b=1, *, c, d=2): pass",
        "def f(a, ctx: TaskContext): pass",
        "async def f(ctx: 'calls.TaskContext', **more): pass",
        "def f(*args): pass",
        "def f(a=1, /, b=2): pass",
    ],
)
def test_a_signature_reads_the_same_from_the_source(source: str) -> None:
    names: dict[str, Any] = {"TaskContext": TaskContext}
    exec(source, names)
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    assert Signature.of_source(function) == Signature.of("f", names["f"])


def test_async_functions_run_on_the_runs_loop(lab: Lab) -> None:
    async def f() -> str:
        return threading.current_thread().name

    assert here(lab, f) == threading.current_thread().name


def test_plain_functions_run_in_daemon_threads_with_the_callers_context(lab: Lab) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def f() -> list[Any]:
        return [threading.current_thread().daemon, variable.get(), threading.current_thread().name]

    assert here(lab, f) == [True, "set", "orchestrator-function"]


def test_a_function_gets_copies_of_its_arguments(lab: Lab) -> None:
    def f(items: list[int]) -> list[int]:
        items.append(2)
        return items

    parameters = {"items": [1]}
    assert here(lab, f, parameters=parameters) == [1, 2]
    assert here(lab, f, parameters=parameters, attempt=2) == [1, 2]


def test_any_callable_is_a_function(lab: Lab) -> None:
    class Adder:
        async def __call__(self, a: int) -> int:
            return a + 1

    assert here(lab, Adder(), parameters={"a": 1}) == 2
    assert here(lab, functools.partial(lambda a, b: a + b, b=5), parameters={"a": 1}, attempt=2) == 6

    async def coroutine() -> int:
        return 9

    assert here(lab, lambda n=None: coroutine(), attempt=3) == 9


def test_keywords_and_positions(lab: Lab) -> None:
    def anything(**named: Any) -> Any:
        return named

    def by_position(a: int, /) -> int:
        return a

    assert here(lab, anything, parameters={"x": 1, "y": 2}) == {"x": 1, "y": 2}
    lab.context.functions[":g"] = by_position  # type: ignore[index]
    assert "takes 'a' by position only" in lab.fail(function=":g").error
    (lab.base / "fun" / "position.py").write_text("def f(a, /): pass\n")
    assert "takes 'a' by position only" in (lab.preflight(function="fun.position:f") or "")


def test_a_context_is_recognised_by_class_and_by_name(lab: Lab) -> None:
    def f(me: TaskContext, n: int = 1) -> list[Any]:
        return [me.task, n]

    assert here(lab, f, parameters={"n": 4}) == ["T-01", 4]


def test_text_is_a_result_as_it_is(lab: Lab) -> None:
    lab.context.functions[":f"] = lambda: "plain words"  # type: ignore[index]
    execution = lab.run(function=":f")
    assert (execution.outcome.value, execution.format) == ("plain words", "text")  # type: ignore[union-attr]


def test_a_path_must_be_a_declared_output(lab: Lab) -> None:
    lab.context.functions[":f"] = lambda: Path("/etc/passwd")  # type: ignore[index]
    failure = lab.fail(function=":f", outputs=["a.txt"])
    assert failure.error == (
        "the function's result is the path /etc/passwd, which is no declared output (declared: a.txt)"
    )


def test_progress_is_thinned_out(lab: Lab) -> None:
    def f(ctx: TaskContext) -> None:
        for done in range(10_000):
            ctx.progress("x" * 1000, done + 1, 10_000)

    here(lab, f)
    assert 2 <= len(lab.events) < 100
    assert (lab.events[-1].done, len(lab.events[-1].message)) == (10_000, 200)  # type: ignore[attr-defined]


def test_a_task_without_result_leaves_nothing_behind(lab: Lab) -> None:
    assert here(lab, lambda: None) is None
    assert sorted(path.name for path in lab.session.path.iterdir()) == ["control"]


def test_a_function_that_cancels_itself_fails(lab: Lab) -> None:
    async def f() -> None:
        raise asyncio.CancelledError

    lab.context.functions[":f"] = f  # type: ignore[index]
    assert lab.fail(function=":f").kind == "cancelled"
