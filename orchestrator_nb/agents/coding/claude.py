"""Claude Code (`claude`): how it is called, and what its stream of JSON lines says.

Seen with 2.1.328, and 2.1.197, which tells of a refusal only in the tool's result and in the final event. Keys have
no stable order. An API error ends with ``subtype: success``: only `is_error` counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator_nb.agents.coding import failures
from orchestrator_nb.agents.coding.capabilities import check
from orchestrator_nb.agents.coding.claude_refusals import REFUSING, need_of, path_in_words
from orchestrator_nb.agents.coding.claude_result import kind_of_record, usage_of, usage_of_answer
from orchestrator_nb.agents.coding.cli import Capabilities, Invocation, Login, Request
from orchestrator_nb.agents.coding.recent import Recent
from orchestrator_nb.agents.coding.refusals import refused
from orchestrator_nb.agents.coding.streams import (
    code_in,
    count_in,
    list_in,
    number_in,
    path_in,
    record_of,
    summary_of,
    table_in,
    text_in,
    words_in,
)
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    CommandRun,
    ErrorSeen,
    FileEdit,
    Finished,
    Kind,
    PermissionDenied,
    RateLimit,
    Retry,
    Source,
    Started,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Unknown,
    shortened,
)
from orchestrator_nb.errors import CapabilityError

_MODES = {"read": "plan", "edit": "acceptEdits", "full": "bypassPermissions"}

#: Requests that fail are tried again this often; its default of 10 takes many minutes.
MAX_RETRIES = 2

#: It takes the schema of the answer as an argument, of which Linux takes no longer ones than 128 KiB.
LONGEST_SCHEMA = 100_000


class Claude:
    """Claude Code."""

    name = "claude"
    program = "claude"
    capabilities = Capabilities(
        contained={level: f"--permission-mode {mode}" for level, mode in _MODES.items()},  # type: ignore[misc]
        uncontained={"read": "--permission-mode plan", "edit": "--permission-mode acceptEdits"},
        resume=True,
        turn_limit=True,
        budget=True,
        schema=True,
        usage=True,
        cost=True,
        oldest="2.1.197",  # the oldest that was tried; older ones ran settings of repositories unasked
        instructions=("CLAUDE.md",),
    )
    login = Login(
        files=(".claude/.credentials.json",),
        variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    )

    control_files: tuple[str, ...] = (".claude/settings.json", ".claude/settings.local.json", ".mcp.json")

    def invocation(self, request: Request) -> Invocation:
        """How it is started. Raises `CapabilityError` for an option that it can't honour."""
        check(self, request)
        argv = [self.program, "-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        argv += ["--setting-sources", "user", "--strict-mcp-config"]  # else it runs hooks and servers of the repository
        argv += ["--permission-mode", _MODES[request.level]]
        for directory in request.directories:
            argv += ["--add-dir", directory]
        for option, value in {
            "--model": request.model,
            "--max-turns": request.turn_limit,
            "--max-budget-usd": request.budget,
            "--resume": request.resume,
            "--json-schema": None if request.schema is None else _schema(request),
        }.items():
            if value is not None:
                argv += [option, str(value)]
        env = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": str(MAX_RETRIES)}
        if request.base_url:
            env["ANTHROPIC_BASE_URL"] = request.base_url
        if request.level == "full":
            env["IS_SANDBOX"] = "1"  # else it refuses to work as root; `check` has seen that a sandbox is around it
        return Invocation(tuple(argv), env)

    def parser(self) -> ClaudeParser:
        """A new parser for one run."""
        return ClaudeParser()

    def failure(self, code: int, errors: str) -> tuple[Kind, str] | None:
        """Why it ended without a final event, from its exit code and standard error."""
        if not code or not errors.strip():
            return None
        kind = failures.kind_of(errors)
        return ("usage" if code == 1 and kind == "other" and errors.lstrip().startswith("error:") else kind), errors

    def recorded(self, home: Path, session: str, since: float) -> Iterable[AgentEvent]:
        """Nothing: its stream loses nothing."""
        del home, session, since
        return ()


def _schema(request: Request) -> str:
    schema = json.dumps(request.schema)
    if len(schema) > LONGEST_SCHEMA:
        raise CapabilityError(f"claude takes a `schema` of at most {LONGEST_SCHEMA} characters, this has {len(schema)}")
    return schema


# -- its stream --------------------------------------------------------------------------------------------------------

_EDITING = {"Write": "add", "Edit": "update", "MultiEdit": "update", "NotebookEdit": "update"}


class _Call(NamedTuple):
    """What of a tool call is remembered until its result."""

    id: str
    tool: str
    path: str
    command: str
    summary: str


def _call(id: str, tool: str, arguments: dict[str, Any]) -> _Call:  # noqa: A002
    return _Call(id, tool, path_in(arguments), text_in(arguments, "command"), summary_of(arguments))


_SILENT = {
    "status",
    "ui_invalidate",
    "informational",
    "task_started",
    "task_notification",
    "task_progress",
    "task_updated",
    "compact_boundary",
}


class ClaudeParser:
    """Reads one run of claude."""

    def __init__(self) -> None:
        self._session = ""
        self._roots: list[str] = []
        self._calls: Recent[_Call] = Recent()
        self._denied: Recent[PermissionDenied] = Recent()
        self._limit: RateLimit | None = None

    def output(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard output says."""
        record = record_of(line)
        if record is None:
            return (Unknown(number, "text"),)
        kind = text_in(record, "type")
        if kind == "assistant":
            return self._assistant(number, record)
        if kind == "user":
            return self._user(number, record)
        if kind == "stream_event":
            return self._piece(number, table_in(record, "event"))
        if kind == "system":
            return self._system(number, record)
        if kind == "result":
            return self._result(number, record)
        if kind == "rate_limit_event":
            return self._rate_limit(number, table_in(record, "rate_limit_info"))
        return (Unknown(number, kind[:100]),)

    def errors(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """Nothing: what it prints on standard error matters only if it ends without a final event (`failure`)."""
        del number, line
        return ()

    def end(self) -> Sequence[AgentEvent]:
        """Nothing is held back."""
        return ()

    # words and calls

    def _assistant(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        message = table_in(record, "message")
        made_up = text_in(message, "model") == "<synthetic>" and text_in(record, "error")  # older versions
        if made_up or record.get("is_api_error_message") is True:
            text = words_in(message, "content")
            kind = kind_of_record(record, text)
            return (ErrorSeen(number, kind, text, kind in failures.TRANSIENT),)
        events: list[AgentEvent] = []
        for part in list_in(message, "content"):
            if type(part) is not dict:
                continue
            what = text_in(part, "type")
            if what == "text":
                events.append(Text(number, text_in(part, "text")))
            elif what == "tool_use":
                call = _call(text_in(part, "id"), text_in(part, "name"), table_in(part, "input"))
                self._calls[call.id] = call
                events.append(ToolCall(number, call.id, call.tool, call.summary))
            elif what == "thinking":
                events.append(Thought(number, text_in(part, "thinking")))
        return events

    def _piece(self, number: int, event: dict[str, Any]) -> Sequence[AgentEvent]:
        delta = table_in(event, "delta")
        what = text_in(delta, "type")
        if what == "text_delta":
            return (Text(number, text_in(delta, "text"), partial=True),)
        if what == "thinking_delta":
            return (Thought(number, text_in(delta, "thinking"), partial=True),)
        if text_in(event, "type") == "message_delta" and (usage := table_in(event, "usage")):
            return (usage_of_answer(number, usage),)
        return ()

    def _user(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        events: list[AgentEvent] = []
        decisions = {text_in(meta, "id"): meta for meta in list_in(record, "tool_result_meta") if type(meta) is dict}
        for part in list_in(table_in(record, "message"), "content"):
            if type(part) is dict and text_in(part, "type") == "tool_result":
                call = text_in(part, "tool_use_id")
                self._tool_result(number, part, decisions.get(call, {}), table_in(record, "tool_use_result"), events)
        return events

    def _tool_result(
        self,
        number: int,
        part: dict[str, Any],
        meta: dict[str, Any],
        details: dict[str, Any],
        events: list[AgentEvent],
    ) -> None:
        text, ok = words_in(part, "content"), part.get("is_error") is not True
        id = text_in(part, "tool_use_id")  # noqa: A001
        call = self._calls.get(id) or _call(id, "", {})
        shown = shortened(text)
        events.append(ToolResult(number, id, ok, shown))
        decided = table_in(meta, "permission_decision")
        decision = text_in(decided, "decision")
        if decision == "reject" or text_in(meta, "non_execution_kind") == "permission-rule":
            self._deny(number, call, text, text_in(decided, "reason_type"), "result", events)
        elif not ok and not decision and not call.tool.startswith("mcp__") and REFUSING.match(text):
            self._deny(number, call, text, "", "text", events)
        elif call.tool == "Bash" and not meta.get("non_execution_kind"):
            self._command(number, call, text, ok, events)
        elif ok and call.tool in _EDITING and call.path:
            kind = {"create": "add", "update": "update"}.get(text_in(details, "type"), _EDITING[call.tool])
            events.append(FileEdit(number, call.path, "add" if kind == "add" else "update"))

    def _command(self, number: int, call: _Call, text: str, ok: bool, events: list[AgentEvent]) -> None:
        found = re.match(r"Exit code (\d{1,9})(\n|$)", text)
        code = 0 if ok else int(found[1]) if found else None
        events.append(CommandRun(number, call.command, code, shortened(text)))
        if (refusal := refused(text, call.command, code)) and self._denied.get(call.id) is None:
            said = (refusal.reason, refusal.need)
            denial = PermissionDenied(number, call.tool, call.command, *said, "text", call.id, refusal.path)
            self._denied[call.id] = denial
            events.append(denial)

    # refusals

    def _deny(self, number: int, call: _Call, reason: str, why: str, source: Source, events: list[AgentEvent]) -> None:
        """Add a refusal, unless this call's is known from a source as good. Its end confirms what texts told."""
        known = self._denied.get(call.id) if call.id else None
        if known and (known.source != "text" or source == "text"):
            return
        if known and not reason:
            denial = msgspec.structs.replace(known, line=number, source=source)
        else:
            target, path = call.path or call.command or call.summary, call.path or path_in_words(reason)
            told = shortened(reason, 1000), need_of(reason, why, path, self._roots)
            denial = PermissionDenied(number, call.tool, target, *told, source, call.id, path)
        self._denied[call.id] = denial
        events.append(denial)

    def _system(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        subtype = text_in(record, "subtype")
        if subtype == "init":
            return self._init(number, record)
        if subtype == "permission_denied":
            events: list[AgentEvent] = []
            id = text_in(record, "tool_use_id")  # noqa: A001
            call = self._calls.get(id) or _call(id, text_in(record, "tool_name"), {})
            reason, why = text_in(record, "message"), text_in(record, "decision_reason_type")
            self._deny(number, call, reason, why, "event", events)
            return events
        if subtype == "api_retry":
            status, delay = code_in(record, "error_status"), number_in(record, "retry_delay_ms")
            reason = failures.kind_of_status(status) if status else kind_of_record(record, "")
            return (
                Retry(
                    number,
                    count_in(record, "attempt"),
                    count_in(record, "max_retries"),
                    None if delay is None else delay / 1000,
                    status,
                    "network" if reason == "other" else reason,
                ),
            )
        if subtype == "informational" and text_in(record, "level") in ("warning", "error"):
            return (ErrorSeen(number, "other", text_in(record, "content")),)
        return () if subtype in _SILENT else (Unknown(number, f"system/{subtype}"[:100]),)

    def _init(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        session, cwd = text_in(record, "session_id"), text_in(record, "cwd")
        self._roots = [cwd] if cwd else []
        self._roots += [root for root in list_in(record, "additional_directories") if type(root) is str]
        if session and session == self._session:
            return ()  # it says so again before every turn of its own
        self._session = session
        return (Started(number, session, text_in(record, "model"), text_in(record, "claude_code_version"), cwd),)

    # its end

    def _rate_limit(self, number: int, info: dict[str, Any]) -> Sequence[AgentEvent]:
        if text_in(info, "status") != "rejected":
            return ()
        self._limit = RateLimit(number, number_in(info, "resetsAt"), text_in(info, "rateLimitType"))
        return (self._limit,)

    def _result(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        events: list[AgentEvent] = []
        for denial in list_in(record, "permission_denials"):
            if type(denial) is dict:
                tool, arguments = text_in(denial, "tool_name"), table_in(denial, "tool_input")
                self._deny(number, _call(text_in(denial, "tool_use_id"), tool, arguments), "", "", "result", events)
        if type(record.get("usage")) is dict:
            events.append(usage_of(number, record))
        ok = record.get("is_error") is False and text_in(record, "subtype") == "success"
        text = text_in(record, "result") or words_in(record, "errors")
        kind: Kind = "" if ok else kind_of_record(record, text)
        if kind == "rate_limit" and self._limit is None and failures.is_limit(text):
            events.append(RateLimit(number, failures.epoch_in(text), text))
        events.append(Finished(number, ok, kind, text, count_in(record, "num_turns")))
        return events
