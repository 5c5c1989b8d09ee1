"""check, schema, init, and what --dry-run shows."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cli.conftest import Call
from tests.cli.program import write_plan

BAD = """\
title: Bad
tasks:
  - id: T-01
    command: [echo, "${params.nothing}"]
  - id: T-02
    depends: [T-01]
    dependencies: [T-3]
  - id: T-02
    agent: simulated
  - id: x
    dependencies: [y]
    agent: simulated
  - id: y
    dependencies: [x]
    agent: simulated
"""


def test_check_names_every_fault_with_file_line_task_and_remedy(call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "bad.yaml"
    plan.write_text(BAD)
    told = call("check", plan)
    assert told.code == 2
    lines = told.out.splitlines()
    assert any(line.startswith(f"{plan}:6: task 'T-02': ") and "depends" in line for line in lines)
    assert lines[-1].startswith("✘ ")
    faults = json.loads(call("check", plan, "--json").out)
    assert not faults["valid"]
    assert all(fault["file"] == str(plan) and fault["line"] for fault in faults["faults"])
    assert call("run", plan).code == 2


def test_check_of_a_good_plan_and_the_topology_rule(call: Call, tmp_path: Path) -> None:
    late = {"id": "b", "agent": "simulated"}
    plan = write_plan(
        tmp_path / "p.json", title="x", tasks=[{"id": "a", "agent": "simulated", "dependencies": ["b"]}, late]
    )
    assert call("check", plan) == (0, f"✔ good: {plan} (2 tasks)\n", "")
    told = call("check", "--topology", plan)
    assert told.code == 2
    assert "Invalid Topology: Task a depends on future task b" in told.out


def test_check_holds_options_against_what_each_coding_agent_can_do(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is installed here: what is wrong on any machine is said all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    prompt = {"prompt": "Do it."}
    tasks = [
        {"id": "a", "agent": "gemini", **prompt, "parameters": {"budget": 1}},
        {"id": "b", "agent": "codex", **prompt, "parameters": {"turn_limit": 3}},
        {"id": "c", "agent": "claude", **prompt, "parameters": {"levl": "read"}},
        {"id": "d", "agent": "claude", **prompt, "parameters": {"level": "read"}, "outputs": ["x"]},
        {"id": "e", "agent": "claude", **prompt, "parameters": {"level": "full", "sandbox": "none"}},
        {"id": "f", "command": ["true"], "fallback": {"agent": "gemini", **prompt, "parameters": {"schema": {}}}},
        {"id": "g", "agent": "claude", **prompt, "parameters": {"budget": 2, "turn_limit": 3, "schema": {}}},
    ]
    plan = write_plan(tmp_path / "plan.json", title="x", tasks=tasks)
    told = call("check", plan)
    assert told.code == 2
    for words in (
        "task 'a': gemini cannot honour `budget` (these can: claude)",
        "task 'b': codex cannot honour `turn_limit` (these can: claude, gemini)",
        "task 'c': parameter 'levl' of a claude task is unknown; did you mean 'level'?",
        "task 'd': level `read` cannot write x: say `level: edit`",
        "task 'e': level `full` of claude is for a sandbox only",
        "task 'f': gemini cannot honour `schema`",
    ):
        assert words in told.out
    assert "task 'g'" not in told.out
    assert "6 errors" in told.out
    faults = json.loads(call("check", plan, "--json").out)["faults"]
    assert [fault["path"][2:] for fault in faults][:1] == [["parameters"]]
    assert "gemini cannot honour `budget`" in call("run", plan).err


def test_check_warns_of_what_this_machine_lacks(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tasks = [
        {"id": "a", "agent": "gemini", "prompt": "Do it."},
        {"id": "b", "command": ["nosuchprogram"]},
        {"id": "c", "agent": "no.such.module:Agent", "prompt": "x"},
    ]
    plan = write_plan(tmp_path / "plan.json", title="x", tasks=tasks)
    told = call("check", plan)
    assert told.code == 0
    assert "warning: task 'a': could not start on this machine: " in told.out
    assert "warning: task 'b': could not start on this machine: " in told.out
    assert "task 'c'" not in told.out
    assert told.out.endswith(f"good: {plan} (3 tasks, 2 warnings)\n")
    refused = call("run", plan)
    assert refused.code == 2
    assert "task 'a': " in refused.err


def test_init_writes_a_plan_that_works_and_its_schema(call: Call, tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    assert call("init", home).code == 0
    assert call("check", home / "plan.yaml").code == 0
    schema = json.loads((home / "plan.schema.json").read_text())
    jsonschema.validate(yaml.safe_load((home / "plan.yaml").read_text()), schema)
    assert json.loads(call("schema").out) == schema
    again = call("init", home)
    assert again.code == 2
    assert "is there already" in again.err
    told = call(
        "--workspace", tmp_path / "sessions", "run", home / "plan.yaml", "-p", "name=you", "-o", tmp_path / "out"
    )
    assert told.code == 0
    assert "Hello you" in (tmp_path / "out" / "final_output.md").read_text()


def test_dry_run_shows_the_plan_and_makes_nothing(call: Call, tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "p.json",
        title="Review",
        params={"target": {"type": "path", "default": "."}, "level": "low"},
        tasks=[
            {"id": "read", "command": ["true"], "files": ["1", "2", "3", "4"]},
            {"id": "style", "agent": "simulated", "dependencies": ["read"], "title": "Style check"},
            {"id": "report", "agent": "human", "prompt": "Good?", "dependencies": ["style", "read"]},
            {"id": "alone", "function": "posixpath:basename", "parameters": {"p": "x"}, "priority": "P3"},
        ],
    )
    before = sorted(tmp_path.iterdir())
    told = call("--workspace", tmp_path / "sessions", "run", plan, "--dry-run", "-p", "level=high")
    assert told.code == 0
    assert "level = high" in told.out
    assert f"target = {tmp_path}" in told.out
    assert "Critical path (◆): read → style → report" in told.out
    assert "Task read exceeds context budget" in told.err
    facts = json.loads(call("run", plan, "-n", "--json").out)
    assert [(task["task"], task["level"], task["priority"]) for task in facts["tasks"]] == [
        ("read", 1, "P0"),
        ("alone", 1, "P3"),
        ("style", 2, "P0"),
        ("report", 3, "P0"),
    ]
    assert facts["warnings"]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("args", [["-p", "nmae=1"], ["-p", "n=x"], ["--params-file", "bad.yaml"]])
def test_bad_parameters_are_refused_before_anything_is_made(call: Call, tmp_path: Path, args: list[str]) -> None:
    plan = write_plan(tmp_path / "p.json", params={"n": 1}, tasks=[{"id": "a", "agent": "simulated"}])
    told = call("--workspace", tmp_path / "sessions", "run", plan, *args)
    assert told.code == 2
    assert told.err.startswith("error: ")
    assert not (tmp_path / "sessions").exists()


def test_parameters_from_a_file(call: Call, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p.json", params={"n": 1, "who": "me"}, tasks=[{"id": "a", "agent": "simulated"}])
    given = tmp_path / "given.yaml"
    given.write_text("n: 5\nwho: you\n")
    facts = json.loads(call("run", plan, "-n", "--json", "--params-file", given, "-p", "n=7").out)
    assert facts["params"] == {"n": 7, "who": "you"}


def test_the_schema_of_a_planners_answer(call: Call) -> None:
    schema = json.loads(call("schema", "--answer").out)
    jsonschema.validate({"plan": {"tasks": [{"id": "a", "agent": "human", "prompt": "Why?"}]}, "goal": "x"}, schema)
