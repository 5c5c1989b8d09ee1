"""A coding agent's log as people read it, on recorded runs of the real programs and on a puppet's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator_nb.agents.coding.telling import Telling, in_words, parser_for
from tests.agents.coding.puppet import PUPPET
from tests.agents.coding.recorded import runs, streams


def told(name: str, chunk: int = 1 << 20) -> list[tuple[str, str]]:
    run = runs()[name]
    parser = parser_for("claude" if name.startswith("claude") else name.partition("-")[0])
    assert parser is not None
    telling = Telling(parser)
    pieces = [run.output[at : at + chunk] for at in range(0, len(run.output), chunk)]
    return [line for piece in pieces for line in telling.feed(piece)] + telling.end()


def test_every_recorded_run_is_told_without_json() -> None:
    for run in streams():
        lines = told(run.name)
        assert all("\n" not in line and not line.startswith('{"type"') for line, _ in lines), run.name
        assert lines or not run.output.strip(), run.name
        assert lines == told(run.name, 37), run.name


def test_a_command_is_told_with_its_output_once() -> None:
    lines = told("claude-bash-allowed")
    calls = [line for line, _ in lines if line.startswith("> Bash: ")]
    assert len(calls) == 1
    assert any(line.startswith("  | ") for line, _ in lines)


def test_a_refusal_is_marked_and_its_reason_told_once() -> None:
    for run in ("claude-bash-denied", "claudeold-bash-acceptEdits", "gemini-bash-autoedit-forced"):
        (refused,) = [line for line, mark in told(run) if mark == "warning"]
        assert refused.startswith(("refused: Bash ", "refused: run_shell_command "))


def lines_of(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_what_is_no_record_is_shown_made_harmless() -> None:
    text = in_words("claude", b"Error: \x1b[31mno\x1b[0m key\n")
    assert text == "Error: no key\n"


def test_an_error_at_the_end_is_marked() -> None:
    parser = parser_for("claude")
    assert parser is not None
    record = {"type": "result", "subtype": "success", "is_error": True, "result": "API Error: 529 overloaded"}
    assert Telling(parser).feed(lines_of(record)) == [("API Error: 529 overloaded", "error")]


def test_what_an_agent_calls_and_says_is_harmless() -> None:
    call = {"type": "tool_use", "id": "a", "name": "Ba\x1bsh", "input": {"command": "\x1b]0;title\x07ls \x9b2J\u202e"}}
    said = {"type": "text", "text": "one\x1b[2Jtwo\rthree\nfour"}
    log = lines_of({"type": "assistant", "message": {"role": "assistant", "content": [call, said]}})
    text = in_words("claude", log)
    assert text is not None
    assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert "four\n" in text


def test_paths_are_told_from_where_the_agent_works() -> None:
    call = {"type": "tool_use", "id": "a", "name": "Write", "input": {"file_path": "/place/src/a.py"}}
    log = lines_of(
        {"type": "system", "subtype": "init", "session_id": "s", "cwd": "/place", "model": "m"},
        {"type": "assistant", "message": {"role": "assistant", "content": [call]}},
    )
    assert in_words("claude", log) == "[at work (m)]\n> Write: src/a.py\n"


@pytest.mark.parametrize("kind", ["shell", "function", "notebook", "unheard_of", "no_such_module:Cli"])
def test_nothing_is_imported_to_look_at_a_log(kind: str) -> None:
    assert parser_for(kind) is None
    assert in_words(kind, b"{}\n") is None


def test_a_cli_that_this_process_knows_reads_its_log() -> None:
    assert parser_for(PUPPET) is not None
