"""Codex (`codex exec --json`): how it is called, what its stream says, and what only its record of a session says.

Seen with 0.169.0. A refused patch is told on standard error only; a command that its sandbox stops fast is usually not
told at all, so its record (``$CODEX_HOME/sessions/**/rollout-*-THREAD.jsonl``) is read as well. Usage is that of the
whole thread, over all its runs.
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
from orchestrator_nb.agents.coding.codex_record import REFUSING, need_of, read_record
from orchestrator_nb.agents.coding.recent import Recent
from orchestrator_nb.agents.coding.refusals import refused
from orchestrator_nb.agents.coding.streams import (
    code_in,
    count_in,
    list_in,
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
    Started,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
    shortened,
)
from orchestrator_nb.errors import CapabilityError

#: The file in HOME that holds the JSON Schema of the answer.
SCHEMA_FILE = ".orchestrator-answer.schema.json"

_ALWAYS = (
    "analytics.enabled=false",  # else it hangs for 5 s at its end where there is no internet
    "features.plugins=false",  # else it runs `git clone` at its start
)
_OWN_SANDBOX_OFF = "--dangerously-bypass-approvals-and-sandbox"


class Codex:
    """Codex."""

    name = "codex"
    program = "codex"
    capabilities = Capabilities(
        contained={"read": "mounted read-only", "edit": "writable mounts", "full": "own sandbox off"},
        uncontained={"read": "-s read-only", "edit": "-s workspace-write"},
        resume=True,
        turn_limit=False,
        budget=False,
        schema=True,
        usage=True,
        cost=False,
        network=True,
        oldest="0.23.0",  # CVE-2025-61260: older ones obeyed the repository's .env
        longest_prompt=1_048_576,
    )
    login = Login(files=(".codex/auth.json",), variables=("CODEX_API_KEY",))

    control_files: tuple[str, ...] = (".codex",)

    def invocation(self, request: Request) -> Invocation:
        """How it is started. Raises `CapabilityError` for an option that it can't honour."""
        check(self, request)
        if not request.contained and Path(request.home).is_relative_to(request.tmp):
            raise CapabilityError(
                f"codex cannot have its HOME ({request.home}) in its directory for temporary files ({request.tmp}):"
                " it would refuse every command, and still call that a success; give it another TMPDIR"
            )
        argv = [self.program, "exec", "--json", "--skip-git-repo-check", "--ignore-user-config", "-C", request.cwd]
        settings = [*_ALWAYS, *_address(request.base_url)]
        if request.contained:
            argv.append(_OWN_SANDBOX_OFF)
        elif request.level == "read":
            argv += ["-s", "read-only"]
        else:
            argv += ["-s", "workspace-write"]
            table = "sandbox_workspace_write"
            settings += [f"{table}.exclude_slash_tmp=true", f"{table}.exclude_tmpdir_env_var=true"]
            settings += [f"{table}.network_access=true"] if request.network else []
        for directory in request.directories if request.level != "read" else ():
            argv += ["--add-dir", directory]
        for setting in settings:
            argv += ["-c", setting]
        argv += ["-m", request.model] if request.model else []
        files = {}
        if request.schema is not None:
            files[SCHEMA_FILE] = json.dumps(request.schema)
            argv += ["--output-schema", str(Path(request.home, SCHEMA_FILE))]
        argv += ["resume", request.resume] if request.resume else []
        return Invocation((*argv, "-"), {}, files)

    def parser(self) -> CodexParser:
        """A new parser for one run."""
        return CodexParser()

    def failure(self, code: int, errors: str) -> tuple[Kind, str] | None:
        """Why it ended without a final event, from its exit code and standard error."""
        said = "\n".join(line for line in errors.splitlines() if line.strip() and not _NOISE.match(line))
        if not code or not said:
            return None
        return ("usage" if code == 2 else failures.kind_of(said)), said

    def recorded(self, home: Path, session: str, since: float) -> Iterable[AgentEvent]:
        """Refusals and a reached usage limit in its record of the session, from `since` (epoch seconds) on."""
        if not re.fullmatch(r"[\w-]+", session):
            return
        for path in sorted((home / ".codex" / "sessions").rglob(f"rollout-*-{session}.jsonl")):
            with path.open("rb") as file:
                yield from read_record(iter(lambda file=file: file.read(1 << 20), b""), since)  # type: ignore[misc]


def _address(base_url: str | None) -> list[str]:
    """Settings of another address: the variable OPENAI_BASE_URL is ignored by codex."""
    if not base_url:
        return []
    provider = f'name="orchestrator",base_url={json.dumps(base_url)},env_key="CODEX_API_KEY",wire_api="responses"'
    retries = "request_max_retries=2,stream_max_retries=2"
    return ['model_provider="orchestrator"', f"model_providers.orchestrator={{{provider},{retries}}}"]


# -- its stream --------------------------------------------------------------------------------------------------------

_NOISE = re.compile(r"Reading additional input from stdin|WARNING: |\d{4}-\S+ +(WARN|INFO|DEBUG) ")
_SILENT = {"turn.started", "item.updated"}
_RETRYING = re.compile(r"Reconnecting\.\.\. (?:(\d+)/(\d+)|waiting for network)\s*(?:\((.*)\))?", re.DOTALL)

#: Its own words on standard error, after the time.
_ROUTER = re.compile(r"\S+ +ERROR codex_core::tools::router: error=(.*)", re.DOTALL)


class CodexParser:
    """Reads one run of codex."""

    def __init__(self) -> None:
        self._begun: Recent[bool] = Recent()
        self._waits = 0
        self._text = ""
        self._limited = False

    def output(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard output says."""
        record = record_of(line)
        if record is None:
            return (Unknown(number, "text"),)
        kind = text_in(record, "type")
        if kind == "item.completed":
            return self._completed(number, table_in(record, "item"))
        if kind == "item.started":
            return self._begin(number, table_in(record, "item"))
        if kind == "turn.completed":
            usage = _usage(number, record)
            return (*usage, Finished(number, ok=True, text=self._text))
        if kind == "thread.started":
            return (Started(number, text_in(record, "thread_id")),)
        if kind == "error":
            return self._error(number, text_in(record, "message"))
        if kind == "turn.failed":
            return self._failed(number, record)
        return () if kind in _SILENT else (Unknown(number, kind[:100]),)

    def errors(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard error says: the only place where a refused patch is told."""
        found = _ROUTER.match(line[:8000].decode("utf-8", "replace").strip())
        if not found or not REFUSING.match(found[1]):
            return ()
        tool = "apply_patch" if found[1].startswith(("patch ", "writing ")) else "exec_command"
        return (PermissionDenied(number, tool, "", found[1][:1000], need_of(found[1]), "stderr"),)

    def end(self) -> Sequence[AgentEvent]:
        """Nothing is held back."""
        return ()

    # items

    def _begin(self, number: int, item: dict[str, Any]) -> Sequence[AgentEvent]:
        call, tool = text_in(item, "id"), text_in(item, "type")
        self._begun[call] = True
        return (ToolCall(number, call, *_called(tool, item)),)

    def _completed(self, number: int, item: dict[str, Any]) -> Sequence[AgentEvent]:
        what = text_in(item, "type")
        if what == "agent_message":
            self._text = text_in(item, "text")
            return (Text(number, self._text),)
        if what == "reasoning":
            return (Thought(number, text_in(item, "text")),)
        if what == "error":
            message = text_in(item, "message")
            return (ErrorSeen(number, "other", message),)
        if what == "todo_list":
            return ()
        if what not in _TOOLS:
            return (Unknown(number, f"item/{what}"[:100]),)
        call = text_in(item, "id")
        events: list[AgentEvent] = []
        if self._begun.get(call) is None:
            events.append(ToolCall(number, call, *_called(what, item)))
        status = text_in(item, "status")
        output = words_in(item, "aggregated_output") if what == "command_execution" else ""
        shown = shortened(output)
        events.append(ToolResult(number, call, status in ("completed", ""), shown))
        if what == "command_execution":
            events.append(CommandRun(number, text_in(item, "command"), code_in(item, "exit_code"), shown))
        if what == "file_change" and status == "completed":
            events += _edits(number, item)
        if refusal := _refusal(number, item, status, output):
            events.append(refusal)
        return events

    # its end

    def _error(self, number: int, message: str) -> Sequence[AgentEvent]:
        if found := _RETRYING.match(message):
            self._waits += 1
            why = found[3] or message
            reason = failures.kind_of(why) if found[1] else "network"
            attempt = int(found[1][:9]) if found[1] else self._waits
            return (Retry(number, attempt, int((found[2] or "0")[:9]), None, failures.status_in(why), reason),)
        kind = failures.kind_of(message)
        return (*self._limit(number, message), ErrorSeen(number, kind, message, kind in failures.TRANSIENT))

    def _failed(self, number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
        message = text_in(table_in(record, "error"), "message")
        limit = self._limit(number, message)
        return (
            *limit,
            *_usage(number, record),
            Finished(number, ok=False, kind=failures.kind_of(message), text=message),
        )

    def _limit(self, number: int, message: str) -> Sequence[AgentEvent]:
        if self._limited or not failures.is_limit(message):
            return ()
        self._limited = True
        return (RateLimit(number, failures.epoch_in(message), message),)


_TOOLS = {"command_execution", "file_change", "mcp_tool_call", "web_search", "collab_tool_call", "image_view"}


def _called(what: str, item: dict[str, Any]) -> tuple[str, str]:
    """Name and most telling argument of a tool's item."""
    if what == "file_change":
        return what, ", ".join(text_in(change, "path") for change in _changes(item))[:2000]
    if what == "mcp_tool_call":
        return f"{text_in(item, 'server')}.{text_in(item, 'tool')}", summary_of(table_in(item, "arguments"))
    return what, summary_of({key: item[key] for key in ("command", "query", "path", "prompt") if key in item})


def _changes(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [change for change in list_in(item, "changes") if type(change) is dict]


def _edits(number: int, item: dict[str, Any]) -> list[AgentEvent]:
    kinds = {"add": "add", "delete": "delete"}
    edits: list[AgentEvent] = []
    for change in _changes(item):
        kind = kinds.get(text_in(change, "kind"), "update")
        edits.append(FileEdit(number, text_in(change, "path"), kind))  # type: ignore[arg-type]
    return edits


def _refusal(number: int, item: dict[str, Any], status: str, output: str) -> PermissionDenied | None:
    """The refusal that a tool's item tells of: it was declined, or failed with the system's words for it."""
    tool, target = _called(text_in(item, "type"), item)
    call = text_in(item, "id")
    if status == "declined":
        return PermissionDenied(number, tool, target, "declined", "mode", "event", call)
    if status not in ("failed", "completed") or not output:
        return None
    found = refused(output, target, 0 if status == "completed" else code_in(item, "exit_code"))
    return found and PermissionDenied(number, tool, target, found.reason, found.need, "text", call, found.path)


def _usage(number: int, record: dict[str, Any]) -> Sequence[AgentEvent]:
    usage = table_in(record, "usage")
    if not usage:
        return ()
    return (
        Usage(
            number,
            count_in(usage, "input_tokens"),
            count_in(usage, "output_tokens"),
            count_in(usage, "cached_input_tokens"),
            count_in(usage, "reasoning_output_tokens"),
            cumulative=True,
        ),
    )
