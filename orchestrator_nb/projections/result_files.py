"""`results/agent-NN-result.md`: what a result is to people, and where it is data, the same made readable."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from orchestrator_nb.core.models import Task
from orchestrator_nb.core.reports import Report, report_from
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.findings import (
    Found,
    breakdown,
    by_category,
    category_title,
    figures_table,
    findings_tables,
)
from orchestrator_nb.projections.text import MAX_TEXT, clean, fence, inline
from orchestrator_nb.projections.words import count

#: Findings of one category that a result file lists; the JSON beside it holds them all.
_FINDINGS = 5000
#: Values of an object that is shown as a table.
_FIGURES = 40
#: Kinds of agents whose text is what a program printed, to be shown as it was; the others write Markdown.
_PRINTING = frozenset(["shell", "notebook"])


def is_printed(spec: Task, task: TaskState) -> bool:
    """Whether a task's result is the text that a program printed, and not Markdown."""
    is_markdown = spec.result is not None and spec.result.source.lower().endswith(".md")
    return spec.kind in _PRINTING and task.format not in ("json", "report") and not is_markdown


def result_file(title: str, format_: str, value: Any) -> str:
    """The result `value` (a JSON value) of the task with this title, read as `format_` (text, json or report) says."""
    if isinstance(value, str) and format_ != "report":
        text = clean(value)
        return text if text.endswith("\n") else f"{text}\n"
    if format_ == "report":
        try:
            return f"# {inline(title)}\n\n{report_markdown(report_from(value))}"
        except OrchestratorError:
            pass  # it was checked when the task completed: whatever this is, show it as it is
    return f"# {inline(title)}\n\n{json_markdown(value)}"


def json_markdown(value: Any, limit: int = MAX_TEXT) -> str:
    """A JSON value: a table if it is a small object of short values, else an indented block."""
    if isinstance(value, dict) and 0 < len(value) <= _FIGURES and all(map(_is_short, value.values())):
        return figures_table([("", value)])
    try:
        text = msgspec.json.format(json.dumps(value, ensure_ascii=False), indent=2)
    except RecursionError:
        return "_(nested too deeply to be shown)_\n"
    return fence(text, "json", limit)


def _is_short(value: Any) -> bool:
    return len(value) <= 100 and "\n" not in value if isinstance(value, str) else isinstance(value, int | float)


def report_markdown(report: Report, level: int = 2) -> str:
    """A structured result; its sections have headings of `level`."""
    mark = "#" * level
    parts = [f"{inline(report.summary, 2000)}\n"] if report.summary else []
    if figures := figures_table([("", report.metrics)]):
        parts.append(f"{mark} Figures\n\n{figures}")
    for category, found in by_category(map(Found, report.findings)).items():
        heading = f"{mark} {category_title(category)}: {count(len(found), 'finding')} ({breakdown(found)})"
        parts.append(f"{heading}\n\n{findings_tables(found, _FINDINGS, ' in the JSON file beside this one')}")
    if not report.findings:
        parts.append("No findings.\n")
    return "\n".join(parts)


def decode_result(content: bytes) -> Any:
    """The JSON value in a result file; its text if it is none."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content.decode("utf-8", "replace")
