"""Gemini CLI (`gemini -o stream-json`): how it is called, and what its stream says.

Seen with 0.61.0. Its modes hide tools from the model: a refusal is seen only when the model calls one all the same.
A shell command that failed is a success to it, and its exit code is not told. Standard output holds JSON only;
requests that it tries again are told on standard error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from orchestrator_nb.agents.coding import failures
from orchestrator_nb.agents.coding.capabilities import check
from orchestrator_nb.agents.coding.cli import Capabilities, Invocation, Login, Request
from orchestrator_nb.agents.coding.recent import Recent
from orchestrator_nb.agents.coding.refusals import refused
from orchestrator_nb.agents.coding.streams import (
    count_in,
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
    Need,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
    shortened,
)
from orchestrator_nb.errors import CapabilityError

_MODES = {"read": "plan", "edit": "auto_edit", "full": "yolo"}

#: Settings that go before those of the repository it works in, which else may have it run commands at its start. It
#: skips the file if a directory above it is writable for others, as /tmp: so the repository's are better hidden, too.
_OVERRIDES = ".gemini/overrides.json"
_HERMETIC = {
    "tools": {"discoveryCommand": "", "callCommand": ""},
    "mcp": {"allowed": [], "serverCommand": ""},
    "hooksConfig": {"enabled": False},
    "advanced": {"ignoreLocalEnv": True},
}

#: Exit codes that it documents, and what they mean (others are an HTTP status modulo 256, or 1).
_EXITS: dict[int, Kind] = {41: "auth", 42: "usage", 44: "other", 52: "usage", 53: "turn_limit", 55: "trust"}


class Gemini:
    """Gemini CLI."""

    name = "gemini"
    program = "gemini"
    capabilities = Capabilities(
        contained={level: f"--approval-mode {mode}" for level, mode in _MODES.items()},  # type: ignore[misc]
        uncontained={"read": "--approval-mode plan", "edit": "--approval-mode auto_edit"},
        resume=True,
        turn_limit=True,
        budget=False,
        schema=False,
        usage=True,
        cost=False,
        oldest="0.39.1",  # GHSA-wpqr-6v78-jr5g
    )
    login = Login(
        files=(".gemini/oauth_creds.json", ".gemini/google_accounts.json"),
        variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    )

    control_files: tuple[str, ...] = (".gemini", ".env")

    def invocation(self, request: Request) -> Invocation:
        """How it is started. Raises `CapabilityError` for an option that it can't honour."""
        check(self, request)
        argv = [self.program, "--skip-trust", "-o", "stream-json", "--approval-mode", _MODES[request.level]]
        argv += ["--allowed-mcp-server-names", "none"]
        argv += ["-m", request.model] if request.model else []
        for directory in request.directories:
            if "," in directory:
                raise CapabilityError(f"gemini cannot be given a directory with a comma in its name: {directory}")
            argv += ["--include-directories", directory]
        argv += ["--resume", request.resume] if request.resume else []
        env = {"GEMINI_CLI_NO_RELAUNCH": "true", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
        for address in ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL"):
            env[address] = request.base_url or ""  # set, so that no `.env` of the repository sends keys elsewhere
        login = "oauth-personal" if request.logged_in else "gemini-api-key"
        settings: dict[str, Any] = {"security": {"auth": {"selectedType": login}}}
        if request.turn_limit is not None:
            settings["model"] = {"maxSessionTurns": request.turn_limit}
        overrides = str(Path(request.home, _OVERRIDES))
        env["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] = overrides
        files = {".gemini/settings.json": json.dumps(settings), _OVERRIDES: json.dumps({**_HERMETIC, **settings})}
        return Invocation(tuple(argv), env, files)

    def parser(self) -> GeminiParser:
        """A new parser for one run."""
        return GeminiParser()

    def failure(self, code: int, errors: str) -> tuple[Kind, str] | None:
        """Why it ended without a final event, from its exit code and standard error."""
        said = "\n".join(line for line in errors.splitlines() if line.strip() and not _NOISE.match(line))
        if not code:
            return None
        kind = _EXITS.get(code)
        if kind == "usage" and (session := failures.kind_of(said)) == "session":
            return session, said
        if kind:
            return kind, said
        if 400 <= 256 + code < 512 and code != 1 and code > 128:
            return failures.kind_of_status(256 + code), said
        if code == 1 and re.search(r"^(Unknown argument|Invalid values|Not enough|Usage: )", errors, re.MULTILINE):
            return "usage", said
        return failures.kind_of(said), said

    def recorded(self, home: Path, session: str, since: float) -> Iterable[AgentEvent]:
        """Nothing: its stream loses nothing."""
        del home, session, since
        return ()


# -- its stream --------------------------------------------------------------------------------------------------------

_NOISE = re.compile(
    r"\[STARTUP\]|Ripgrep is not available|(Security )?Warning: |YOLO mode is enabled|\(node:|Loaded cached|\s+at "
)
_RETRYING = re.compile(rb"Attempt (\d{1,9}) failed(?: with status (\d{3}))?\b(.*?)Retrying(?: after (\d{1,12})ms)?")
#: What it adds to a limit of the service: its words (`/auth`) would mean something else.
_ADVICE = re.compile(r"\nPlease wait and try again later\b.*", re.DOTALL)
_SHELL = "run_shell_command"
_EDITING = ("write_file", "replace", "edit")

#: Tools that modes hide. The name of any other that is "not registered" was made up by the model.
_HIDDEN = {
    _SHELL,
    *_EDITING,
    "write_new_file",
    "save_memory",
    "web_fetch",
    "google_web_search",
    "write_todos",
    "activate_skill",
}
_REFUSED: dict[str, Need] = {
    "policy_violation": "mode",
    "execution_denied": "mode",
    "path_not_in_workspace": "directory",
    "permission_denied": "directory",
    "sandbox_expansion_required": "mode",
}
_OUTSIDE = re.compile(
    r"Path not in workspace|resolves outside the allowed workspace|outside (of )?the .{0,30}workspace"
)


class GeminiParser:
    """Reads one run of gemini. Its words come in pieces; the whole text follows before a line of another kind."""

    def __init__(self) -> None:
        self._calls: Recent[tuple[str, str, str, str]] = Recent()
        self._pieces: list[str] = []
        self._last = 0
        self._text = ""

    def output(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard output says."""
        record = record_of(line)
        if record is None:
            return (Unknown(number, "text"),)
        kind = text_in(record, "type")
        if kind == "message":
            return self._message(number, record)
        return (*self.end(), *self._other(number, kind, record)) if self._pieces else self._other(number, kind, record)

    def errors(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard error says: that a request is tried again, maybe when a quota is back."""
        found = _RETRYING.match(line[:4000])
        if not found:
            return ()
        status, delay = int(found[2]) if found[2] else None, int(found[4]) / 1000 if found[4] else None
        said = found[3].decode("utf-8", "replace").strip(": ")
        reason = failures.kind_of(said, status if status and status >= 400 else None)
        retry = Retry(number, int(found[1]), 0, delay, status, "network" if reason == "other" else reason)
        if reason == "rate_limit" and failures.is_limit(said):
            again = f" It tries again in {delay:.0f} s." if delay else ""
            return retry, RateLimit(number, failures.epoch_in(said), said + again)
        return (retry,)

    def end(self) -> Sequence[AgentEvent]:
        """The words that were still to be completed."""
        if not self._pieces:
            return ()
        self._text = "".join(self._pieces)
        self._pieces.clear()
        return (Text(self._last, self._text),)

    def _message(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        if text_in(record, "role") != "assistant":
            return ()  # the prompt
        text = words_in(record, "content")
        if record.get("delta") is True:
            self._pieces.append(text)
            self._last = number
            return (Text(number, text, partial=True),)
        before = self.end()
        self._text = text
        return (*before, Text(number, text))

    def _other(self, number: int, kind: str, record: dict[str, Any]) -> Sequence[AgentEvent]:
        if kind == "tool_use":
            return self._call(number, record)
        if kind == "tool_result":
            return self._result(number, record)
        if kind == "result":
            return self._finish(number, record)
        if kind == "init":
            return (Started(number, text_in(record, "session_id"), text_in(record, "model")),)
        if kind == "error":
            message = text_in(record, "message") or text_in(table_in(record, "error"), "message")
            why = failures.kind_of(message)
            return (ErrorSeen(number, why, message, why in failures.TRANSIENT),)
        return (Unknown(number, kind[:100]),)

    def _call(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        call, tool, arguments = text_in(record, "tool_id"), text_in(record, "tool_name"), table_in(record, "parameters")
        summary = summary_of(arguments)
        self._calls[call] = tool, path_in(arguments), text_in(arguments, "command"), summary
        return (ToolCall(number, call, tool, summary),)

    def _result(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        call, output = text_in(record, "tool_id"), words_in(record, "output")
        tool, path, command, summary = self._calls.get(call) or ("", "", "", "")
        ok, shown = text_in(record, "status") == "success", shortened(output)
        events: list[AgentEvent] = [ToolResult(number, call, ok, shown)]
        if not ok:
            error = table_in(record, "error")
            reason = text_in(error, "message") or output
            if need := _need(tool, text_in(error, "type"), reason):
                target, reason = path or command or summary, shortened(reason, 1000)
                events.append(PermissionDenied(number, tool, target, reason, need, "result", call, path))
        elif tool == _SHELL:
            events.append(CommandRun(number, command, None, shown))
            if refusal := refused(output, command):
                told = refusal.reason, refusal.need
                events.append(PermissionDenied(number, tool, command, *told, "text", call, refusal.path))
        elif tool in _EDITING and path:
            events.append(FileEdit(number, path))
        return events

    def _finish(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        events: list[AgentEvent] = []
        stats = table_in(record, "stats")
        if stats:
            tokens = count_in(stats, "input_tokens"), count_in(stats, "output_tokens")
            events.append(Usage(number, *tokens, count_in(stats, "cached")))
        if text_in(record, "status") == "success":
            return (*events, Finished(number, ok=True, text=self._text))
        error = table_in(record, "error")
        message = text_in(error, "message")
        kind = "turn_limit" if "TurnLimited" in text_in(error, "type") else failures.kind_of(_ADVICE.sub("", message))
        if kind == "rate_limit" and failures.is_limit(message):
            events.append(RateLimit(number, failures.epoch_in(message), message))
        return (*events, Finished(number, ok=False, kind=kind, text=message))


def _need(tool: str, kind: str, reason: str) -> Need | None:
    """What a refused call would need, or None if the error is no refusal."""
    if kind == "tool_not_registered":
        return "mode" if tool in _HIDDEN else None
    if kind == "invalid_tool_params":
        return "directory" if _OUTSIDE.search(reason) else None
    return _REFUSED.get(kind)
