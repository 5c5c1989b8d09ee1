"""The program as a whole: help, usage, errors, exit codes, settings, what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb.cli.app import COMMANDS, name_of
from orchestrator_nb.cli.codes import EXIT_CODES, OF_STATUS, RUNNING, code_of
from orchestrator_nb.errors import CommandRefused, PlanError, SessionLocked, StorageError
from tests.cli.conftest import Call
from tests.cli.program import environment, write_plan

#: Libraries that help and completion must not wait for.
HEAVY = ("matplotlib", "networkx", "papermill", "IPython", "ipywidgets", "nbformat", "jsonschema", "rich", "msgspec")


def test_help_names_every_command_and_exit_code(call: Call) -> None:
    told = call("--help")
    assert told.code == 0
    for _, function, _ in COMMANDS:
        assert f"  {name_of(function)} " in told.out
    for code, (meaning, _) in EXIT_CODES.items():
        assert f"{code} " in told.out
        assert meaning in told.out


@pytest.mark.parametrize("command", [name_of(function) for _, function, _ in COMMANDS])
def test_every_command_documents_itself_and_its_exit_codes(call: Call, command: str) -> None:
    told = call(command, "--help")
    codes = next(codes for _, function, codes in COMMANDS if name_of(function) == command)
    flat = " ".join(told.out.split())
    assert told.code == 0
    assert all(f"{code} {EXIT_CODES[code][0]}" in flat for code in codes)


def test_every_code_is_documented() -> None:
    assert {*RUNNING, *OF_STATUS.values()} <= set(EXIT_CODES)
    assert {code_of(error()) for error in (CommandRefused, SessionLocked, StorageError, PlanError, ValueError)} == {
        6,
        5,
        2,
        70,
    }


def test_without_a_command_it_shows_the_help(call: Call) -> None:
    assert call().out == call("--help").out


def test_version(call: Call) -> None:
    from orchestrator_nb import __version__

    assert call("--version").out == f"orchestrate {__version__} (Python {sys.version.split()[0]})\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
        (["ask", " "], "the prompt is empty"),
        (["review the code", "--planner", "claud"], "did you mean 'claude'"),
        (["review the code", "--allow", "x"], "'x' allows nothing"),
        (["plan.yaml"], "to run a plan: orchestrate run plan.yaml"),
        (["run"], "Missing argument 'PLAN'"),
        (["run", "--jbos", "3", "x.yaml"], "No such option: --jbos"),
        (["run", "x.yaml", "--jobs", "many"], "--jobs"),
        (["run", "x.yaml", "-j", "0"], "--jobs"),
        (["status", "--workspace", "x"], "it goes before the command"),
        (["run", "nowhere/x.yaml"], "there is no folder nowhere"),
        (["run", "do something nice"], "is a prompt"),
        (["run", "x.yaml", "-p", "novalue"], "write NAME=VALUE"),
        (["run", "x.yaml", "--params-file", "missing.yaml"], "missing.yaml"),
        (["--set", "grace", "doctor"], "write NAME=VALUE"),
        (["--set", "grcae=1", "sessions"], "did you mean 'grace'?"),
        (["--set", "grace=soon", "sessions"], "'grace' cannot be"),
        (["graph", "--format", "gif"], "--format"),
        (["approve", "x", "--answer", "@nowhere"], "nowhere cannot be read: No such file"),
        (["reject", "x"], "Missing option '--reason'"),
        (["run", "\udcff.yaml"], "is not UTF-8 text"),
    ],
)
def test_wrong_usage_is_one_message(call: Call, args: list[str], message: str) -> None:
    told = call("--workspace", "/nonexistent/sessions", *args)
    assert told.code in (2, 5)
    assert message in told.err
    assert told.err.startswith("error: ")
    assert "Traceback" not in told.out + told.err


@pytest.mark.parametrize(
    "args", [["status"], ["watch"], ["logs", "t"], ["show", "t"], ["explain", "t"], ["resume"], ["fork", "latest", "t"],
             ["stop"], ["pause"], ["cancel", "t"], ["rebuild"], ["export"], ["compare", "a", "b"], ["graph"]]
)  # fmt: skip
def test_without_sessions_commands_say_so(call: Call, tmp_path: Path, args: list[str]) -> None:
    told = call("--workspace", tmp_path / "none", *args)
    assert told.code == 5
    assert "there are no sessions" in told.err
    assert not (tmp_path / "none").exists()


def test_a_fault_of_our_own_is_one_message_with_the_way_to_the_traceback(tmp_path: Path) -> None:
    code = (
        "import os, orchestrator_nb.storage.settings as settings; settings.load_settings = None\n"
        "from orchestrator_nb.cli.app import run_command\n"
        "assert run_command(['sessions']) == 70; os.environ['ORCH_DEBUG'] = '1'; run_command(['sessions'])"
    )
    done = _python(code, cwd=tmp_path)
    first, _, rest = done.stderr.partition("Traceback")
    assert "TypeError: 'NoneType' object is not callable\nThis is a fault in orchestrator_nb; ORCH_DEBUG=1" in first
    assert "in settings" in rest


def test_settings_come_from_file_variable_and_flag(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orchestrator.toml").write_text("grace = 3\nmax_parallel = 3\nworkspace = 'mine'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_MAX_PARALLEL", "4")
    told = json.loads(call("--set", "result_cap=2 MiB", "doctor", "--json").out)
    settings = told["settings"]
    assert settings["grace"] == {"value": 3.0, "from": str(tmp_path / "orchestrator.toml")}
    assert settings["max_parallel"] == {"value": 4, "from": "ORCH_MAX_PARALLEL"}
    assert settings["result_cap"] == {"value": 2 * 2**20, "from": "argument"}
    assert settings["workspace"]["value"] == str(tmp_path / "mine")
    assert settings["durability"]["from"] == "default"
    assert {fact["name"] for fact in told["machine"]} >= {"Python", "Landlock", "bubblewrap", "git"}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "--help"]])
def test_help_loads_nothing_heavy(tmp_path: Path, args: list[str]) -> None:
    code = (
        "import sys; from orchestrator_nb.cli.app import run_command; run_command(sys.argv[1:]);"
        "print([m for m in sys.modules if m.partition('.')[0] in " + repr(HEAVY) + "], file=sys.stderr);"
        "print('orchestrator_nb.core.models' in sys.modules, file=sys.stderr)"
    )
    assert _python(code, *args, cwd=tmp_path).stderr == "[]\nFalse\n"


def _python(code: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)


def test_an_unwritable_place_is_said(call: Call, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.json", title="x", tasks=[{"id": "a", "agent": "simulated"}])
    told = call("--workspace", "/proc/nothing", "run", plan)
    assert told.code == 5
    assert "/proc" in told.err
    assert call("graph", plan, "-o", "/proc/nothing/x.svg").code == 5
