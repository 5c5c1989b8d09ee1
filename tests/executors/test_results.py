from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.ports import Success
from orchestrator_nb.errors import AgentError
from orchestrator_nb.executors.results import MAX_INLINE, Reader, Reading, attempt_dir
from tests.agents.lab import Lab

SARIF = (
    '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "probe"}}, "results": [{"message": {"text": "m"}, '
    '"locations": [{"physicalLocation": {"artifactLocation": {"uri": "file://%s/a.py"}}}]}]}]}'
)


def read(tmp_path: Path, success: Success, result: Any = None, cap: int = 10_000, **files: bytes) -> Reading:
    lab = Lab(tmp_path)
    assignment = lab.assignment(agent="simulated", result=result, outputs=["out"])
    directory = attempt_dir(assignment)
    (directory / "outputs").mkdir(parents=True)
    for name, content in files.items():
        (directory / name.replace("__", "/")).write_bytes(content)
    return Reader(assignment, cap).read(success)


@pytest.mark.parametrize(
    ("success", "result", "reading"),
    [
        (Success(), None, Reading()),
        (Success(), "text", Reading()),
        (Success(value=[1]), None, Reading("json", [1])),
        (Success(value=0), "json", Reading("json", 0)),
        (Success(text="words"), None, Reading("text", "words")),
        (Success(text='{"a": 1}'), "json", Reading("json", {"a": 1})),
        (Success(text="null"), "json", Reading("json", None)),
        (Success(value={"summary": "s"}), "report", Reading("report", {"summary": "s"})),
        (Success(value={"summary": "s"}, format="report"), None, Reading("report", {"summary": "s"})),
        (Success(text="half \ud800"), None, Reading("text", "half ?")),
    ],
)
def test_an_answer_is_read_as_declared(tmp_path: Path, success: Success, result: Any, reading: Reading) -> None:
    assert read(tmp_path, success, result) == reading


def test_a_file_is_read_as_declared(tmp_path: Path) -> None:
    assert read(tmp_path, Success(file="log"), log=b"a\r\nb\n\n").value == "a\r\nb"


def test_a_declared_output_can_be_the_result(tmp_path: Path) -> None:
    result = {"source": "out", "format": "json"}
    assert read(tmp_path, Success(file="log"), result, log=b"noise", outputs__out=b"[1]").value == [1]


def test_a_sarif_log_becomes_a_report_with_relative_paths(tmp_path: Path) -> None:
    log = (SARIF % (tmp_path / "plan")).encode()
    reading = read(tmp_path, Success(file="log"), "sarif", log=log)
    assert reading.format == "report"
    assert reading.value["findings"] == [{"message": "m", "category": "probe", "file": "a.py"}]


def test_long_text_is_cut_in_its_middle_and_says_so(tmp_path: Path) -> None:
    reading = read(tmp_path, Success(file="log"), cap=4000, log=b"a" * 50_000 + b"end")
    assert reading.content is not None
    assert len(reading.content) < 4100
    assert reading.content.startswith(b"a" * 3000 + b"\n[... 46003 bytes left out ...]\n")
    assert reading.content.endswith(b"end")
    assert reading.warnings == ("the result was cut: 46003 bytes were left out, all of it is in log",)


def test_text_that_is_no_utf8_is_replaced_and_says_so(tmp_path: Path) -> None:
    reading = read(tmp_path, Success(file="log"), log=b"a\xffb\xef\xbf\xbd")
    assert reading.value == "a\ufffdb\ufffd"
    assert reading.warnings == ("the result is not UTF-8: 1 bytes were replaced, the raw ones are in log",)


def test_the_border_between_travelling_and_a_file(tmp_path: Path) -> None:
    exactly = "x" * (MAX_INLINE - 2)
    assert read(tmp_path, Success(text=exactly)) == Reading("text", exactly)
    assert Reader(Lab(tmp_path / "sessions").assignment(agent="none"), 1).read(Success(text=exactly + "x")) == Reading(
        "text", None, (exactly + "x").encode()
    )


@pytest.mark.parametrize(
    ("success", "result", "words"),
    [
        (Success(), "json", "declared as json, but the task answered nothing"),
        (Success(text="{"), "json", "(json, from its answer) cannot be used: it is not JSON"),
        (Success(text="[NaN]"), "json", "it is not JSON"),
        (Success(text="[" * 100_000), "json", "it is not JSON"),
        (Success(text='"\\ud800"'), "json", "it is not JSON"),
        (Success(text="1" * 5000), "json", "cannot be used"),
        (Success(value=[1]), "text", "it is a JSON value, not text"),
        (Success(value=[1]), "report", "is an object with `summary`"),
        (Success(text="{}"), "sarif", "not a SARIF log"),
        (Success(value=(1,)), None, "result is of type tuple"),
        (Success(file="none"), None, "there is no such file"),
        (Success(file="none"), "json", "none"),
        (Success(), {"source": "out", "format": "json"}, "(json, from output 'out')"),
    ],
)
def test_what_is_not_as_declared_is_refused(tmp_path: Path, success: Success, result: Any, words: str) -> None:
    with pytest.raises(AgentError) as error:
        read(tmp_path, success, result)
    assert words in str(error.value)


def test_a_structured_result_beyond_the_cap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="more than the 10000"):
        read(tmp_path, Success(file="log"), "json", log=b"[" + b"1," * 10_000 + b"1]")
