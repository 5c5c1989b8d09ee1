from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator_nb.agents.coding.cli import Request
from orchestrator_nb.agents.coding.failures import reset_time
from orchestrator_nb.agents.coding.gemini import Gemini
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
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from orchestrator_nb.errors import CapabilityError
from tests.agents.coding.lines import events, of
from tests.agents.coding.recorded import read_errors

GEMINI = Gemini()


def argv(**fields: Any) -> list[str]:
    return list(GEMINI.invocation(Request(cwd="/w", home="/h", **fields)).argv)


# -- how it is called --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "mode"), [("read", "plan"), ("edit", "auto_edit"), ("full", "yolo")])
def test_levels(level: str, mode: str) -> None:
    called = argv(level=level, contained=True)
    assert called[called.index("--approval-mode") + 1] == mode
    if level == "full":
        with pytest.raises(CapabilityError, match="for a sandbox only"):
            argv(level=level)


def test_all_options() -> None:
    called = argv(level="edit", directories=("/a", "/b c"), model="m", resume="1-2")
    assert called[:4] == ["gemini", "--skip-trust", "-o", "stream-json"]
    joined = "\0".join(called)
    assert "--include-directories\0/a\0--include-directories\0/b c" in joined
    assert "-m\0m" in joined
    assert "--resume\0" + "1-2" in joined
    with pytest.raises(CapabilityError, match="comma in its name: /a,b"):
        argv(directories=("/a,b",))


@pytest.mark.parametrize(("option", "value"), [("budget", 1.0), ("schema", {"type": "object"})])
def test_what_it_cannot(option: str, value: Any) -> None:
    with pytest.raises(CapabilityError, match=f"gemini cannot honour `{option}`"):
        argv(**{option: value})


def test_its_settings_and_environment() -> None:
    invocation = GEMINI.invocation(Request(cwd="/w", home="/h", turn_limit=3, base_url="http://127.0.0.1:1"))
    settings = json.loads(invocation.home_files[".gemini/settings.json"])
    assert settings == {"security": {"auth": {"selectedType": "gemini-api-key"}}, "model": {"maxSessionTurns": 3}}
    assert invocation.env["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:1"
    assert invocation.env["GEMINI_CLI_NO_RELAUNCH"] == "true"
    plain = GEMINI.invocation(Request(cwd="/w", home="/h", logged_in=True))
    assert plain.env["GOOGLE_GEMINI_BASE_URL"] == "", "set all the same: a repository's .env replaces no variable"
    files = plain.home_files
    assert "oauth-personal" in files[".gemini/settings.json"]


def test_h11_settings_of_a_repository_are_overridden() -> None:
    invocation = GEMINI.invocation(Request(cwd="/w", home="/h", turn_limit=3))
    assert invocation.env["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] == "/h/.gemini/overrides.json"
    overrides = json.loads(invocation.home_files[".gemini/overrides.json"])
    assert overrides["tools"]["discoveryCommand"] == ""
    assert overrides["hooksConfig"] == {"enabled": False}
    assert overrides["advanced"] == {"ignoreLocalEnv": True}
    assert overrides["model"] == {"maxSessionTurns": 3}
    assert ".gemini" in GEMINI.control_files


# -- what it says ------------------------------------------------------------------------------------------------------


def use(tool: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "tool_use", "tool_name": tool, "tool_id": "t1", "parameters": parameters}


def result(output: str = "", error: str = "", message: str = "") -> dict[str, Any]:
    record: dict[str, Any] = {"type": "tool_result", "tool_id": "t1", "status": "success", "output": output}
    return {**record, "status": "error", "error": {"type": error, "message": message}} if error else record


def words(text: str, delta: bool = True) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": text, "delta": delta}


def test_pieces_of_words_are_completed() -> None:
    stats = {"input_tokens": 9, "output_tokens": 3, "cached": 2}
    assert events(
        "gemini",
        {"type": "init", "session_id": "s", "model": "m"},
        {"type": "message", "role": "user", "content": "the prompt"},
        words("I w"),
        words("ill."),
        use("run_shell_command", command="ls"),
        result("a"),
        words("Done", delta=False),
        words("."),
        {"type": "result", "status": "success", "stats": stats},
    ) == [
        Started(1, "s", "m"),
        Text(3, "I w", partial=True),
        Text(4, "ill.", partial=True),
        Text(4, "I will."),
        ToolCall(5, "t1", "run_shell_command", "ls"),
        ToolResult(6, "t1", True, "a"),
        CommandRun(6, "ls", None, "a"),
        Text(7, "Done"),
        Text(8, ".", partial=True),
        Text(8, "."),
        Usage(9, 9, 3, 2),
        Finished(9, ok=True, text="."),
    ]


def test_words_are_completed_when_the_output_ends() -> None:
    assert events("gemini", words("I w")) == [Text(1, "I w", partial=True), Text(1, "I w")]


def test_files() -> None:
    assert of(FileEdit, events("gemini", use("write_file", file_path="a"), result())) == [FileEdit(2, "a")]
    assert of(FileEdit, events("gemini", use("write_file", file_path="a"), result("", "x", "y"))) == []


OUTSIDE = 'Path not in workspace: Attempted path "/o/x" resolves outside the allowed workspace directories: /w'


@pytest.mark.parametrize(
    ("tool", "error", "message", "need"),
    [
        ("write_file", "tool_not_registered", 'Tool "write_file" not found.', "mode"),
        ("run_shell_command", "policy_violation", "Tool execution denied by policy.", "mode"),
        ("write_file", "invalid_tool_params", OUTSIDE, "directory"),
        ("write_file", "path_not_in_workspace", "x", "directory"),
        ("write_file", "permission_denied", "x", "directory"),
    ],
)
def test_refusals(tool: str, error: str, message: str, need: str) -> None:
    seen = events("gemini", use(tool, file_path="/o/x"), result("", error, message))
    assert of(PermissionDenied, seen) == [
        PermissionDenied(2, tool, "/o/x", message, need, "result", "t1", "/o/x")  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    ("tool", "error", "message"),
    [
        ("made_up", "tool_not_registered", 'Tool "made_up" not found.'),
        ("write_file", "invalid_tool_params", "params must have required property 'content'"),
        ("read_file", "file_not_found", "File not found: Permission denied"),
        ("replace", "edit_no_occurrence_found", "x"),
    ],
)
def test_other_failures_are_no_refusals(tool: str, error: str, message: str) -> None:
    assert of(PermissionDenied, events("gemini", use(tool, file_path="x"), result("", error, message))) == []


def test_a_sandbox_stops_a_command_that_is_a_success_to_it() -> None:
    text = "touch: cannot touch '/o/x': Read-only file system"
    (denial,) = of(PermissionDenied, events("gemini", use("run_shell_command", command="make"), result(text)))
    assert (denial.source, denial.need, denial.path, denial.target) == ("text", "directory", "/o/x", "make")


def test_h16_words_of_the_model_and_of_other_tools_prove_nothing() -> None:
    text = "touch: cannot touch '/o/x': Read-only file system"
    seen = events(
        "gemini",
        words(f"Tool execution denied by policy. {OUTSIDE}\n{text}"),
        use("read_file", file_path="log"),
        result(text),
        use("run_shell_command", command=f"echo {text}"),
        result(text),
        use("run_shell_command", command="cat log"),
        result(f"Tool execution denied by policy. {OUTSIDE}"),
    )
    assert of(PermissionDenied, seen) == []


def test_errors_and_ends() -> None:
    def ended(kind: str, message: str) -> list[Any]:
        return events("gemini", {"type": "result", "status": "error", "error": {"type": kind, "message": message}})

    unauthorised = '[API Error: {"error":{"code":401,"message":"no","status":"UNAUTHENTICATED"}}]'
    assert ended("unknown", unauthorised) == [Finished(1, ok=False, kind="auth", text=unauthorised)]
    turns = ended("FatalTurnLimitedError", "Reached max session turns for this session.")
    assert turns[0].kind == "turn_limit"
    quota = "You have exhausted your capacity on this model. Your quota will reset after 13h30m2s."
    assert ended("unknown", quota) == [RateLimit(1, None, quota), Finished(1, ok=False, kind="rate_limit", text=quota)]
    assert events("gemini", {"type": "error", "message": "fetch failed"}) == [
        ErrorSeen(1, "network", "fetch failed", transient=True)
    ]


def test_retries_are_told_on_standard_error() -> None:
    errors = b"Ripgrep is not available.\nAttempt 3 failed with status 429. Retrying with backoff... _ApiError: {}\n"
    errors += b"Attempt 1 failed. Retrying with backoff... Error: exception TypeError: fetch failed sending request\n"
    assert read_errors(GEMINI, errors) == [
        Retry(2, 3, 0, None, 429, "rate_limit"),
        Retry(3, 1, 0, None, None, "network"),
    ]


def test_advice_that_names_a_login_is_no_login_error() -> None:
    said = (
        "[API Error: You exceeded your current quota.\nSuggested retry after 3600s.]\nPlease wait and try again later."
    )
    said += " To increase your limits, request a quota increase through AI Studio, or switch to another /auth method"
    final = {"type": "result", "status": "error", "error": {"type": "Error", "message": said}}
    assert events("gemini", final) == [RateLimit(1, None, said), Finished(1, ok=False, kind="rate_limit", text=said)]


def test_a_sleep_until_a_quota_is_back_is_told_with_its_length() -> None:
    said = "You have exhausted your capacity on this model. Your quota will reset after 3600s."
    errors = f"Attempt 1 failed: {said}. Retrying after 3755773ms...\n".encode()
    retry, limit = read_errors(GEMINI, errors)
    assert retry == Retry(1, 1, 0, 3755.773, None, "rate_limit")
    assert isinstance(limit, RateLimit)
    assert limit.text == f"{said}. It tries again in 3756 s."
    assert reset_time(limit.text, 1000.0) == 4600.0


def test_unknown_lines_are_kept() -> None:
    assert events("gemini", {"type": "later"}, "text") == [Unknown(1, "later"), Unknown(2, "text")]


@pytest.mark.parametrize(
    ("code", "errors", "kind"),
    [
        (41, "Invalid auth method selected.", "auth"),
        (42, "No input provided via stdin. Input can be provided by piping data into gemini", "usage"),
        (42, "Error resuming session: Invalid session identifier", "session"),
        (53, "", "turn_limit"),
        (55, "Gemini CLI is not running in a trusted directory.", "trust"),
        (52, "bad settings", "usage"),
        (145, "", "auth"),
        (144, "", "request"),
        (173, "", "rate_limit"),
        (244, "", "server"),
        (1, "Unknown arguments: such-flag, suchFlag\nUsage: gemini", "usage"),
        (1, 'Invalid values:\n  Argument: approval-mode, Given: "nope"', "usage"),
        (1, "something", "other"),
    ],
)
def test_why_it_did_not_start(code: int, errors: str, kind: str) -> None:
    failure = GEMINI.failure(code, errors)
    assert failure is not None
    assert failure[0] == kind
    assert GEMINI.failure(0, errors) is None
