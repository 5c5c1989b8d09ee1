from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.agents.coding.cli import Request
from orchestrator_nb.agents.coding.codex import SCHEMA_FILE, Codex
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
from tests.agents.coding.recorded import read_errors

CODEX = Codex()
BYPASS = "--dangerously-bypass-approvals-and-sandbox"


def argv(**fields: Any) -> list[str]:
    return list(CODEX.invocation(Request(cwd="/w", home="/h", **fields)).argv)


# -- how it is called --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["read", "edit", "full"])
def test_inside_our_sandbox_its_own_is_off(level: str) -> None:
    called = argv(level=level, contained=True)
    assert BYPASS in called
    assert "-s" not in called


@pytest.mark.parametrize(("level", "mode"), [("read", "read-only"), ("edit", "workspace-write")])
def test_levels_without_our_sandbox(level: str, mode: str) -> None:
    called = argv(level=level)
    assert called[called.index("-s") + 1] == mode
    assert BYPASS not in called
    closed = {f"sandbox_workspace_write.{name}=true" for name in ("exclude_slash_tmp", "exclude_tmpdir_env_var")}
    assert (closed <= set(called)) is (level == "edit")
    assert "sandbox_workspace_write.network_access=true" not in called
    assert ("sandbox_workspace_write.network_access=true" in argv(level=level, network=True)) is (level == "edit")
    with pytest.raises(CapabilityError, match="level `full` of codex is for a sandbox only"):
        argv(level="full")


def test_all_options() -> None:
    invocation = CODEX.invocation(
        Request(
            cwd="/w",
            home="/h",
            level="edit",
            directories=("/a",),
            model="gpt-5.5",
            schema={"type": "object"},
            resume="0-1",
            base_url="http://h:1/v1",
        )
    )
    called = list(invocation.argv)
    assert called[:2] == ["codex", "exec"]
    assert called[-3:] == ["resume", "0-1", "-"], "options stand before `resume`, the prompt comes by standard input"
    pairs = dict(zip(called, called[1:], strict=False))
    assert pairs["-C"] == "/w"
    assert pairs["--add-dir"] == "/a"
    assert pairs["-m"] == "gpt-5.5"
    assert pairs["--output-schema"] == f"/h/{SCHEMA_FILE}"
    assert invocation.home_files == {SCHEMA_FILE: '{"type": "object"}'}
    assert 'model_provider="orchestrator"' in called
    assert any('base_url="http://h:1/v1"' in argument for argument in called)
    assert {"--json", "--skip-git-repo-check", "--ignore-user-config"} <= set(called)
    assert {"analytics.enabled=false", "features.plugins=false"} <= set(called)


@pytest.mark.parametrize(("option", "value"), [("turn_limit", 3), ("budget", 1.0)])
def test_what_it_cannot(option: str, value: float) -> None:
    with pytest.raises(CapabilityError, match=f"codex cannot honour `{option}`"):
        argv(**{option: value})


def test_a_home_among_temporary_files_breaks_its_own_sandbox() -> None:
    with pytest.raises(CapabilityError, match="codex cannot have its HOME"):
        CODEX.invocation(Request(cwd="/w", home="/tmp/h"))
    CODEX.invocation(Request(cwd="/w", home="/tmp/h", contained=True))
    CODEX.invocation(Request(cwd="/w", home="/tmp/h", tmp="/var/tmp"))


def test_directories_are_not_granted_for_reading_only() -> None:
    assert "--add-dir" not in argv(level="read", directories=("/a",))


# -- what it says ------------------------------------------------------------------------------------------------------


def item(what: str, done: bool = True, **fields: Any) -> dict[str, Any]:
    return {"item": {"type": what, "id": "i1", **fields}, "type": "item.completed" if done else "item.started"}


def test_words_commands_and_files() -> None:
    command = {"command": "ls", "aggregated_output": "a\n", "exit_code": 0}
    assert events(
        "codex",
        {"type": "thread.started", "thread_id": "t"},
        {"type": "turn.started"},
        item("reasoning", text="hm"),
        item("command_execution", done=False, command="ls", status="in_progress"),
        item("command_execution", **command, status="completed"),
        item("file_change", id="i2", changes=[{"path": "/w/a", "kind": "add"}, {"path": "/w/b"}], status="completed"),
        item("agent_message", text="Done."),
        {"type": "turn.completed", "usage": {"input_tokens": 9, "cached_input_tokens": 2, "output_tokens": 3}},
    ) == [
        Started(1, "t"),
        Thought(3, "hm"),
        ToolCall(4, "i1", "command_execution", "ls"),
        ToolResult(5, "i1", True, "a\n"),
        CommandRun(5, "ls", 0, "a\n"),
        ToolCall(6, "i2", "file_change", "/w/a, /w/b"),
        ToolResult(6, "i2", True),
        FileEdit(6, "/w/a", "add"),
        FileEdit(6, "/w/b"),
        Text(7, "Done."),
        Usage(8, 9, 3, 2, cumulative=True),
        Finished(8, ok=True, text="Done."),
    ]


def test_tools_of_servers() -> None:
    seen = events("codex", item("mcp_tool_call", server="s", tool="t", arguments={"path": "/x"}, status="completed"))
    assert of(ToolCall, seen) == [ToolCall(1, "i1", "s.t", "/x")]


def test_retries_are_no_end() -> None:
    message = "Reconnecting... 2/5 (unexpected status 503 Service Unavailable: x)"
    assert events("codex", {"type": "error", "message": message}) == [Retry(1, 2, 5, None, 503, "overload")]
    waiting = {"type": "error", "message": "Reconnecting... waiting for network (Connection failed: no)"}
    assert events("codex", waiting, waiting) == [
        Retry(1, 1, reason="network"),
        Retry(2, 2, reason="network"),
    ]


def test_a_warning_is_no_failure() -> None:
    assert events("codex", item("error", message="Model metadata not found.")) == [
        ErrorSeen(1, "other", "Model metadata not found.")
    ]


def test_a_failed_turn() -> None:
    said = "You've hit your usage limit. Try again at 3:45 PM."
    seen = events("codex", {"type": "error", "message": said}, {"type": "turn.failed", "error": {"message": said}})
    assert seen == [
        RateLimit(1, None, said),
        ErrorSeen(1, "rate_limit", said, transient=True),
        Finished(2, ok=False, kind="rate_limit", text=said),
    ]


def test_a_command_that_its_sandbox_stopped() -> None:
    stopped = {"command": "touch x", "aggregated_output": "touch: cannot touch 'x': Read-only file system\n"}
    (denial,) = of(
        PermissionDenied, events("codex", item("command_execution", **stopped, exit_code=1, status="failed"))
    )
    assert (denial.source, denial.need, denial.path, denial.target) == ("text", "directory", "x", "touch x")


def test_a_declined_command() -> None:
    (denial,) = of(
        PermissionDenied, events("codex", item("command_execution", command="rm x", exit_code=None, status="declined"))
    )
    assert (denial.source, denial.need, denial.target) == ("event", "mode", "rm x")


ROUTER = "2026-11-20T06:10:07.930444Z ERROR codex_core::tools::router: error="


@pytest.mark.parametrize(
    ("words", "tool", "need"),
    [
        (
            "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings",
            "apply_patch",
            "mode",
        ),
        (
            "patch rejected: writing outside of the project; rejected by user approval settings",
            "apply_patch",
            "directory",
        ),
        ("approval policy is Never; reject command — you cannot ask for escalated permissions", "exec_command", "mode"),
    ],
)
def test_refusals_on_standard_error(words: str, tool: str, need: str) -> None:
    errors = f"Reading additional input from stdin...\n{ROUTER}{words}\n".encode()
    assert read_errors(CODEX, errors) == [PermissionDenied(2, tool, "", words, need, "stderr")]  # type: ignore[arg-type]


def test_h16_words_of_the_model_and_of_commands_prove_nothing() -> None:
    words = "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings"
    seen = events(
        "codex",
        item("agent_message", text=words),
        item("agent_message", text="touch: cannot touch 'x': Read-only file system"),
        item("command_execution", command="cat x", aggregated_output=words, exit_code=1, status="failed"),
        item("command_execution", command=f"echo {words}", aggregated_output=words, exit_code=0, status="completed"),
    )
    assert of(PermissionDenied, seen) == []
    assert read_errors(CODEX, f"{words}\nERROR {words}\nx {ROUTER}{words}\n{ROUTER}other: {words}x".encode()) == []


def test_unknown_lines_are_kept() -> None:
    assert events("codex", {"type": "later"}, item("later_tool"), "text") == [
        Unknown(1, "later"),
        Unknown(2, "item/later_tool"),
        Unknown(3, "text"),
    ]


@pytest.mark.parametrize(
    ("code", "errors", "kind"),
    [
        (2, "error: unexpected argument '-a' found\n\n  tip: to pass '-a' as a value, use '-- -a'", "usage"),
        (
            1,
            "WARNING: proceeding\nNot inside a trusted directory and --skip-git-repo-check was not specified.",
            "trust",
        ),
        (1, "Error: thread/resume failed: no rollout found for thread id 1", "session"),
    ],
)
def test_why_it_did_not_start(code: int, errors: str, kind: str) -> None:
    failure = CODEX.failure(code, "Reading additional input from stdin...\n" + errors)
    assert failure is not None
    assert failure[0] == kind
    assert "Reading additional" not in failure[1]
    assert CODEX.failure(0, errors) is CODEX.failure(1, "") is None
