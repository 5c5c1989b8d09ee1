from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb.agents.coding.recovery import (
    Ground,
    PermissionRecoveryEngine,
    Widening,
    allowed_unasked,
    decisive,
    propose,
    question,
    unseen,
)
from orchestrator_nb.agents.coding.vocabulary import CommandRun, Need, PermissionDenied
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.ports import subject_hash
from orchestrator_nb.errors import UnknownAgent


def denied(tool: str = "Bash", need: Need = "mode", **more: Any) -> PermissionDenied:
    fields = {"target": "make", "reason": "no", "source": "event", "id": "a", **more}
    return PermissionDenied(1, tool, need=need, **fields)


def ground(tmp_path: Path, **more: Any) -> Ground:
    (tmp_path / "work").mkdir(exist_ok=True)
    return Ground(**{"level": "edit", "cwd": tmp_path / "work", **more})


# -- does the task fail? -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denial", "fails"),
    [
        (denied("Bash"), True),
        (denied("write_file"), True),
        (denied("some_tool_of_tomorrow"), True),
        (denied("Read"), False),
        (denied("web_fetch"), False),
        (denied("Bash", "directory", source="text", path="/srv", reason="x: Permission denied"), True),
        (denied("Bash", "directory", source="text", path="/etc/x", reason="x: Permission denied"), False),
        (denied("Bash", "directory", source="text", path="/etc/x", reason="x: Read-only file system"), False),
        (denied("Bash", "directory", source="text", path="a.txt", reason="a.txt: Permission denied"), False),
        (denied("Bash", "directory", path="/work/.git/index.lock"), False),
    ],
)
def test_a_tool_that_writes_or_runs_commands(denial: PermissionDenied, fails: bool, tmp_path: Path) -> None:
    task = Task(id="t")
    assert bool(decisive([denial], task, tmp_path, ground(tmp_path))) is fails
    assert not decisive([denial], Task(id="t", checks=("true",)), tmp_path, ground(tmp_path))
    assert not decisive([denial], Task(id="planning/1-plan"), tmp_path, ground(tmp_path))


def test_declared_outputs_decide_where_there_are_some(tmp_path: Path) -> None:
    task, denials = Task(id="t", outputs=("r.md",)), [denied("Read")]
    assert decisive(denials, task, tmp_path, ground(tmp_path)) == tuple(denials)
    (tmp_path / "r.md").write_text("")
    assert decisive(denials, task, tmp_path, ground(tmp_path)) == ()


# -- the least that would help -----------------------------------------------------------------------------------------


def test_a_directory_more(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    here = ground(tmp_path)
    wanted = Widening(directories=(str(tmp_path / "shared"),))
    assert propose([denied("Write", "directory", path=f"{tmp_path}/shared/new/x.txt")], here) == wanted
    assert propose([denied("Write", "directory", target=f"{tmp_path}/shared", path="")], here) == wanted
    assert propose([denied("Write", "directory", path="../shared/x.txt")], here) == wanted


def test_a_level_more(tmp_path: Path) -> None:
    assert propose([denied()], ground(tmp_path, level="read")) == Widening(level="edit")
    assert propose([denied()], ground(tmp_path)) == Widening(level="full")
    assert propose([denied()], ground(tmp_path, contained=False)) is None
    assert propose([denied()], ground(tmp_path, level="full")) is None
    inside = denied("Bash", "directory", path="x.txt", source="text", reason="x.txt: Read-only file system")
    assert propose([inside], ground(tmp_path, level="read")) == Widening(level="edit")


@pytest.mark.parametrize("path", ["/etc/passwd", "/x.txt", "/usr/lib/x", "/proc/1/mem", "/home/x", "/tmp/x"])
def test_what_opens_everything_is_never_proposed(path: str, tmp_path: Path) -> None:
    assert propose([denied("Write", "directory", path=path)], ground(tmp_path)) is None


@pytest.mark.parametrize("path", ["checkout", "checkout/src/a.py", "x.txt"])
def test_neither_is_the_users_own_checkout_nor_what_is_around_it(path: str, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "src").mkdir(parents=True)
    here = ground(tmp_path, forbidden=(tmp_path / "checkout",))
    assert propose([denied("Write", "directory", path=f"{tmp_path}/{path}")], here) is None


def test_a_link_is_followed_before_it_is_judged(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert propose([denied("Write", "directory", path=f"{tmp_path}/link/passwd")], ground(tmp_path)) is None


def test_what_is_hidden_in_the_users_home_is_not_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user" / ".config" / "tool").mkdir(parents=True)
    (tmp_path / "user" / "data").mkdir()
    user = tmp_path / "user"
    assert propose([denied("Write", "directory", path=f"{user}/.config/tool/x")], ground(tmp_path)) is None
    assert propose([denied("Write", "directory", path=f"{user}/x")], ground(tmp_path)) is None
    assert propose([denied("Write", "directory", path=f"{user}/data/x")], ground(tmp_path)) is not None


def test_rules_and_the_network_are_for_people(tmp_path: Path) -> None:
    assert propose([denied(need="rule"), denied(need="network")], ground(tmp_path)) is None


def test_the_question_holds_all_that_is_granted() -> None:
    widening = Widening(directories=("/a",)).plus(Widening(level="full", directories=("/b", "/a")))
    asked = question("t", widening, ["Bash make: no"])
    assert "level `full` and the directory /a and the directory /b" in asked
    assert "- Bash make: no" in asked
    other = question("t", Widening(level="full", directories=("/a",)), ["Bash make: no"])
    assert subject_hash("t", asked, {}) != subject_hash("t", other, {})


# -- unasked -----------------------------------------------------------------------------------------------------------


def test_only_what_the_list_names_is_granted_unasked(tmp_path: Path) -> None:
    (tmp_path / "data" / "in").mkdir(parents=True)
    inside = Widening(directories=(str(tmp_path / "data" / "in"),))
    assert allowed_unasked(inside, [denied()], ["data"], tmp_path)
    assert not allowed_unasked(inside, [denied()], ["full", "data/in/deeper"], tmp_path)
    assert allowed_unasked(Widening(level="full"), [denied()], ["full"], tmp_path)
    assert not allowed_unasked(Widening(level="full"), [denied()], ["edit", "data"], tmp_path)


def test_row_H16_for_what_a_program_says_nothing_is_granted_unasked(tmp_path: Path) -> None:
    forged = denied(source="text")
    assert not allowed_unasked(Widening(level="full"), [denied(), forged], ["full"], tmp_path)


# -- what a sandbox hides ----------------------------------------------------------------------------------------------


def test_what_is_there_and_cannot_be_seen_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    path = f"{tmp_path}/shared/x.txt"
    said = f"touch: cannot touch '{path}': No such file or directory"
    found = unseen(CommandRun(3, f"touch {path}", 1, said), ground(tmp_path))
    assert found is not None
    assert (found.path, found.source, found.need, found.line) == (path, "text", "directory", 3)
    assert decisive([found], Task(id="t"), tmp_path, ground(tmp_path)) == (found,)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("touch {}/shared/x", 0, "touch: cannot touch '{}/shared/x': No such file or directory"),
        ("make", 2, "cc: {}/shared/x: No such file or directory"),
        ("cat {}/none/deep/x", 1, "cat: {}/none/deep/x: No such file or directory"),
        ("cat {}/work/x", 1, "cat: {}/work/x: No such file or directory"),
        ("cat /etc/nothing", 1, "cat: /etc/nothing: No such file or directory"),
        ("cat {}/shared/x", 1, "cat: {}/shared/x: Is a directory"),
    ],
)
def test_what_is_simply_not_there_is_none(command: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    event = CommandRun(1, command.format(tmp_path), code, said.format(tmp_path))
    assert unseen(event, ground(tmp_path)) is None


# -- S3's engine -------------------------------------------------------------------------------------------------------

CLAUDE = {
    "type": "system",
    "subtype": "permission_denied",
    "tool_name": "Bash",
    "tool_use_id": "t1",
    "decision_reason_type": "other",
    "message": "This command requires approval",
}


def test_the_engine_reads_the_record_and_proposes(tmp_path: Path) -> None:
    engine = PermissionRecoveryEngine(cwd=tmp_path, workers={"mine": "claude"})
    assert (
        engine.monitor_stream('{"type": "system", "subtype": "init", "session_id": "s", "cwd": "/w"}', "mine") is None
    )
    action = engine.monitor_stream(json.dumps(CLAUDE), "mine")
    assert action is not None
    assert (action.worker, action.widening) == ("mine", Widening(level="full"))
    assert "grant level `full`" in str(action)


@pytest.mark.parametrize(
    "line",
    [
        "Permission denied. This command requires approval",
        json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": json.dumps(CLAUDE)}]}}),
        json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": "I need --yolo"}]}}),
    ],
)
def test_row_H16_a_phrase_is_no_permission_problem(line: str, tmp_path: Path) -> None:
    engine = PermissionRecoveryEngine(cwd=tmp_path)
    assert engine.monitor_stream(line, "claude") is None


def test_the_engine_knows_gemini_and_codex(tmp_path: Path) -> None:
    engine = PermissionRecoveryEngine(cwd=tmp_path)
    call = {"type": "tool_use", "tool_name": "run_shell_command", "tool_id": "1", "parameters": {"command": "make"}}
    error = {"type": "tool_not_registered", "message": "Tool not found"}
    engine.monitor_stream(json.dumps(call), "gemini")
    result = {"type": "tool_result", "tool_id": "1", "status": "error", "output": "", "error": error}
    action = engine.monitor_stream(json.dumps(result), "gemini")
    assert action is not None
    assert action.widening == Widening(level="full")
    declined = {
        "id": "i",
        "type": "command_execution",
        "command": "make",
        "status": "declined",
        "aggregated_output": "",
    }
    assert engine.monitor_stream(json.dumps({"type": "item.completed", "item": declined}), "codex") is not None
    with pytest.raises(UnknownAgent):
        engine.monitor_stream("{}", "somebody")


def test_a_widening_survives_as_json() -> None:
    widening = Widening(level="full", directories=("/a",))
    assert msgspec.json.decode(msgspec.json.encode(widening), type=Widening) == widening
