"""The structured result of a task: a summary, findings, figures (S1 4.2 "Structured Merge").

A `Report` is what `result: report` promises and what `result: sarif` is turned into. Everything here is read from
outside (a tool's output, a function's answer), so everything is checked, and an error names the place of the fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

import msgspec

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError

Severity = Literal["critical", "high", "medium", "low", "info"]

#: From worst to mildest.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

#: What tools call them.
_ALIASES: dict[str, Severity] = {
    **{severity: severity for severity in SEVERITIES},
    **dict.fromkeys(("blocker", "fatal"), "critical"),
    **dict.fromkeys(("error", "major", "severe"), "high"),
    **dict.fromkeys(("warning", "warn", "moderate"), "medium"),
    **dict.fromkeys(("note", "minor", "notice"), "low"),
    **dict.fromkeys(("information", "informational", "hint", "none", "undefined"), "info"),
}


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that was found, and where."""

    message: str
    #: What it is about (security, style, ...): the merged report is organised by it.
    category: str = "general"
    severity: Severity = "medium"
    #: Path of the file, as the tool gives it; empty when it is about no file.
    file: str = ""
    #: Counted from 1; None when it is about no line.
    line: int | None = None
    #: The tool's name for what was broken (`F401`, `B602`).
    rule: str = ""


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A structured result: what was found, in words, in detail and in figures."""

    #: A sentence or a few, for people.
    summary: str = ""
    findings: tuple[Finding, ...] = ()
    #: Figures by name: JSON values.
    metrics: dict[str, Any] = {}


def severity_of(name: str) -> Severity:
    """The severity that a tool's word for it stands for (`WARNING` is medium). Raises `AgentError`."""
    try:
        return _ALIASES[name.strip().lower()]
    except KeyError:
        known = f"{', '.join(SEVERITIES)}, or a usual name like error, warning, note"
        raise AgentError(f"unknown severity '{name}'{did_you_mean(name.lower(), _ALIASES)} (known: {known})") from None


def report_from(value: object) -> Report:
    """Read a structured result: a `Report`, or the JSON object that stands for one.

    Severities may be given by their usual other names. Raises `AgentError`, which names the place of the fault.
    """
    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, UnicodeEncodeError, OverflowError) as error:
        raise AgentError(f"a structured result holds JSON values only: {error}") from None
    if not isinstance(plain, dict):
        raise AgentError(f"a structured result is an object with `summary` and `findings`, not {_kind(plain)}")
    findings = plain.get("findings") or ()
    if isinstance(findings, list | tuple):
        plain = {**plain, "findings": [_with_severity(finding, at) for at, finding in enumerate(findings)]}
    try:
        return msgspec.convert(plain, Report)
    except msgspec.ValidationError as error:
        raise AgentError(f"not a structured result: {_explained(str(error))}") from None


def as_json(report: Report) -> dict[str, Any]:
    """The report as the JSON object that stands for it, without what is left to its default."""
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(report))
    return value


def _with_severity(finding: object, at: int) -> object:
    if not isinstance(finding, dict) or not isinstance(finding.get("severity"), str):
        return finding
    try:
        return {**finding, "severity": severity_of(finding["severity"])}
    except AgentError as error:
        raise AgentError(f"not a structured result: {error} - at `$.findings[{at}].severity`") from None


def _explained(message: str) -> str:
    """The validator's message, with the nearest known key for an unknown one."""
    unknown = re.search(r"unknown field `(.*?)`", message)
    if not unknown:
        return message
    keys = (Finding if "findings[" in message else Report).__struct_fields__
    return f"{message}{did_you_mean(unknown[1], keys)} (known: {', '.join(keys)})"


def _kind(value: object) -> str:
    names = {list: "a list", str: "text", type(None): "null", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


# -- SARIF 2.1.0: the part of it that a report needs; everything else is skipped while it is read ----------------------


class _Sarif(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the models of SARIF's objects."""


class _Message(_Sarif, frozen=True):
    text: str | None = None
    id: str | None = None
    arguments: tuple[str, ...] = ()


class _ArtifactLocation(_Sarif, frozen=True):
    uri: str = ""
    uri_base_id: str | None = None
    index: int = -1


class _Artifact(_Sarif, frozen=True):
    location: _ArtifactLocation = _ArtifactLocation()


class _Region(_Sarif, frozen=True):
    start_line: int | None = None


class _PhysicalLocation(_Sarif, frozen=True):
    artifact_location: _ArtifactLocation = _ArtifactLocation()
    region: _Region = _Region()


class _Location(_Sarif, frozen=True):
    physical_location: _PhysicalLocation = _PhysicalLocation()


class _Configuration(_Sarif, frozen=True):
    level: str | None = None


class _Rule(_Sarif, frozen=True):
    id: str = ""
    default_configuration: _Configuration = _Configuration()
    message_strings: dict[str, _Message] = {}
    properties: dict[str, Any] = {}


class _Driver(_Sarif, frozen=True):
    name: str
    rules: tuple[_Rule, ...] = ()


class _Tool(_Sarif, frozen=True):
    driver: _Driver


class _Suppression(_Sarif, frozen=True):
    status: str = "accepted"


class _Result(_Sarif, frozen=True):
    message: _Message
    rule_id: str | None = None
    rule_index: int = -1
    level: str | None = None
    kind: str = "fail"
    baseline_state: str = "new"
    locations: tuple[_Location, ...] = ()
    suppressions: tuple[_Suppression, ...] | None = None
    properties: dict[str, Any] = {}


class _Invocation(_Sarif, frozen=True):
    execution_successful: bool = True


class _Run(_Sarif, frozen=True):
    tool: _Tool
    results: tuple[_Result, ...] | None = None
    artifacts: tuple[_Artifact, ...] = ()
    original_uri_base_ids: dict[str, _ArtifactLocation] = {}
    invocations: tuple[_Invocation, ...] = ()


class _Log(_Sarif, frozen=True):
    version: str
    runs: tuple[_Run, ...]


_LOG = msgspec.json.Decoder(_Log)

#: ruff tells no category and calls everything an error: what its rules are about, by their letters or whole name
#: (else style), and which of them weigh more than low.
_RUFF = {"S": "security", "PERF": "performance", "C901": "complexity"}
_RUFF_SEVERITY: dict[str, Severity] = {"invalid-syntax": "high", "F": "medium", "B": "medium", "S": "medium"}


def report_from_sarif(data: bytes | str | Mapping[str, Any], *, tool: str | None = None, root: str = "") -> Report:
    """Turn a static-analysis log (SARIF 2.1.0) into a report.

    Args:
        data: The log, as JSON text or as an object.
        tool: Only the runs of this tool (`ruff`, `bandit`); of every tool when None.
        root: Absolute directory; paths of files below it are made relative to it.

    Suppressed results, and results that are no fault, are left out. The severity is the tool's own where it gives
    one (bandit's `issue_severity`, a numeric `security-severity`), else the level: error, warning and note are high,
    medium and low. Raises `AgentError` for what is not such a log.
    """
    try:
        log = _LOG.decode(data) if isinstance(data, bytes | str) else msgspec.convert(data, _Log)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AgentError(f"not a SARIF log (static-analysis results as JSON): {error}") from None
    if not log.version.startswith("2."):
        raise AgentError(f"SARIF version {log.version} cannot be read: have the tool write version 2.1.0")
    runs = [run for run in log.runs if tool is None or run.tool.driver.name.lower() == tool.lower()]
    if tool is not None and not runs:
        names = sorted({run.tool.driver.name for run in log.runs})
        raise AgentError(f"the SARIF log has no run of '{tool}', but of {', '.join(names) or 'no tool'}")
    findings: list[Finding] = []
    summary: list[str] = []
    for run in runs:
        found = [_finding(result, run, root) for result in run.results or () if _counts(result)]
        findings += found
        finished = all(invocation.execution_successful for invocation in run.invocations)
        summary.append(f"{run.tool.driver.name}: {_counted(len(found))}{'' if finished else ' (it did not finish)'}")
    return Report("; ".join(summary), tuple(findings))


def _counted(number: int) -> str:
    return f"{number or 'no'} finding{'' if number == 1 else 's'}"


def _counts(result: _Result) -> bool:
    suppressed = any(suppression.status == "accepted" for suppression in result.suppressions or ())
    return result.kind in ("fail", "open", "review") and result.baseline_state != "absent" and not suppressed


def _finding(result: _Result, run: _Run, root: str) -> Finding:
    rule = _rule(result, run.tool.driver)
    location = result.locations[0].physical_location if result.locations else _PhysicalLocation()
    return Finding(
        message=_text(result.message, rule),
        category=_category(result, rule, run.tool.driver.name),
        severity=_severity(result, rule, run.tool.driver.name),
        file=_path(location.artifact_location, run, root),
        line=location.region.start_line,
        rule=result.rule_id or rule.id,
    )


def _rule(result: _Result, driver: _Driver) -> _Rule:
    if 0 <= result.rule_index < len(driver.rules):
        return driver.rules[result.rule_index]
    return next((rule for rule in driver.rules if rule.id == result.rule_id), _Rule())


def _text(message: _Message, rule: _Rule) -> str:
    template = message if message.text is not None else rule.message_strings.get(message.id or "", message)
    text = template.text or message.id or rule.id or "(no message)"
    for number, argument in enumerate(message.arguments):
        text = text.replace(f"{{{number}}}", argument)
    return text


def _category(result: _Result, rule: _Rule, tool: str) -> str:
    for properties in (result.properties, rule.properties):
        if isinstance(category := properties.get("category"), str):
            return category.lower()
        for tag in properties.get("tags") or ():
            if isinstance(tag, str) and "/" not in tag:
                return tag.lower()
    if tool.lower() == "ruff":
        code = result.rule_id or rule.id
        return _RUFF.get(code) or _RUFF.get(_letters(code), "style")
    return tool.lower()


def _letters(code: str) -> str:
    return code.rstrip("0123456789")


def _severity(result: _Result, rule: _Rule, tool: str) -> Severity:
    if tool.lower() == "ruff":
        return _RUFF_SEVERITY.get(_letters(result.rule_id or rule.id), "low")
    named = result.properties.get("issue_severity")
    if isinstance(named, str) and named.lower() in _ALIASES:
        return _ALIASES[named.lower()]
    try:
        score = float(rule.properties["security-severity"])
    except (KeyError, TypeError, ValueError):
        level = result.level or rule.default_configuration.level or "warning"
        return _ALIASES.get(level.lower(), "medium")
    return "critical" if score >= 9 else "high" if score >= 7 else "medium" if score >= 4 else "low"


def _path(location: _ArtifactLocation, run: _Run, root: str) -> str:
    if not location.uri and 0 <= location.index < len(run.artifacts):
        location = run.artifacts[location.index].location
    uri = location.uri
    base = run.original_uri_base_ids.get(location.uri_base_id or "")
    if base and base.uri and not urlsplit(uri).scheme:
        uri = base.uri.rstrip("/") + "/" + uri
    parts = urlsplit(uri)
    path = unquote(parts.path) if parts.scheme in ("", "file") else uri
    if root and PurePosixPath(path).is_relative_to(root):
        path = str(PurePosixPath(path).relative_to(root))
    return path
