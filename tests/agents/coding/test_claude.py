from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator_nb.agents.coding.claude import LONGEST_SCHEMA, Claude
from orchestrator_nb.agents.coding.claude_refusals import need_of, path_in_words
from orchestrator_nb.agents.coding.cli import Request
from orchestrator_nb.agents.coding.vocabulary import (
    CommandRun,
    ErrorSeen,
    FileEdit,
    Finished,
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
)
from orchestrator_nb.errors import CapabilityError
from tests.agents.coding.lines import events, of

CLAUDE = Claude()


def argv(**fields: Any) -> list[str]:
    return list(CLAUDE.invocation(Request(cwd="/w", home="/h", **fields)).argv)


# -- how it is called --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "mode"), [("read", "plan"), ("edit", "acceptEdits"), ("full", "bypassPermissions")])
def test_levels(level: str, mode: str) -> None:
    called = argv(level=level, contained=True)
    assert called[called.index("--permission-mode") + 1] == mode
    assert called[:2] == ["claude", "-p"]
    assert "--verbose" in called, "without it a stream of JSON is refused"


def test_no_sandbox_no_bypass() -> None:
    with pytest.raises(CapabilityError, match="level `full` of claude is for a sandbox only"):
        argv(level="full")
    for level in ("read", "edit"):
        assert "IS_SANDBOX" not in CLAUDE.invocation(Request(cwd="/w", home="/h", level=level)).env  # type: ignore[arg-type]


def test_all_options() -> None:
    called = argv(
        level="edit",
        directories=("/a", "/b c"),
        model="opus",
        turn_limit=3,
        budget=0.5,
        schema={"type": "object"},
        resume="1-2",
    )
    joined = "\0".join(called)
    assert "--add-dir\0/a\0--add-dir\0/b c" in joined
    pairs = dict(zip(called, called[1:], strict=False))
    assert pairs["--model"] == "opus"
    assert pairs["--max-turns"] == "3"
    assert pairs["--max-budget-usd"] == "0.5"
    assert pairs["--json-schema"] == '{"type": "object"}'
    assert pairs["--resume"] == "1-2"


def test_b14_a_prompt_is_no_argument_and_a_schema_no_long_one() -> None:
    assert len("\0".join(argv(level="edit"))) < 4096
    assert "prompt" not in Request.__struct_fields__
    with pytest.raises(CapabilityError, match=f"at most {LONGEST_SCHEMA} characters"):
        argv(schema={"enum": ["x" * LONGEST_SCHEMA]})


def test_h11_settings_and_servers_of_a_repository_are_not_loaded() -> None:
    assert "--setting-sources\0user\0--strict-mcp-config" in "\0".join(argv(level="edit"))
    assert ".mcp.json" in CLAUDE.control_files


def test_its_environment() -> None:
    invocation = CLAUDE.invocation(Request(cwd="/w", home="/h", base_url="http://h:1"))
    assert invocation.env["ANTHROPIC_BASE_URL"] == "http://h:1"
    assert int(invocation.env["CLAUDE_CODE_MAX_RETRIES"]) <= 2
    assert invocation.env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert not invocation.home_files


# -- what it says ------------------------------------------------------------------------------------------------------

INIT = {"subtype": "init", "session_id": "s", "cwd": "/w", "model": "m", "claude_code_version": "2", "type": "system"}


def call(tool: str, id: str = "t1", **arguments: Any) -> dict[str, Any]:  # noqa: A002
    part = {"type": "tool_use", "id": id, "name": tool, "input": arguments}
    return {"message": {"content": [part]}, "type": "assistant"}


def result(text: Any, *, error: bool = False, meta: Any = None, details: Any = None) -> dict[str, Any]:
    part = {"type": "tool_result", "tool_use_id": "t1", "content": text, "is_error": error}
    record = {"type": "user", "message": {"content": [part]}, "tool_use_result": details}
    return {**record, "tool_result_meta": [{"id": "t1", **meta}]} if meta else record


def end(**fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "result": "done", "num_turns": 2, **fields}


def test_words_thoughts_and_calls() -> None:
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "I will."},
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
        {"type": "new_kind"},
        "odd",
    ]
    assert events("claude", INIT, INIT, {"type": "assistant", "message": {"content": parts}}) == [
        Started(1, "s", "m", "2", "/w"),
        Thought(3, "hm"),
        Text(3, "I will."),
        ToolCall(3, "t1", "Bash", "ls"),
    ]


def test_pieces_of_words() -> None:
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "I w"}}
    assert events("claude", {"type": "stream_event", "event": delta}) == [Text(1, "I w", partial=True)]
    assert events("claude", {"type": "stream_event", "event": {"type": "message_stop"}}) == []


def test_files_and_commands() -> None:
    assert of(
        FileEdit, events("claude", call("Write", file_path="/w/a"), result("ok", details={"type": "create"}))
    ) == [FileEdit(2, "/w/a", "add")]
    assert of(FileEdit, events("claude", call("Edit", file_path="/w/a"), result("ok"))) == [FileEdit(2, "/w/a")]
    assert of(FileEdit, events("claude", call("Edit", file_path="/w/a"), result("no", error=True))) == []
    assert of(CommandRun, events("claude", call("Bash", command="ls"), result("a\nb"))) == [
        CommandRun(2, "ls", 0, "a\nb")
    ]
    failed = events("claude", call("Bash", command="ls x"), result("Exit code 2\nno x", error=True))
    assert of(CommandRun, failed) == [CommandRun(2, "ls x", 2, "Exit code 2\nno x")]
    assert of(PermissionDenied, failed) == []


REQUESTED = "Claude requested permissions to write to /w/a, but you haven't granted it yet."


def test_a_refusal_is_told_once_from_the_best_source() -> None:
    """The event of its own, the result and the final event of 2.1.328 are one refusal."""
    seen = events(
        "claude",
        INIT,
        call("Write", file_path="/w/a"),
        {"type": "system", "subtype": "permission_denied", "tool_name": "Write", "tool_use_id": "t1", "message": "no"},
        result(REQUESTED, error=True, meta={"permission_decision": {"decision": "reject"}}),
        end(permission_denials=[{"tool_name": "Write", "tool_use_id": "t1", "tool_input": {"file_path": "/w/a"}}]),
    )
    assert of(PermissionDenied, seen) == [PermissionDenied(3, "Write", "/w/a", "no", "mode", "event", "t1", "/w/a")]


def test_an_older_version_is_confirmed_at_its_end() -> None:
    """2.1.197 has the tool's text, and the final event."""
    denials = [{"tool_name": "Write", "tool_use_id": "t1", "tool_input": {"file_path": "/w/a"}}]
    seen = events(
        "claude",
        INIT,
        call("Write", file_path="/w/a"),
        result(REQUESTED, error=True),
        end(permission_denials=denials),
    )
    first, last = of(PermissionDenied, seen)
    assert first == PermissionDenied(3, "Write", "/w/a", REQUESTED, "mode", "text", "t1", "/w/a")
    assert last == PermissionDenied(4, "Write", "/w/a", REQUESTED, "mode", "result", "t1", "/w/a")


@pytest.mark.parametrize(
    "text",
    [
        REQUESTED,
        "This command requires approval",
        "This Bash command contains multiple operations. The following part requires approval: touch x",
        "touch in '/w/x' needs approval. The path is inside the working directories",
        "touch in '/w/x' was blocked. For security, Claude Code may only create files in",
        "Permission to use Bash with command touch x has been denied.",
        "Permission for this tool use was denied. It requires approval, and this session has no approval surface",
        "Cannot write to /w/x while in plan mode.",
    ],
)
def test_refusals_in_its_own_words(text: str) -> None:
    seen = events("claude", call("Bash", command="touch x"), result([{"type": "text", "text": text}], error=True))
    assert [(denial.source, denial.reason) for denial in of(PermissionDenied, seen)] == [("text", text)]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_use_error>File has not been read yet. Read it first before writing to it.</tool_use_error>",
        "<tool_use_error>Blocked: standalone sleep 300.</tool_use_error>",
        "The user doesn't want to proceed with this tool use. The tool use was rejected",
        "Exit code 1\nThis command requires approval",
        f"Exit code 1\n{REQUESTED}",
    ],
)
def test_other_failures_are_no_refusals(text: str) -> None:
    assert of(PermissionDenied, events("claude", call("Bash", command="x"), result(text, error=True))) == []


def test_h16_words_of_the_model_and_of_other_tools_prove_nothing() -> None:
    seen = events(
        "claude",
        {"type": "assistant", "message": {"content": [{"type": "text", "text": REQUESTED}]}},
        call("Bash", command="cat notes"),
        result(REQUESTED),
        call("mcp__x__y"),
        result(REQUESTED, error=True),
        call("Bash", command="run"),
        result(REQUESTED, error=True, meta={"permission_decision": {"decision": "accept"}}),
        end(result=REQUESTED),
    )
    assert of(PermissionDenied, seen) == []


def test_a_sandbox_stops_a_command() -> None:
    text = "Exit code 1\ntouch: cannot touch '/o/x': Read-only file system"
    accepted = {"permission_decision": {"decision": "accept"}}
    seen = events("claude", call("Bash", command="touch /o/x"), result(text, error=True, meta=accepted))
    (denial,) = of(PermissionDenied, seen)
    assert (denial.source, denial.need, denial.path) == ("text", "directory", "/o/x")


@pytest.mark.parametrize(
    ("reason", "why", "path", "need"),
    [
        ("", "workingDir", "", "directory"),
        ("x in '/o' needs approval. The path is outside the working directories", "", "", "directory"),
        ("x in '/w/o' needs approval. The path is inside the working directories", "", "", "mode"),
        ("", "mode", "/w/a", "mode"),
        ("", "", "/w/a", "mode"),
        ("", "", "/wide/a", "directory"),
        ("", "", "/more/a", "mode"),
        ("Permission to use Bash with command x has been denied.", "subcommandResults", "", "rule"),
        ("", "rule", "", "rule"),
    ],
)
def test_what_a_refused_call_needs(reason: str, why: str, path: str, need: str) -> None:
    assert need_of(reason, why, path, ["/w", "/more/"]) == need


def test_the_path_in_its_words() -> None:
    assert path_in_words(REQUESTED) == "/w/a"
    assert path_in_words("touch in '/o/x' needs approval.") == "/o/x"
    assert path_in_words("This command requires approval") == ""


def test_retries_and_limits() -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 10, "retry_delay_ms": 500}
    assert events("claude", {**retry, "error_status": 529, "error": "overloaded"}) == [
        Retry(1, 2, 10, 0.5, 529, "overload")
    ]
    assert events("claude", {**retry, "error_status": None, "error": "unknown"}) == [
        Retry(1, 2, 10, 0.5, None, "network")
    ]
    info = {"status": "rejected", "resetsAt": 1788700000, "rateLimitType": "five_hour"}
    assert events("claude", {"type": "rate_limit_event", "rate_limit_info": info}) == [
        RateLimit(1, 1788700000.0, "five_hour")
    ]
    assert events("claude", {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}) == []
    seen = events("claude", end(is_error=True, api_error_status=429, result="Claude AI usage limit reached|1788700000"))
    assert of(RateLimit, seen) == [RateLimit(1, 1788700000.0, "Claude AI usage limit reached|1788700000")]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"is_error": True, "api_error_status": 401}, "auth"),
        ({"is_error": True, "api_error_status": None, "result": "Not logged in · Please run /login"}, "auth"),
        ({"is_error": True, "api_error": "connection_failed"}, "network"),
        ({"is_error": True, "subtype": "error_max_turns", "errors": ["Reached"]}, "turn_limit"),
        ({"is_error": True, "subtype": "error_max_budget_usd"}, "budget"),
        ({"is_error": True, "subtype": "error_during_execution", "terminal_reason": "aborted_tools"}, "interrupted"),
        ({"is_error": True, "subtype": "error_of_a_later_version", "result": "odd"}, "other"),
        ({"is_error": None}, "other"),
    ],
)
def test_ends(fields: dict[str, Any], kind: str) -> None:
    """A failed request too has `subtype` success."""
    (finished,) = of(Finished, events("claude", end(**fields)))
    assert (finished.ok, finished.kind) == (False, kind)


def test_a_good_end() -> None:
    assert events("claude", end()) == [Finished(1, ok=True, text="done", turns=2)]


def test_cost_is_of_this_run_or_marked_as_of_the_session() -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3}
    since = {"m": {"costUSD": 0.5}, "n": {"costUSD": 0.25}}
    newer = events("claude", end(usage=usage, total_cost_usd=2.0, model_usage_since_last_result=since))
    assert of(Usage, newer) == [Usage(1, 10, 5, 3, 0, 0.75, cached_apart=True)]
    models = {"m": {"inputTokens": 20, "outputTokens": 5, "costUSD": 2.0}}
    session = events("claude", end(usage=usage, total_cost_usd=2.0, modelUsage=models))
    assert of(Usage, session) == [Usage(1, 10, 5, 3, 0, 2.0, cost_cumulative=True, cached_apart=True)]
    models = {"m": {"inputTokens": 10, "outputTokens": 5, "costUSD": 2.0}}
    older = events("claude", end(usage=usage, total_cost_usd=2.0, modelUsage=models))
    assert of(Usage, older) == [Usage(1, 10, 5, 3, 0, 2.0, cached_apart=True)], "2.1.197 starts anew with each run"
    unpriced = events("claude", end(usage=usage, total_cost_usd=0, model_usage_since_last_result={"m": {"costUSD": 0}}))
    assert of(Usage, unpriced)[0].cost is None


def test_an_api_error_is_no_word_of_the_agent() -> None:
    message = {"content": [{"type": "text", "text": "API Error: 500 no"}]}
    seen = events(
        "claude", {"type": "assistant", "is_api_error_message": True, "message": message, "error": "server_error"}
    )
    assert seen == [ErrorSeen(1, "server", "API Error: 500 no", transient=True)]


def test_an_api_error_of_an_older_version() -> None:
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "API Error: 400 no"}]}
    seen = events("claude", {"type": "assistant", "message": message, "error": "unknown"})
    assert seen == [ErrorSeen(1, "request", "API Error: 400 no")]


def test_unknown_lines_are_kept() -> None:
    assert events("claude", {"type": "later"}, {"type": "system", "subtype": "later"}, [1], {}) == [
        Unknown(1, "later"),
        Unknown(2, "system/later"),
        Unknown(3, "text"),
        Unknown(4, ""),
    ]


def test_a_long_result_is_shortened_in_its_event() -> None:
    seen = events("claude", call("Bash", command="yes"), result("y\n" * 5_000_000))
    assert all(len(json.dumps(event.text)) < 40_000 for event in of(ToolResult, seen))


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ("error: unknown option '--no-such-flag'\n", "usage"),
        ("Error: Input must be provided either through stdin or as a prompt argument when using --print", "usage"),
        ("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons", "usage"),
        ("No conversation found with session ID: 1", "session"),
        ("Error: Session ID 1 is already in use.", "session"),
    ],
)
def test_why_it_did_not_start(errors: str, kind: str) -> None:
    failure = CLAUDE.failure(1, errors)
    assert failure is not None
    assert failure[0] == kind
    assert CLAUDE.failure(0, errors) is CLAUDE.failure(1, "") is None


def test_the_usage_of_each_answer_is_told_on_the_way() -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
    told = events("claude", {"type": "stream_event", "event": {"type": "message_delta", "delta": {}, "usage": usage}})
    assert of(Usage, told) == [Usage(1, 10, 5, 3, cache_write_tokens=2, cached_apart=True, partial=True)]
    assert of(Usage, told)[0].tokens_in == 15
    nothing = events("claude", {"type": "stream_event", "event": {"type": "message_delta", "delta": {}}})
    assert of(Usage, nothing) == []
