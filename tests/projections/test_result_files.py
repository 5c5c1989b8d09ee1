"""Results that are data, written for people."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.core.models import Task
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.projections.result_files import decode_result, is_printed, json_markdown, result_file

REPORT = {
    "summary": "Two things.",
    "metrics": {"lines": 12345, "clean": False},
    "findings": [
        {"message": "low one", "category": "style", "severity": "low", "file": "a.py", "line": 1, "rule": "E1"},
        {"message": "bad one", "category": "security", "severity": "error"},
    ],
}


def test_a_report_is_organised_by_category_the_worst_first() -> None:
    assert result_file("Agent-02: Check", "report", REPORT) == (
        "# Agent-02: Check\n\nTwo things.\n\n"
        "## Figures\n\n| Figure | Value |\n| --- | --- |\n| lines | 12,345 |\n| clean | `false` |\n\n"
        "## Security: 1 finding (1 high)\n\n| Severity | Where | Finding | Rule |\n| --- | --- | --- | --- |\n"
        "| 🔴 high | – | bad one | – |\n\n"
        "## Style: 1 finding (1 low)\n\n| Severity | Where | Finding | Rule |\n| --- | --- | --- | --- |\n"
        "| 🟡 low | `a.py:1` | low one | `E1` |\n"
    )


@pytest.mark.parametrize(
    ("value", "format_", "text"),
    [
        ("as it is", "", "as it is\n"),
        ("\x1b[1mas\x1b[0m it is\n", "text", "as it is\n"),
        ("", "text", "\n"),
        (3, "json", "# T\n\n```json\n3\n```\n"),
        ([1, {"a": "``` "}], "json", '# T\n\n````json\n[\n  1,\n  {\n    "a": "``` "\n  }\n]\n````\n'),
        ({"a": 1, "b": "x|y"}, "json", "# T\n\n| Figure | Value |\n| --- | --- |\n| a | 1 |\n| b | x\\|y |\n"),
        ({"no": "report"}, "report", "# T\n\n| Figure | Value |\n| --- | --- |\n| no | report |\n"),
        ({"summary": ""}, "report", "# T\n\nNo findings.\n"),
    ],
)
def test_values_and_texts(value: Any, format_: str, text: str) -> None:
    assert result_file("T", format_, value) == text


def test_long_and_deep_values_are_blocks() -> None:
    assert json_markdown({"a": "x" * 200}).startswith("```json\n{")
    assert json_markdown({"a": [1]}).startswith("```json\n{")
    assert json_markdown({}).startswith("```json\n{}")
    assert json_markdown({"a": "x" * 2000}, limit=100).endswith("more characters]\n```\n")


def test_what_is_no_json_is_text() -> None:
    assert decode_result(b'{"a": 1}') == {"a": 1}
    assert decode_result(b"not json \xff") == "not json \ufffd"
    assert decode_result(b"[" * 100_000) == "[" * 100_000


def test_no_value_is_too_large_or_too_deep_to_be_shown() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert json_markdown(deep) == "_(nested too deeply to be shown)_\n"
    while deep:  # or taking it apart would be too deep for the interpreter
        deep = deep.pop()
    assert json_markdown([10**40]) == f"```json\n[\n  {10**40}\n]\n```\n"


@pytest.mark.parametrize(
    ("work", "format_", "printed"),
    [
        ({"command": "ls"}, "text", True),
        ({"command": "ls"}, "json", False),
        ({"command": "ls", "result": {"source": "out.MD"}}, "text", False),
        ({"command": "ls", "result": {"source": "out.txt"}}, "text", True),
        ({"notebook": "n.ipynb"}, "", True),
        ({"function": "a:b"}, "text", False),
    ],
)
def test_what_programs_print_is_no_markdown(work: dict[str, Any], format_: str, printed: bool) -> None:
    task = TaskState("t", 0, 1)
    task.format = format_
    assert is_printed(Task.model_validate({"id": "t", **work}), task) is printed
