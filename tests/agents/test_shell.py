from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.events import ProcessStarted
from tests.agents.lab import Lab
from tests.tools import need

SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_list_is_started_without_a_shell(tmp_path: Path) -> None:
    arguments = ["$HOME", "a b", "*", "'\"", ""]
    said = Lab(tmp_path).succeed(command=["python", "-c", SHOW, *arguments], result="json")
    assert said == arguments


def test_a_string_is_for_the_shell(tmp_path: Path) -> None:
    lab = Lab(tmp_path, params={"n": 3})
    assert lab.succeed(command='echo $((ORCH_PARAM_n + 1)) | tr 4 "x" && pwd') == f"x\n{lab.base}"


def test_bash_can_be_asked_for(tmp_path: Path) -> None:
    need("bash")
    lab = Lab(tmp_path)
    assert lab.succeed(command='a=(1 2); echo "${a[1]}"', parameters={"shell": "bash"}) == "2"


def test_standard_output_is_the_result_and_standard_error_is_not(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.succeed(command="echo '{\"n\": 1}'; echo careful >&2", result="json") == {"n": 1}
    assert lab.read("attempts/T-01/1/log") == b'{"n": 1}\n'
    assert lab.read("attempts/T-01/1/log.stderr") == b"careful\n"


def test_standard_input_is_what_the_task_gives(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.succeed(command=["cat"]) == ""
    assert lab.succeed(command=["cat"], parameters={"stdin": "a\nb"}, attempt=2) == "a\nb"
    assert lab.succeed(command=["cat"], parameters={"stdin": {"a": [1]}}, result="json", attempt=3) == {"a": [1]}


def test_the_interpreters_own_programs_come_first(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    found = lab.succeed(command=["python", "-c", "import sys; print(sys.executable)"], environment={"PATH": "/bin"})
    assert Path(found).resolve() == Path(sys.executable).resolve()
    assert lab.succeed(command="echo $PATH", attempt=2).startswith(os.path.dirname(sys.executable))
    assert sysconfig.get_path("scripts") in lab.succeed(command="echo $PATH", attempt=3)


def test_it_runs_where_the_task_says(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    (lab.base / "sub").mkdir()
    assert lab.succeed(command="pwd", cwd="sub") == str(lab.base / "sub")
    assert lab.fail(command="pwd", cwd="none").error.startswith("the directory to run in does not exist: ")


def test_its_process_is_recorded(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    pid = lab.succeed(command="echo $$")
    (event,) = lab.events
    assert isinstance(event, ProcessStarted)
    assert (event.task, event.attempt, str(event.pid)) == ("T-01", 1, pid)
    assert event.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_other_exit_codes_may_be_in_order(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    execution = lab.run(command="echo found 3; exit 1", ok_exit_codes=[0, 1])
    assert (execution.outcome.value, execution.outcome.exit_code) == ("found 3", 1)  # type: ignore[union-attr]
    assert lab.fail(command="exit 2", ok_exit_codes=[0, 1], attempt=2).exit_code == 2


def test_processes_that_it_leaves_behind_are_ended_and_named(tmp_path: Path) -> None:
    execution = Lab(tmp_path).run(command="sleep 60 & echo done")
    assert execution.outcome.value == "done"  # type: ignore[union-attr]
    assert execution.warnings == ("1 process that it had left behind had to be ended",)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"shel": "bash"}, "did you mean 'shell'? (known: shell, stdin)"),
        ({"shell": "fish"}, "`shell` of a shell task is 'fish': say sh or bash"),
    ],
)
def test_a_bad_option_is_refused(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    lab = Lab(tmp_path)
    assert words in (lab.preflight(command="true", parameters=parameters) or "")
    assert words in lab.fail(command="true", parameters=parameters).error
    assert "needs a `command`" in (lab.preflight(agent="shell") or "")


def test_programs_that_another_task_makes_are_not_missed_before_it_ran(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert "does not exist" in (lab.preflight(command=["./made"]) or "")
    assert lab.preflight(command=["./made"], dependencies=["T-00"]) is None
    assert lab.preflight(command=["${output.T-00:tool}"], dependencies=["T-00"]) is None
    assert lab.preflight(command="./made and | anything the shell > takes") is None


def test_arguments_that_linux_refuses_are_refused_with_the_remedy(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert "argument 1 of the command has 140000 bytes" in lab.fail(command=["echo", "x" * 140_000]).error
    assert "`parameters: {stdin: ...}`" in lab.fail(command=["echo", "ä" * 70_000]).error
    assert "NUL" in lab.fail(command=["echo", "a\0b"]).error


def test_json_of_a_talkative_tool_stays_json(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    code = "import sys\nfor n in range(2000): print('noise', file=sys.stderr)\nprint('[1')\nprint(',2]')"
    assert lab.succeed(command=["python", "-c", code], result="json") == [1, 2]
    assert json.loads(lab.read("attempts/T-01/1/log")) == [1, 2]
