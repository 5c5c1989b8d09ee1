"""What codex keeps of a session (``rollout-*.jsonl``), and its words for a call that it refused.

A line holds `timestamp`, `type`, `payload`. Calls and their results are paired by `call_id`. What a command printed
follows ``Output:`` after its exit code; a result that begins otherwise is codex's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from orchestrator_nb.agents.coding.recent import Recent
from orchestrator_nb.agents.coding.refusals import refused
from orchestrator_nb.agents.coding.streams import (
    Lines,
    code_in,
    number_in,
    record_of,
    summary_of,
    table_in,
    text_in,
    words_in,
)
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, Need, PermissionDenied, RateLimit

#: How it words a refusal of its own, from the first character on.
REFUSING = re.compile(
    r"(patch rejected: |approval policy is |writing is blocked by |writing outside of the project|"
    r"(exec )?command rejected|rejected: blocked by policy|[^\n]{1,2000}; rejected by user approval settings\s*$)",
    re.DOTALL,
)

#: Tools of its own, whose results begin with its own words: with what a command printed only after ``Output:``.
_OWN_TOOLS = {"exec_command", "write_stdin", "shell", "shell_command", "local_shell", "container.exec", "apply_patch"}
#: A command that its sandbox stopped: ``exec_command failed for `...`: SandboxDenied { message: "..."``.
_SANDBOX = re.compile(
    r"(?:exec_command failed(?: for `.*`)?: SandboxDenied|"
    r"(?:failed in sandbox [^\n]{0,100}: )?sandbox denied exec error)"
    r"(?:[^\n]{0,50}?message: \"((?:[^\"\\]|\\.)*)\")?",
    re.DOTALL,
)
_EXIT = re.compile(r"(?:Exit code:|exited with code|exit code:?) (-?\d{1,9})")


def need_of(reason: str) -> Need:
    """What a call that codex refused with these words would need."""
    if "outside of the project" in reason:
        return "directory"
    return "rule" if "blocked by policy" in reason else "mode"


def read_record(chunks: Iterable[bytes], since: float = 0) -> Iterator[AgentEvent]:
    """Refusals, and a reached usage limit, in a rollout file, from `since` (epoch seconds) on.

    What codex itself refused has source `rollout`; what the system refused to a command is, here too, only the text
    that the command printed.
    """
    lines, calls = Lines(), Recent[tuple[str, str]]()
    for chunk in chunks:
        for number, line in lines.feed(chunk):
            yield from _recorded(number, line, since, calls)
    for number, line in lines.end():
        yield from _recorded(number, line, since, calls)


def _recorded(number: int, line: bytes, since: float, calls: Recent[tuple[str, str]]) -> Iterator[AgentEvent]:
    record = record_of(line)
    if record is None:
        return
    payload = table_in(record, "payload")
    what, call = text_in(payload, "type"), text_in(payload, "call_id")
    if what in ("function_call", "custom_tool_call"):
        calls[call] = text_in(payload, "name"), _target(payload)
    elif _time_of(record) < since:
        return
    elif what in ("function_call_output", "custom_tool_call_output"):
        tool, target = calls.get(call) or ("", "")
        output, code = _result(payload)
        if code is None and tool in _OWN_TOOLS and (refusal := _own_refusal(output)):
            reason, need, path = refusal
            if tool == "apply_patch" and ", " not in target:
                path = path or target
            yield PermissionDenied(number, tool, target, reason[:1000], need, "rollout", call, path)
        elif code is not None and (found := refused(output, target, code)):
            yield PermissionDenied(number, tool, target, found.reason, found.need, "text", call, found.path)
    elif what == "token_count":
        for name in ("primary", "secondary"):
            window = table_in(table_in(payload, "rate_limits"), name)
            if (number_in(window, "used_percent") or 0) >= 100:
                yield RateLimit(number, number_in(window, "resets_at"), name)


def _own_refusal(output: str) -> tuple[str, Need, str] | None:
    """Reason, need and path, if codex itself says that it, or its sandbox, stopped a call."""
    if REFUSING.match(output):
        return output, need_of(output), ""
    if not (stopped := _SANDBOX.match(output)):
        return None
    said = stopped[1].encode("utf-8", "replace").decode("unicode_escape", "replace") if stopped[1] else output
    found = refused(said)
    return (found.reason, found.need, found.path) if found else (said.strip(), "directory", "")


def _target(payload: dict[str, Any]) -> str:
    """What a recorded call works on: its command, or the files of its patch."""
    arguments = record_of(text_in(payload, "arguments").encode("utf-8", "replace")) or {}
    patch = text_in(payload, "input") or text_in(arguments, "input")
    if files := re.findall(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$", patch[:100_000], re.MULTILINE):
        return ", ".join(files)[:2000]
    return summary_of(arguments) or patch[:500]


def _result(payload: dict[str, Any]) -> tuple[str, int | None]:
    """What a recorded tool put out, and the exit code of the command, None where none ran."""
    output = words_in(payload, "output") or words_in(table_in(payload, "output"), "content")
    inner = record_of(output.encode("utf-8", "replace")) if output.startswith("{") else None
    if inner and type(inner.get("output")) is str:
        return text_in(inner, "output"), code_in(table_in(inner, "metadata"), "exit_code")
    head, mark, body = output.partition("Output:\n")
    if not mark or not (found := _EXIT.search(head[:2000])):
        return output, None
    return body, int(found[1])


def _time_of(record: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(text_in(record, "timestamp")).timestamp()
    except (ValueError, OverflowError):
        return float("inf")  # better told twice than lost
