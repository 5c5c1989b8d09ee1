"""Rows C7, D11, E1, E2, E3 and E7 for everything that a plan is made from."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.core.checks import check
from orchestrator_nb.core.ids import fault_of_id
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.params import resolve
from orchestrator_nb.core.values import fill
from orchestrator_nb.planning.plan_file import load_plan, parse_plan
from tests.faults.bad_files import BAD_FILES
from tests.plans import IDS, VALUES, dags, graphs

ROOT = Path(__file__).parents[2]

# -- C7: hostile ids ---------------------------------------------------------------------------------------------------

_CHARACTERS = [chr(code) for code in (*range(0x21), 0x7F, *range(0x80, 0xA1))]
_SIGNS = list("\"'`$&|;<>(){}[]*?!#%^~@+=,:\\") + list("àé日Ωс\u0301\u200b\u200d\u202e\u2028\ufeff\U0001f600\ud800")
_DEVICES = ["CON", "con", "PRN", "AUX", "NUL", "nul.txt", "COM1", "com9", "LPT1", "lpt0.log"]
_PATHS = [
    "", ".", "..", "../x", "x/..", "x/../y", "/", "/x", "//x", "x//y", "x/", "./x", "x/./y", "~", "~root", ".hidden",
    "x/.hidden", "x.", "x/y.", "x ", " x", "C:", "C:/x", "C:\\x", "\\\\host\\share", "file:///x", "-", "-rf", "--",
    "x/-y", "_x", "a" * 81, "a/" * 100 + "a", "b" * 300, "%2e%2e/x", "..%2fx", "$(x)", "`x`", "${x}", "{{x}}", "%s",
    "x\ty", "x\n", "\nx", "x\0y", "x\r\n", "e\u0301", "\u00e9",
]  # fmt: skip
HOSTILE_IDS = [
    *_PATHS,
    *_DEVICES,
    *(f"x/{device}" for device in _DEVICES),
    *(f"a{character}b" for character in _CHARACTERS),
    *(form.format(sign) for sign in _SIGNS for form in ("a{}b", "x/{}") if sign not in "/"),
]


def test_row_C7_hostile_ids_are_refused_by_name() -> None:
    assert len(set(HOSTILE_IDS)) >= 200
    let_through = [task_id for task_id in HOSTILE_IDS if fault_of_id(task_id) is None]
    assert let_through == []


def test_row_C7_a_plan_with_a_hostile_id_is_refused_with_its_line() -> None:
    for task_id in HOSTILE_IDS:
        text = json.dumps({"tasks": [{"id": "good", "command": "x"}, {"id": task_id, "command": "x"}]}, indent=1)
        loaded = parse_plan(text, file="p.json", kind="json")
        assert loaded.plan is None
        assert [fault.line for fault in loaded.errors] == [8], task_id
        assert str(loaded.errors[0]).isprintable()


def _files(task_id: str) -> list[str]:
    return [f"attempts/{task_id}/1/log", f"outputs/{task_id}/x", f"status/{task_id}.json", f"logs/{task_id}.log"]


def _collide(ids: list[str]) -> bool:
    """Whether files of two tasks get in each other's way where capitals do not count."""
    files = [unicodedata.normalize("NFC", name).casefold() for task_id in ids for name in _files(task_id)]
    folders = {"/".join(name.split("/")[:end]) for name in files for end in range(1, name.count("/") + 1)}
    return len(set(files)) < len(files) or not folders.isdisjoint(files)


@given(st.lists(IDS | st.text(max_size=8) | st.sampled_from(["a", "A", "a/1", "a/1/log", "a.log/b"]), max_size=5))
@settings(max_examples=200)
def test_row_C7_ids_that_pass_neither_escape_nor_collide(ids: list[str]) -> None:
    good = [task_id for task_id in ids if fault_of_id(task_id) is None]
    root = Path("/session/outputs")
    for task_id in good:
        path = root.joinpath(task_id)
        assert path.is_relative_to(root)
        assert ".." not in path.parts
        assert path != root
    plan = Plan.model_validate({"tasks": [{"id": task_id, "command": "x"} for task_id in good]})
    if good and not check(plan):
        assert not _collide(good)


# -- D11: graphs -------------------------------------------------------------------------------------------------------


def _said(parents: list[list[Any]], topology: bool) -> list[str]:
    tasks = [
        {"id": f"T-{node}", "command": "x", "dependencies": [f"T-{parent}" for parent in row]}
        for node, row in enumerate(parents)
    ]
    return [fault.message for fault in check(Plan.model_validate({"tasks": tasks}), topology)]


def _is_acyclic(parents: list[list[int]]) -> bool:
    left = set(range(len(parents)))
    while ready := {node for node in left if left.isdisjoint(parents[node])}:
        left -= ready
    return not left


def _judge(parents: list[list[int]], extra: list[int]) -> None:
    """Nothing is said of a sound graph; a cycle, an unknown id, a forward reference is."""
    acyclic = _is_acyclic(parents)
    sound = _said(parents, topology=False)
    assert any("cycle: " in message or "depends on itself" in message for message in sound) is not acyclic
    assert acyclic is not bool(sound)
    for message in sound:
        if message.startswith("cycle: "):
            names = [int(name.removeprefix("T-")) for name in message.removeprefix("cycle: ").split(" -> ")]
            assert names[0] == names[-1]
            assert all(before in parents[after] for before, after in pairwise(names))
    forward = any(parent >= node for node, row in enumerate(parents) for parent in row)
    assert any("Invalid Topology" in message for message in _said(parents, topology=True)) is forward
    if extra:
        unknown = [[*row, len(parents) + extra[0]] if node == 0 else row for node, row in enumerate(parents)]
        assert any("unknown dependency" in message for message in _said(unknown, topology=False))


@given(dags(30) | graphs(12), st.lists(st.integers(0, 9), max_size=1))
@settings(max_examples=300)
def test_row_D11_graphs_are_judged_rightly(parents: list[list[int]], extra: list[int]) -> None:
    _judge(parents, extra)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(dags(40) | graphs(20), st.lists(st.integers(0, 9), max_size=1))
@settings(max_examples=5_000, derandomize=False)
def test_row_D11_5000_graphs_are_judged_rightly(parents: list[list[int]], extra: list[int]) -> None:
    _judge(parents, extra)


# -- E1: bombs ---------------------------------------------------------------------------------------------------------


def test_row_E1_bad_files_are_refused_quickly_and_in_little_memory(tmp_path: Path) -> None:
    assert len(BAD_FILES) >= 20
    child = [sys.executable, "-m", "tests.faults.bad_files", str(tmp_path)]
    run = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    told = {line["name"]: line for line in map(json.loads, run.stdout.splitlines())}
    assert told.keys() == BAD_FILES.keys()
    for name, line in told.items():
        assert line["error"], name
        assert line["seconds"] <= 5, line  # half a second on a machine of one's own
        assert line["mebibytes"] <= 64, line


# -- E2: what is text stays text ---------------------------------------------------------------------------------------

TEXTS_IN_YAML = [
    "no", "yes", "on", "off", "y", "012", "0o14", "0x1F", "1_000", "12:30:45", "190:20:30", "2025-01-01",
    "2025-01-01T10:00:00Z", ".inf", "1.2.3",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS_IN_YAML)
def test_row_E2_text_stays_text(text: str) -> None:
    loaded = parse_plan(
        f"title: {text}\nparams: {{p: {text}}}\n"
        f"tasks:\n- {{id: a, command: [x, {text}], env: {{A: {text}}}, parameters: {{{text}: {text}}}}}\n"
    )
    plan = loaded.require()
    assert (plan.title, plan.params["p"].default, plan.params["p"].type) == (text, text, "str")
    assert (plan["a"].command, plan["a"].env, plan["a"].parameters) == (("x", text), {"A": text}, {text: text})


@pytest.mark.parametrize("text", ["12", "1.10", "true", "null", "1e3"])
def test_row_E2_what_is_no_text_is_not_made_text(text: str) -> None:
    loaded = parse_plan(f"title: {text}\ntasks:\n- {{id: a, command: x}}\n", file="p.yaml")
    assert [str(fault)[:26] for fault in loaded.errors] == ["p.yaml:1: title must be te"]


@pytest.mark.parametrize(
    "text",
    [
        "title: a\ntitle: b\ntasks: [{id: a, command: x}]",
        "tasks:\n- id: a\n  id: b\n  command: x",
        "tasks:\n  a: {command: x}\n  a: {command: y}",
        "params: {p: 1, p: 2}\ntasks: [{id: a, command: x}]",
    ],
)
def test_row_E2_doubled_keys_are_refused(text: str) -> None:
    loaded = parse_plan(text)
    assert loaded.plan is None
    assert "is doubled" in str(loaded.errors[0])


# -- E3: JSON at its edges ---------------------------------------------------------------------------------------------

JSON_AT_ITS_EDGES = {
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep mapping": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep value": '{"tasks": [{"id": "a", "command": "x", "parameters": {"x": ' + "[" * 80 + "]" * 80 + "}}]}",
    "5,000 digits": '{"tasks": [{"id": "a", "command": "x", "parameters": {"x": ' + "9" * 5_000 + "}}]}",
    "1,000,000 digits": '{"title": ' + "9" * 1_000_000 + "}",
    "65 bits": '{"tasks": [{"id": "a", "command": "x", "parameters": {"x": 18446744073709551616}}]}',
    "NaN": '{"tasks": [{"id": "a", "command": "x", "timeout": NaN}]}',
    "Infinity": '{"tasks": [{"id": "a", "command": "x", "parameters": {"x": -Infinity}}]}',
    "1e999": '{"tasks": [{"id": "a", "command": "x", "timeout": 1e999}]}',
    "lone surrogate": '{"title": "\\ud800", "tasks": [{"id": "a", "command": "x"}]}',
    "lone surrogate in a key": '{"tasks": [{"id": "a", "command": "x", "parameters": {"\\udc00": 1}}]}',
    "NUL": '{"title": "a\\u0000b", "tasks": [{"id": "a", "command": "x"}]}',
    "comment": '{"tasks": [] /* none */}',
    "two values": '{"tasks": []} {"tasks": []}',
}


@pytest.mark.parametrize("kind", JSON_AT_ITS_EDGES)
def test_row_E3_json_at_its_edges_is_refused(kind: str) -> None:
    loaded = parse_plan(JSON_AT_ITS_EDGES[kind], file="p.json", kind="json")
    assert loaded.plan is None
    assert 0 < len(loaded.errors) < 3
    assert len(str(loaded.errors[0])) < 300


@given(VALUES | st.floats() | st.text() | st.integers())
@settings(max_examples=100)
def test_row_E3_any_value_is_kept_exactly_or_refused(value: Any) -> None:
    loaded = parse_plan(json.dumps({"tasks": [{"id": "a", "command": "x", "parameters": {"x": value}}]}), kind="json")
    if loaded.plan is not None and not loaded.errors:
        assert json.dumps(loaded.plan["a"].parameters["x"]) == json.dumps(value)
        assert Plan.model_validate_json(loaded.plan.model_dump_json().encode()) == loaded.plan


@given(st.text(max_size=200), st.sampled_from(["json", "yaml"]))
@settings(max_examples=100)
def test_row_E3_no_text_at_all_breaks_the_reader(text: str, kind: Any) -> None:
    loaded = parse_plan(text, kind=kind)
    assert loaded.errors


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(st.text(max_size=200) | VALUES.map(json.dumps), st.sampled_from(["json", "yaml"]))
@settings(max_examples=10_000, derandomize=False)
def test_row_E3_10000_texts_do_not_break_the_reader(text: str, kind: Any) -> None:
    assert parse_plan(text, kind=kind).errors


# -- E7: text that would be code elsewhere -----------------------------------------------------------------------------

CODE = [
    "{{7*7}}", "{% import os %}", "${x}", "${7*7}", "#{7*7}", "$(touch CANARY)", "`touch CANARY`", "; touch CANARY",
    "| touch CANARY", "&& touch CANARY", "\ntouch CANARY\n", "> CANARY", "$((7*7))", "$HOME", "${HOME}", "%s%n",
    "%(x)s", "{0}", "{x.__class__}", "f'{7*7}'", "__import__('os').system('touch CANARY')", "eval('1')",
    "!touch CANARY", "!!python/object/apply:os.system [touch CANARY]", "%%bash\ntouch CANARY", "<script></script>",
    "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "=cmd|'/c calc'!A1", "'; DROP TABLE tasks; --",
    "../../CANARY", "~/CANARY", "\\x41", "\\", "\"; touch CANARY; \"", "'; touch CANARY; '", "*", "-rf", "${result.a}",
    "$${params.p}",
]  # fmt: skip


def test_row_E7_text_that_would_be_code_elsewhere_stays_text(tmp_path: Path) -> None:
    assert len(CODE) >= 40
    for text in CODE:
        raw = {
            "title": text,
            "params": {"p": {"help": text}, "unused": {"default": text}},
            "tasks": [{"id": "a", "title": text, "role": text, "command": ["x", "${params.p}", "<${params.p}>"],
                       "parameters": {"k": "${params.p}"}, "env": {"E": "${params.p}"}}],
        }  # fmt: skip
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(raw))
        loaded = load_plan(file)
        plan = loaded.require()
        assert loaded.faults == ()
        values = resolve(plan.params, {"p": text})
        filled = fill(plan["a"], lambda reference: values[reference.name])  # noqa: B023 - used at once
        assert (plan.title, filled.title, filled.role, values["unused"]) == (text, text, text, text)
        assert filled.command == ("x", text, f"<{text}>")
        assert (filled.parameters, filled.env) == ({"k": text}, {"E": text})


def test_row_E7_a_program_gets_the_very_text(tmp_path: Path) -> None:
    plan = parse_plan('params: {p: x}\ntasks: [{id: a, command: ["${params.p}"]}]').require()
    arguments = [(fill(plan["a"], lambda _, text=text: text).command or ("",))[0] for text in CODE]  # type: ignore[misc]
    echo = "import json, sys; print(json.dumps(sys.argv[1:]))"
    run = subprocess.run([sys.executable, "-c", echo, *arguments], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(run.stdout) == CODE
    assert list(tmp_path.iterdir()) == []
