"""The checks: every fault at once, each with its place and remedy, none where there is none."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.core.checks import check
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.models import Plan
from tests.plans import PLANS, dags


def faults(*tasks: dict[str, Any], topology: bool = False, agents: Any = None, **plan: Any) -> list[Fault]:
    full = [{"command": ["x"], **task} if not task.keys() & WORK else task for task in tasks]
    return check(Plan.model_validate({**plan, "tasks": full}), topology, agents)


WORK = {"command", "prompt", "function", "notebook", "agent", "nothing"}


def said(*tasks: dict[str, Any], **plan: Any) -> list[str]:
    return [str(fault) for fault in faults(*tasks, **plan)]


def test_a_sound_plan_has_no_faults() -> None:
    assert not said(
        {"id": "a", "outputs": ["x.csv"]},
        {"id": "b", "dependencies": ["a"], "command": ["wc", "${output.a:x.csv}", "${params.n}"], "phase": "p"},
        {"id": "c", "dependencies": ["b", {"task": "a", "kind": "sequential"}], "agent": "human",
         "prompt": "${result.b}?"},
        {"id": "d", "function": "m.n:f", "parameters": {"x": "${value.c:y}"}, "dependencies": ["c"], "retry": 2},
        {"id": "e", "notebook": "${params.n}.ipynb", "fallback": {"command": "echo $HOME"}, "timeout": 5},
        {"id": "f/g", "agent": "simulated", "resources": {"locks": ["db"]}, "env": {"A": "${params.n}"}},
        params={"n": "x"},
        phases=[{"id": "p"}],
        limits={"resources": {"db": 2}},
        merge={"tasks": ["a"]},
    )  # fmt: skip


# -- ids and dependencies ----------------------------------------------------------------------------------------------


def test_ids_that_cannot_stand_beside_each_other() -> None:
    assert said({"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": "A"}) == [
        "task 'a': the id 'a' is used twice; give each task an id of its own",
        "task 'A': the ids 'a' and 'A' are the same file on some systems; let them differ in more than capitals",
    ]


@pytest.mark.parametrize(("one", "other"), [("a", "a/1"), ("a", "A/b/c"), ("a/b", "a/b/c"), ("a", "a.log/b")])
def test_an_id_is_no_folder_of_another(one: str, other: str) -> None:
    found = faults({"id": other}, {"id": one})
    assert [(fault.task, fault.key) for fault in found] == [(one, "id")]
    assert f"also a folder of the id '{other}'" in found[0].message


def test_unknown_dependencies_name_the_nearest() -> None:
    found = faults({"id": "T-02"}, {"id": "b", "dependencies": ["T-2", "zzz"]})
    assert [fault.key for fault in found] == ["dependencies[0]", "dependencies[1]"]
    assert str(found[0]) == "task 'b': unknown dependency 'T-2'; did you mean 'T-02'?"
    assert str(found[1]).endswith("unknown dependency 'zzz'; add such a task, or remove the dependency")


def test_a_shared_resource_may_have_any_name() -> None:
    assert not said({"id": "a", "dependencies": [{"task": "the printer", "kind": "resource"}]})


def test_a_cycle_is_shown_with_its_path() -> None:
    assert said(
        {"id": "a", "dependencies": ["c"]}, {"id": "b", "dependencies": ["a"]}, {"id": "c", "dependencies": ["b"]}
    ) == ["task 'a': cycle: a -> b -> c -> a; remove one of these dependencies"]


def test_every_cycle_is_told_and_a_long_one_is_shortened() -> None:
    ring = [{"id": f"r{n}", "dependencies": [f"r{(n - 1) % 100}"]} for n in range(100)]
    other = [{"id": "x", "dependencies": ["y", "r0"]}, {"id": "y", "dependencies": ["x"]}]
    found = said(*ring, *other)
    assert len(found) == 2
    assert "cycle: r0 -> r1 -> " in found[0]
    assert "... 80 more ..." in found[0]
    assert "cycle: x -> y -> x" in found[1]


def test_a_task_that_depends_on_itself() -> None:
    assert said({"id": "a", "dependencies": ["a"]}) == ["task 'a': depends on itself; remove the dependency"]


def test_a_dependency_that_is_named_twice_is_a_warning() -> None:
    found = faults({"id": "a"}, {"id": "b", "dependencies": ["a", {"task": "a", "kind": "sequential"}]})
    assert [fault.severity for fault in found] == ["warning"]


def test_rule_of_S0_on_order_in_its_words() -> None:
    tasks = ({"id": "T-01", "dependencies": ["T-02"]}, {"id": "T-02"})
    assert not said(*tasks)
    assert [fault.message for fault in faults(*tasks, topology=True)] == [
        "Invalid Topology: Task T-01 depends on future task T-02"
    ]
    itself = [fault.message for fault in faults({"id": "a", "dependencies": ["a"]}, topology=True)]
    assert itself == ["Invalid Topology: Task a depends on future task a"]


def test_warning_of_S0_on_the_context_budget_in_its_words() -> None:
    found = faults({"id": "a", "files": ["1", "2", "3"]}, {"id": "b", "files": ["1", "2", "3", "4"]})
    assert [(fault.severity, fault.message) for fault in found] == [("warning", "Task b exceeds context budget")]


# -- work --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ({"agent": ""}, "has no work; give it a command, function or notebook, or an agent and a prompt"),
        ({"agent": "none"}, "has no work"),
        ({"prompt": "x"}, "says what to do, but not who does it; add `agent`"),
        ({"command": "x", "function": "m:f"}, "more than one kind of work (command and function); keep one"),
        ({"agent": "shell"}, "agent 'shell' needs a `command`; add `command`"),
        ({"agent": "shell", "prompt": "x"}, "needs a `command`; add `command` instead of `prompt`"),
        ({"agent": "human"}, "agent 'human' needs a `prompt`"),
        ({"agent": "human", "prompt": " "}, "the prompt is empty"),
        ({"agent": "function", "command": "x"}, "agent 'function' needs a `function`"),
        ({"agent": "notebook"}, "agent 'notebook' needs a `notebook`"),
        ({"command": []}, "the command is empty"),
        ({"command": " "}, "the command is empty"),
        ({"function": "f"}, "'f' names no function; write module:name"),
        ({"function": "os.system('x'):f"}, "names no function"),
        ({"function": ":f", "isolate": "process"}, "a process of its own needs an importable function"),
        ({"notebook": "s3://b/x.ipynb"}, "no notebook on this machine"),
        ({"notebook": "x.txt"}, "no notebook on this machine"),
        ({"notebook": "x.ipynb", "parameters": {"a=1; import os #": 1}}, "no name of a parameter"),
        ({"notebook": "x.ipynb", "parameters": {"class": 1}}, "'class' is no name of a parameter"),
        ({"function": "m:f", "parameters": {"a b": 1}}, "'a b' is no name of a parameter"),
        ({"function": "m:f", "parameters": {"a": 2**70}}, "64 bits"),
        ({"function": "m:f", "parameters": {"a": "\ud800"}}, "Unicode"),
        ({"command": ["x", "a\0b"]}, "NUL"),
        ({"title": "\ud800"}, "Unicode"),
        ({"on_failure": "fallback"}, "on_failure is 'fallback', but there is none; add `fallback`"),
        ({"on_failure": "skip", "fallback": {"command": "x"}}, "its fallback is never used"),
        ({"fallback": {"agent": "shell"}}, "agent 'shell' needs a `command`"),
        ({"ok_exit_codes": []}, "no exit code counts as success"),
        ({"phase": "p"}, "unknown phase 'p'"),
        ({"checks": [[]]}, "the command is empty"),
        ({"env": {"A-B": "x"}}, "'A-B' is no name of an environment variable"),
        ({"env": {"ORCH_TASK_ID": "x"}}, "the names ORCH_... are the run's own"),
        ({"outputs": ["a", "b", "./a"]}, "output './a' may be the file 'a'"),
        ({"outputs": ["a", "A"]}, "output 'A' may be the file 'a'"),
        ({"outputs": ["a", "a"]}, "output 'a' is named twice"),
        ({"outputs": ["a/b", "a"]}, "output 'a' is also the folder of another"),
        ({"outputs": ["${params.x}"]}, "values are not put into the names of outputs"),
        ({"outputs": ["report.json"], "result": {"source": "reprot.json"}}, "did you mean 'report.json'?"),
        ({"resources": {"cpu": 8}}, "needs cpu 8, the plan's limit is 4: it could never start"),
        ({"resources": {"memory_gb": 2}}, "needs memory_gb 2, the plan's limit is 1"),
        ({"resources": {"locks": [" "]}}, "a lock needs a name"),
        ({"join": "one_success"}, "join 'one_success' means nothing with no dependencies"),
    ],
)
def test_a_task_that_makes_no_sense(task: dict[str, Any], complaint: str) -> None:
    found = said({"id": "t", **task}, limits={"cpu": 4, "memory_gb": 1})
    assert len(found) == 1, found
    assert complaint in found[0]
    assert "task 't'" in found[0]


def test_agents_are_known_when_the_caller_says_which_there_are() -> None:
    tasks = ({"id": "a", "agent": "shel", "prompt": "x"}, {"id": "b", "agent": "model", "prompt": "x"})
    assert not said(*tasks, {"id": "c", "agent": "own.module:Agent"})
    assert said(*tasks, {"id": "c", "agent": "own.module:Agent"}, agents=["shell"]) == [
        "task 'a': unknown agent 'shel'; did you mean 'shell'?",
        "task 'b': unknown agent 'model'",
    ]


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("${params.tagret}", "the plan has no parameter 'tagret'; did you mean 'target'?"),
        ("${params.zzz}", "declare it in the plan's `params`"),
        ("${result.A-1}", "no task has the id 'A-1'; did you mean 'a1'?"),
        ("${result.other}", "'other' is not one of the task's dependencies; add 'other' to them"),
        ("${result.first}", "'first' is a dependency of kind sequential; make it one of kind data"),
        ("${result.t}", "is the task's own"),
        ("${output.a1:reprot.md}", "'a1' declares no output 'reprot.md'; did you mean 'report.md'?"),
        ("${HOME}", "names no value of the plan; write $${HOME} for the text itself"),
    ],
)
@pytest.mark.parametrize("place", ["command", "parameters", "env", "inputs", "fallback", "cwd"])
def test_a_value_that_cannot_be_read(text: str, complaint: str, place: str) -> None:
    spec: dict[str, Any] = {"id": "t", "dependencies": ["a1", {"task": "first", "kind": "sequential"}]}
    spec |= {
        "command": {"command": ["x", text]},
        "parameters": {"agent": "simulated", "parameters": {"x": ["y", text]}},
        "env": {"env": {"A": text}},
        "inputs": {"inputs": [text]},
        "fallback": {"fallback": {"command": [text]}},
        "cwd": {"cwd": text},
    }[place]
    found = faults({"id": "a1", "outputs": ["report.md"]}, {"id": "first"}, {"id": "other"}, spec, params={"target": 1})
    assert len(found) == 1, found
    assert complaint in str(found[0])
    assert found[0].key.startswith(place)


def test_a_string_for_the_shell_holds_none_of_our_values() -> None:
    found = said({"id": "t", "command": "echo $HOME ${X} $$ ${params.n}"}, params={"n": 1})
    assert found == [
        "task 't': ${params.n} is not put into a command that is one string, which belongs to the shell; "
        'write "$ORCH_PARAM_n", or make the command a list of arguments'
    ]
    assert len(said({"id": "t", "checks": ["test -s ${result.a}"]}, {"id": "a"})) == 1


def test_inputs_in_the_form_of_S2_are_outputs_of_dependencies() -> None:
    tasks = ({"id": "x/a", "outputs": ["r.json"]}, {"id": "b", "inputs": ["x/a/r.json", "x/other.csv"]})
    assert said(*tasks) == [
        "task 'b': ${output.x/a:r.json}: 'x/a' is not one of the task's dependencies; add 'x/a' to them"
    ]
    assert not said(tasks[0], {**tasks[1], "dependencies": ["x/a"]})


# -- the plan ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ({"phases": [{"id": "p"}, {"id": "p"}]}, "the phase 'p' is declared twice"),
        ({"phases": [{"id": "../p"}]}, "phase '../p': an id is made of"),
        ({"merge": {"tasks": ["T"]}}, "merge: no task has the id 'T'; did you mean 't'?"),
        ({"merge": {"tasks": ["t", "t"]}}, "warning: merge: 't' is named twice"),
        ({"limits": {"resources": {"dB": 2}}}, "warning: no task holds the lock 'dB'; did you mean 'db'?"),
        ({"params": {"x": {"type": "int", "default": "a"}}}, "the default of parameter 'x' must be a whole number"),
        (
            {"params": {"x": {"default": "c", "choices": ["a", "b"]}}},
            "the default of parameter 'x' must be one of a, b",
        ),
        ({"params": {"x": {"type": "int", "choices": ["a"]}}}, "the choices of parameter 'x' must be"),
        ({"params": {"x": {"default": 1, "required": True}}}, "parameter 'x' has a default and is required"),
        ({"title": "a\0b"}, "NUL"),
    ],
)
def test_a_plan_that_makes_no_sense(plan: dict[str, Any], complaint: str) -> None:
    found = said({"id": "t", "resources": {"locks": ["db"]}}, **plan)
    assert len(found) == 1, found
    assert complaint in found[0]


def test_an_empty_plan() -> None:
    assert said() == ["the plan has no tasks; add one"]


def test_faults_come_in_the_order_of_the_plan() -> None:
    tasks = ({"id": "a", "phase": "p"}, {"id": "b", "dependencies": ["z"]}, {"id": "c", "phase": "q"})
    found = faults(*tasks, phases=[{"id": "x"}, {"id": "x"}])
    assert [fault.path[:2] for fault in found] == [("phases", 1), ("tasks", 0), ("tasks", 1), ("tasks", 2)]


@given(PLANS)
@settings(max_examples=100)
def test_any_plan_can_be_checked(raw: dict[str, Any]) -> None:
    plan = Plan.model_validate(raw)
    for fault in check(plan, topology=True, agents=["shell"]):
        assert fault.message
        assert str(fault).isprintable()
        assert fault.path == () or fault.path[0] in Plan.model_fields


def test_bad_references_are_found_beside_text_that_cannot_be_written() -> None:
    found = faults({"id": "a", "title": "\ud800", "command": ["x", "${params.no}"]})
    assert [fault.key for fault in found] == ["command[1]", "title"]


def test_cycles_are_found_beside_unknown_dependencies() -> None:
    found = said({"id": "a", "dependencies": ["b", "no"]}, {"id": "b", "dependencies": ["a"]})
    assert any("unknown dependency 'no'" in fault for fault in found)
    assert any("cycle: a -> b -> a" in fault for fault in found)


@given(dags(max_nodes=20), st.booleans())
def test_any_sound_graph_passes(parents: list[list[int]], topology: bool) -> None:
    assert not said(
        *({"id": f"T-{node}", "dependencies": [f"T-{p}" for p in row]} for node, row in enumerate(parents)),
        topology=topology,
    )


def test_checking_is_linear() -> None:
    def seconds(size: int) -> float:
        tasks = [
            {"id": f"g/T-{n}", "command": ["x", "${params.p}"], "dependencies": [f"g/T-{n - 1}", "no"] if n else []}
            for n in range(size)
        ]  # fmt: skip
        plan = Plan.model_validate({"params": {"p": 1}, "tasks": tasks})
        began = time.process_time()
        assert len(check(plan)) == size - 1
        return time.process_time() - began

    seconds(1_000)
    assert seconds(8_000) < 8 * 4 * max(seconds(1_000), 0.005)
