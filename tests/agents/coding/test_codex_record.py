from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.coding.codex import Codex
from orchestrator_nb.agents.coding.codex_record import need_of, read_record
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, PermissionDenied, RateLimit

SESSION = "01a1ff18-224e-7170-aca2-2bc45a162be0"
RAN = "Chunk ID: b227f8\nWall time: 0.0000 seconds\nProcess exited with code {}\nOriginal token count: 13\nOutput:\n{}"
PATCH_REJECTED = "patch rejected: writing outside of the project; rejected by user approval settings"


def line(kind: str, second: int = 0, **payload: Any) -> bytes:
    record = {
        "timestamp": f"2026-11-21T17:12:{second:02}.540Z",
        "type": "response_item",
        "payload": {"type": kind, **payload},
    }
    return json.dumps(record).encode() + b"\n"


def called(name: str = "exec_command", second: int = 0, call: str = "c1", **arguments: Any) -> bytes:
    return line("function_call", second, name=name, call_id=call, arguments=json.dumps(arguments))


def output(text: Any, second: int = 1, call: str = "c1") -> bytes:
    return line("function_call_output", second, call_id=call, output=text)


def read(*lines: bytes, since: float = 0) -> list[AgentEvent]:
    return list(read_record(lines, since))


def test_a_command_that_the_streams_lost() -> None:
    text = RAN.format(1, "/bin/bash: line 1: made.txt: Read-only file system\n")
    (denial,) = read(called(cmd="true > made.txt"), output(text))
    assert denial == PermissionDenied(
        2, "exec_command", "true > made.txt", "/bin/bash: line 1: made.txt: Read-only file system", "directory", "text",
        "c1", "made.txt",
    )  # fmt: skip


def test_a_patch_that_it_refused() -> None:
    patch = "*** Begin Patch\n*** Add File: /o/x.txt\n+hi\n*** End Patch\n"
    (denial,) = read(
        line("custom_tool_call", name="apply_patch", call_id="c1", input=patch),
        line("custom_tool_call_output", 1, call_id="c1", output=[{"type": "input_text", "text": PATCH_REJECTED}]),
    )
    assert denial == PermissionDenied(
        2, "apply_patch", "/o/x.txt", PATCH_REJECTED, "directory", "rollout", "c1", "/o/x.txt"
    )


def test_a_command_that_its_sandbox_denied() -> None:
    said = r"""exec_command failed for `/bin/bash -lc 'touch x'`: SandboxDenied { message: "touch: cannot touch 'x': """
    (denial,) = read(
        called(cmd="touch x"), output(said + r"""Read-only file system\n", output: ExecToolCallOutput {} }""")
    )
    assert isinstance(denial, PermissionDenied)
    assert (denial.source, denial.need, denial.path) == ("rollout", "directory", "x")


@pytest.mark.parametrize(
    "text",
    [
        RAN.format(0, "all well\n"),
        RAN.format(2, "ls: cannot access 'x': No such file or directory\n"),
        json.dumps({"output": "fine", "metadata": {"exit_code": 0}}),
        RAN.format(1, PATCH_REJECTED),
        RAN.format(0, f"Output:\n{PATCH_REJECTED}"),
        RAN.format(0, "touch: cannot touch 'y': Read-only file system\n"),
        f"I read: {PATCH_REJECTED}x",
    ],
)
def test_h16_what_commands_print_proves_nothing(text: str) -> None:
    assert read(called(cmd="./script"), output(text)) == []


def test_h16_results_of_other_tools_prove_nothing() -> None:
    assert read(called("server__tool"), output(PATCH_REJECTED)) == []
    assert read(line("message", role="assistant", content=[{"type": "output_text", "text": PATCH_REJECTED}])) == []


def test_an_older_form_of_results() -> None:
    text = json.dumps({"output": "touch: cannot touch 'x': Read-only file system", "metadata": {"exit_code": 1}})
    (denial,) = read(called("shell", command=["bash", "-lc", "touch x"]), output(text))
    assert isinstance(denial, PermissionDenied)
    assert denial.target == "bash -lc touch x"


def test_only_what_belongs_to_this_run() -> None:
    """A resumed session goes on in the same file."""
    text = RAN.format(1, "touch: cannot touch 'x': Read-only file system\n")
    lines = called(cmd="touch x"), output(text, 10), called(cmd="touch y", call="c2"), output(text, 30, "c2")
    since = 1795281140.0  # 17:12:20
    assert [event.id for event in read(*lines, since=since) if isinstance(event, PermissionDenied)] == ["c2"]
    assert len(read(*lines)) == 2


def test_a_reached_limit() -> None:
    limits = {"primary": {"used_percent": 100.0, "resets_at": 1788700000}, "secondary": {"used_percent": 3.0}}
    assert read(line("token_count", rate_limits=limits)) == [RateLimit(1, 1788700000.0, "primary")]
    assert read(line("token_count", rate_limits={"primary": None})) == []


def test_torn_and_odd_lines() -> None:
    odd = (
        b'{"payload": 3}\n[]\n{"type": "response_item", "payload": {"type": "function_call_output", "output": 7}}\n{"to'
    )
    assert read(odd) == []


def test_what_it_needs() -> None:
    assert need_of(PATCH_REJECTED) == "directory"
    assert need_of("approval policy is Never; reject command") == "mode"
    assert need_of("rejected: blocked by policy") == "rule"


def test_the_record_is_found_by_its_session(tmp_path: Path) -> None:
    folder = tmp_path / ".codex" / "sessions" / "2026" / "11" / "21"
    folder.mkdir(parents=True)
    text = RAN.format(1, "touch: cannot touch 'x': Read-only file system\n")
    record = folder / f"rollout-2026-11-21T17-12-14-{SESSION}.jsonl"
    record.write_bytes(called(cmd="touch x") + output(text))
    assert len(list(Codex().recorded(tmp_path, SESSION, 0))) == 1
    assert list(Codex().recorded(tmp_path, "other", 0)) == []
    assert list(Codex().recorded(tmp_path, "*", 0)) == []
    assert list(Codex().recorded(tmp_path / "nowhere", SESSION, 0)) == []
