"""Plan files: every fault at once, with file, line and remedy."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import PlanError
from orchestrator_nb.planning.plan_file import load_plan, parse_plan
from tests.plans import PLANS, spoilt_plans

GOOD = """
title: Review
params:
  target: {type: path, default: ., help: Package to read}
tasks:
  - id: read
    command: [ls, "${params.target}"]
  - id: report
    agent: human
    prompt: "Is this good?\\n${result.read}"
    dependencies: [read]
"""


def test_a_plan_is_loaded_with_its_base_and_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(GOOD)
    loaded = load_plan(file)
    assert (loaded.faults, loaded.base, loaded.source) == ((), tmp_path, str(file))
    assert loaded.require()["report"].upstream == ("read",)
    assert loaded.where("report") == f"{file}:8"


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    plan = parse_plan(GOOD).require()
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json(exclude_defaults=True))
    assert load_plan(file).require() == plan


def test_every_fault_at_once_with_line_task_and_remedy() -> None:
    loaded = parse_plan(
        """
titel: x
params: {target: .}
gates: {}
tasks:
  - id: T-01
    command: echo ${params.target}
    needs: [T-02]
  - id: T-02
    dependencies: [T-03, T-1]
    timeout: 30s
    command: [x, "${HOME}", "${params.tagret}"]
  - id: T-03
    comand: x
    dependencies: [T-02]
  - id: ../x
    command: [x, 012, 12]
  - command: x
  - &y {id: T-01, command: x}
""",
        file="plan.yaml",
    )
    assert loaded.plan is None
    assert [str(fault) for fault in loaded.faults] == [
        "plan.yaml:2: unknown key 'titel'; did you mean 'title'?",
        "plan.yaml:4: 'gates' is not in this version; remove it",
        "plan.yaml:7: task 'T-01': ${params.target} is not put into a command that is one string, which belongs to the "
        'shell; write "$ORCH_PARAM_target", or make the command a list of arguments',
        "plan.yaml:8: task 'T-01': unknown key 'needs'; did you mean 'dependencies'?",
        "plan.yaml:10: task 'T-02': unknown dependency 'T-1'; did you mean 'T-01'?",
        "plan.yaml:10: task 'T-02': cycle: T-02 -> T-03 -> T-02; remove one of these dependencies",
        "plan.yaml:11: task 'T-02': timeout must be a number, not '30s'",
        "plan.yaml:12: task 'T-02': '${HOME}' names no value of the plan; write $${HOME} for the text itself",
        "plan.yaml:12: task 'T-02': ${params.tagret}: the plan has no parameter 'tagret'; did you mean 'target'?",
        "plan.yaml:14: task 'T-03': unknown key 'comand'; did you mean 'command'?",
        "plan.yaml:16: '../x': an id is made of letters, digits, '.', '_' and '-', begins with a letter or digit, and "
        "uses '/' only between such parts",
        "plan.yaml:17: command[2] must be text, not 12; put it in quotes",
        "plan.yaml:18: 'id' is missing; give the task an id",
        "plan.yaml:19: the anchor &y is not allowed; remove it",
    ]
    with pytest.raises(PlanError, match="14 faults in the plan"):
        loaded.require()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("title: 12", "title must be text, not 12; put it in quotes"),
        ("title: yes", ""),
        ("limits: {max_parallel: 0}", "limits.max_parallel must be at least 1, not 0"),
        ("limits: {max_parallel: many}", "limits.max_parallel must be a whole number, not 'many'"),
        ("limits: {memory: 1}", "unknown key 'memory'; did you mean 'memory_gb'?"),
        ("limits: []", "limits must be a mapping, not a list"),
        ("params: [x]", "params must be a mapping of names to defaults"),
        ("params: {a-b: 1}", "'a-b' is no name; use letters, digits and '_'"),
        ("params: {a: {type: integer}}", "params.a.type must be str, int, float, bool, path or json, not 'integer'"),
        ("params: {a: {requierd: true}}", "unknown key 'requierd'; did you mean 'required'?"),
        ("phases: x", "phases must be a list of {id, title, max_parallel, timeout}"),
        ("phases: [{title: x}]", "'id' is missing"),
        ("phases: [x]", "a phase must be a mapping, not 'x'"),
        ("limits: {resources: x}", "limits.resources must be a mapping of names to numbers, not 'x'"),
        ("merge: {tasks: a}", "merge.tasks must be a list of ids, not 'a'"),
        ("merge: {tasks: [3]}", "merge.tasks[0] must be text, not 3"),
        ("merge: ai", "must be structured, concatenate, table, agent or notebook, not 'ai'"),
        ("merge: {strategy: x}", "merge.strategy must be structured, concatenate, table, agent or notebook"),
        ("jobs: []", "unknown key 'jobs'; did you mean 'tasks'?"),
        ("parameters: {}", "unknown key 'parameters'; did you mean 'params'?"),
        ("seed: 3", "'seed' is not in this version"),
        ("limits: {budget: 5 apples}", "'5 apples' is no limit: write 5$, 200k tokens, 2h, 40 attempts"),
        ("limits: {budget: {mony: 5}}", "unknown key 'mony'; did you mean 'money'?"),
    ],
)  # fmt: skip
def test_faults_of_the_plan_in_peoples_words(keys: str, words: str) -> None:
    found = [str(fault) for fault in parse_plan(f"{keys}\ntasks: [{{id: a, command: x}}]").faults]
    assert len(found) == bool(words)
    assert not words or words in found[0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("command: 3", "command must be one text for the shell, or a list of arguments, not 3; put it in quotes"),
        ("command: {a: b}", "command must be one text for the shell, or a list of arguments, not a mapping"),
        ("command: [a, [b]]", "command[1] must be text, not a list"),
        ("dependencies: b", "dependencies must be a list of ids, or of {task, kind}, not 'b'"),
        ("dependencies:", "dependencies must be a list of ids, or of {task, kind}, not nothing"),
        ("dependencies: [3]", "a dependency must be an id, or a mapping of task and kind, not 3"),
        ("dependencies: [{task: b, kind: hard}]", "dependencies[0].kind must be data, sequential, resource or none"),
        ("dependencies: [{task: b, why: x}]", "unknown key 'why'; known keys: task, kind"),
        ("dependencies: [{}]", "'task' is missing; add `task`"),
        ("retry: 0", "retry must be at least 1, not 0"),
        ("retry: true", "retry must be a whole number, not true"),
        ("retry: often", "retry must be a number of attempts, or a mapping, not 'often'"),
        ("retry: {backoff: linaer}", "retry.backoff must be linear, exponential or fixed, not 'linaer'; did you mean"),
        ("result: xml", "result must be text, json, report or sarif, not 'xml'"),
        ("on_failure: ignore", "on_failure must be block, retry, skip, fail_fast or fallback, not 'ignore'"),
        ("priority: 1", "priority must be P0, P1, P2 or P3, not 1"),
        ("env: {A: 1}", "env.A must be text, not 1; put it in quotes"),
        ("env: [A]", "env must be a mapping of names to text, not a list"),
        ("outputs: [../x]", "'../x' must be a relative path without '..'"),
        ("inputs: {a b: x}", "'a b' is no name"),
        ("inputs: [3]", "inputs must be a mapping of names to paths, or a list of paths, not 3"),
        ("checks: [3]", "checks[0] must be text"),
        ("checks: [[a, 3]]", "checks[0][1] must be text, not 3"),
        ("resources: {cpu: 0}", "resources.cpu must be more than 0, not 0"),
        ("resources: {locks: db}", "resources.locks must be a list of names, not 'db'"),
        ("ok_exit_codes: [256]", "ok_exit_codes[0] must be at most 255, not 256"),
        ("fallback: {comand: x}", "unknown key 'comand'; did you mean 'command'?"),
        ("timeout: .5", "timeout must be a number, not '.5'"),
        ("isolate: vm", "isolate must be thread or process, not 'vm'"),
        ("depends_on: [b]", "unknown key 'depends_on'; did you mean 'dependencies'?"),
        ("when: x", "'when' is not in this version; remove it"),
        ("zzz: x", "unknown key 'zzz'; known keys: agent, prompt"),
    ],
)
def test_faults_of_a_task_in_peoples_words(keys: str, words: str) -> None:
    work = "" if keys.startswith("command") else "    command: x\n"
    found = [str(fault) for fault in parse_plan(f"tasks:\n  - id: a\n{work}    {keys}\n", file="p").faults]
    assert len(found) == 1, found
    assert words in found[0]
    assert found[0].startswith(f"p:{4 if work else 3}: task 'a': ")


@pytest.mark.parametrize("text", ["3", "[]", "x", "null", "tasks: 3", "tasks: [3]", "tasks: {a: 3}", "tasks: [[]]"])
def test_what_is_no_plan_at_all(text: str) -> None:
    loaded = parse_plan(text)
    assert loaded.plan is None
    assert len(loaded.errors) == 1
    assert "must be" in str(loaded.errors[0])


def test_tasks_in_a_mapping_have_lines_too() -> None:
    loaded = parse_plan("tasks:\n  a:\n    command: x\n  b:\n    command: y\n    dependencies: [c]\n    timeout: x\n")
    assert [fault.line for fault in loaded.faults] == [6, 7]


def test_a_graph_is_no_plan() -> None:
    loaded = parse_plan('{"directed": true, "nodes": [], "edges": []}', kind="json")
    assert [str(fault) for fault in loaded.faults] == [
        "plan:1: is a graph (node-link data), not a plan; look at it with `orchestrate graph`"
    ]


def test_warnings_keep_no_plan_from_running() -> None:
    loaded = parse_plan("tasks: [{id: a, command: x, files: [a, b, c, d]}]")
    assert [fault.message for fault in loaded.warnings] == ["Task a exceeds context budget"]
    assert len(loaded.require()) == 1


def test_rule_of_S0_is_asked_for() -> None:
    text = "tasks:\n- {id: a, command: x, dependencies: [b]}\n- {id: b, command: x}"
    assert not parse_plan(text).faults
    assert "Invalid Topology: Task a depends on future task b" in str(parse_plan(text, topology=True).faults[0])


@given(spoilt_plans())
@settings(max_examples=60)
def test_anything_can_be_loaded_and_no_fault_lacks_words(raw: Any) -> None:
    loaded = parse_plan(json.dumps(raw, indent=1), kind="json", agents=["shell"])
    assert loaded.plan is not None or loaded.errors
    for fault in loaded.faults:
        assert fault.message
        assert "pydantic" not in str(fault)
        assert "Input should" not in str(fault)
        assert 1 <= fault.line <= json.dumps(raw, indent=1).count("\n") + 1


@given(PLANS)
@settings(max_examples=40)
def test_what_is_written_in_yaml_and_json_is_the_same_plan(raw: dict[str, Any]) -> None:
    text = json.dumps(raw)
    assert parse_plan(text, kind="json").plan == parse_plan(text, kind="yaml").plan == Plan.model_validate(raw)


def test_a_plan_of_1000_tasks_is_loaded_quickly() -> None:
    tasks = "".join(
        f"  - id: T-{n:04d}\n    title: Task number {n}\n    command: [echo, 'number {n}', '${{params.p}}']\n"
        f"    dependencies: [T-{max(0, n - 2):04d}]\n    outputs: [out.txt]\n    timeout: 60\n    env: {{A: b}}\n"
        for n in range(1, 1001)
    )
    text = f"params: {{p: 1}}\ntasks:\n  - {{id: T-0000, command: x}}\n{tasks}"
    began = time.process_time()
    loaded = parse_plan(text)
    assert time.process_time() - began < 5
    assert [fault.message for fault in loaded.faults] == ["depends on itself"] or not loaded.faults
    assert len(loaded.require()) == 1001
