from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.reports import Finding, Report, report_from, report_from_sarif, severity_of
from orchestrator_nb.errors import AgentError

BAD_CODE = """import os, subprocess


def run(command):
    unused = 1
    subprocess.call("ls " + command, shell=True)
    for item in command:
        if item:
            subprocess.call(item)
"""


def sarif(result: dict[str, Any], **run: Any) -> dict[str, Any]:
    tool = {"driver": {"name": "probe", **run.pop("driver", {})}}
    return {"version": "2.1.0", "runs": [{"tool": tool, "results": [{"message": {"text": "m"}, **result}], **run}]}


def only(log: dict[str, Any], **options: Any) -> Finding:
    (finding,) = report_from_sarif(log, **options).findings
    return finding


def test_a_report_is_read_from_the_json_that_stands_for_it() -> None:
    report = report_from(
        {
            "summary": "two things",
            "findings": [
                {"message": "a", "severity": "ERROR", "file": "x.py", "line": 3, "rule": "R1", "category": "style"},
                {"message": "b"},
            ],
            "metrics": {"files": 2},
        }
    )
    assert report == Report(
        "two things",
        (Finding("a", "style", "high", "x.py", 3, "R1"), Finding("b", "general", "medium", "", None, "")),
        {"files": 2},
    )


def test_a_report_made_in_python_may_use_lists_and_usual_names() -> None:
    report = Report("s", [Finding("a", severity="Warning")])  # type: ignore[arg-type]
    assert report_from(report) == Report("s", (Finding("a", severity="medium"),))


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("critical", "critical"),
        ("BLOCKER", "critical"),
        ("error", "high"),
        ("HIGH", "high"),
        ("warning", "medium"),
        (" Medium ", "medium"),
        ("note", "low"),
        ("LOW", "low"),
        ("info", "info"),
        ("UNDEFINED", "info"),
    ],
)
def test_severities_have_other_names(name: str, severity: str) -> None:
    assert severity_of(name) == severity


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "is an object with `summary` and `findings`, not a list"),
        (None, "not null"),
        ({"sumary": "x"}, "did you mean 'summary'?"),
        ({"findings": 3}, "Expected `array`, got `int` - at `$.findings`"),
        ({"findings": [{"severity": "low"}]}, "missing required field `message` - at `$.findings[0]`"),
        ({"findings": [{"message": "a", "serverity": "low"}]}, "did you mean 'severity'?"),
        ({"findings": [{"message": "a", "severity": "hihg"}]}, "did you mean 'high'?"),
        ({"findings": [{"message": "a", "line": "3"}]}, "`$.findings[0].line`"),
        ({"metrics": {"a": object()}}, "holds JSON values only"),
        (Report(findings=(Finding(3),)), "`$.findings[0].message`"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_report_is_refused_with_its_place(value: object, words: str) -> None:
    with pytest.raises(AgentError) as error:
        report_from(value)
    assert words in str(error.value)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("code")
    (directory / "bad.py").write_text(BAD_CODE)
    return directory


def output_of(module: str, *arguments: str, cwd: Path) -> bytes:
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=cwd, capture_output=True, check=False).stdout


def test_real_results_of_ruff_become_a_report(code: Path) -> None:
    raw = output_of("ruff", "check", "--isolated", "--select=F,E,S", "--output-format=sarif", ".", cwd=code)
    report = report_from_sarif(raw, root=str(code))
    assert report.summary == f"ruff: {len(report.findings)} findings"
    assert Finding("`os` imported but unused", "style", "medium", "bad.py", 1, "F401") in report.findings
    assert {"S602"} <= {finding.rule for finding in report.findings if finding.category == "security"}


def test_real_results_of_bandit_become_a_report(code: Path) -> None:
    report = report_from_sarif(output_of("bandit", "-q", "-r", ".", "-f", "sarif", cwd=code), tool="bandit")
    found = {finding.rule: finding for finding in report.findings}
    assert {"B404", "B602", "B603"} <= set(found)
    assert (found["B602"].category, found["B602"].severity, found["B602"].line) == ("security", "high", 6)
    assert found["B404"].severity == "low"
    assert found["B602"].file.endswith("bad.py")


def test_a_tool_that_found_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("x = 1\n")
    raw = output_of("ruff", "check", "--isolated", "--output-format=sarif", ".", cwd=tmp_path)
    assert report_from_sarif(raw) == Report("ruff: no findings")


def test_a_rule_gives_what_its_result_leaves_out() -> None:
    rule = {
        "id": "R9",
        "defaultConfiguration": {"level": "note"},
        "messageStrings": {"default": {"text": "{0} is not {1}"}},
        "properties": {"tags": ["external/cwe/cwe-1", "Correctness"]},
    }
    result = {"message": {"id": "default", "arguments": ["a", "b"]}, "ruleIndex": 0}
    assert only(sarif(result, driver={"rules": [rule]})) == Finding("a is not b", "correctness", "low", rule="R9")


def test_a_numeric_severity_goes_before_the_level() -> None:
    for score, severity in (("9.8", "critical"), ("7.0", "high"), ("5", "medium"), ("0.1", "low")):
        rule = {"id": "R", "properties": {"security-severity": score}}
        assert only(sarif({"ruleId": "R", "level": "note"}, driver={"rules": [rule]})).severity == severity


@pytest.mark.parametrize(
    ("location", "run", "file"),
    [
        ({"uri": "file:///code/a%20b.py"}, {}, "a b.py"),
        ({"uri": "src/a.py"}, {}, "src/a.py"),
        ({"uri": "a.py", "uriBaseId": "S"}, {"originalUriBaseIds": {"S": {"uri": "file:///code/src/"}}}, "src/a.py"),
        ({"index": 1}, {"artifacts": [{}, {"location": {"uri": "b.py"}}]}, "b.py"),
        ({"uri": "https://example.org/a.py"}, {}, "https://example.org/a.py"),
        ({}, {}, ""),
    ],
)
def test_files_are_named_relative_to_the_root(location: dict[str, Any], run: dict[str, Any], file: str) -> None:
    log = sarif({"locations": [{"physicalLocation": {"artifactLocation": location}}]}, **run)
    assert only(log, root="/code").file == file


@pytest.mark.parametrize(
    "result", [{"suppressions": [{"kind": "inSource"}]}, {"kind": "pass"}, {"baselineState": "absent"}]
)
def test_results_that_do_not_count_are_left_out(result: dict[str, Any]) -> None:
    assert report_from_sarif(sarif(result)).findings == ()


def test_a_tool_that_did_not_finish_is_named() -> None:
    log = sarif({}, invocations=[{"executionSuccessful": False}])
    assert report_from_sarif(log).summary == "probe: 1 finding (it did not finish)"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no json", "not a SARIF log"),
        (b"\xff\xfe", "not a SARIF log"),
        ({"runs": []}, "missing required field `version`"),
        ({"version": "1.0.0", "runs": []}, "have the tool write version 2.1.0"),
        ({"version": "2.1.0", "runs": [{"tool": {}}]}, "`$.runs[0].tool`"),
    ],
)
def test_what_is_no_sarif_log_is_refused(data: Any, words: str) -> None:
    with pytest.raises(AgentError) as error:
        report_from_sarif(data)
    assert words in str(error.value)


def test_only_the_runs_of_one_tool_can_be_asked_for() -> None:
    log = sarif({})
    log["runs"].append(json.loads(json.dumps(log["runs"][0]).replace("probe", "Other")))
    assert report_from_sarif(log, tool="other").summary == "Other: 1 finding"
    with pytest.raises(AgentError, match="has no run of 'third', but of Other, probe"):
        report_from_sarif(log, tool="third")
