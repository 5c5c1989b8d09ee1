from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.ports import Command, Exit
from orchestrator_nb.executors.services import LocalServices, finished, run_environment
from tests.agents.lab import Lab

SHOW = "env | grep -E '^(ORCH_|MINE|SECRET)' | sort"


def environment(lab: Lab, **fields: Any) -> dict[str, str]:
    said = lab.succeed(command=SHOW, **fields)
    return dict(line.split("=", 1) for line in said.splitlines())


def test_a_task_finds_itself_in_its_environment(tmp_path: Path) -> None:
    lab = Lab(tmp_path, params={"text": "a b", "number": 3, "yes": True, "none": None, "list": [1, "x"]})
    (tmp_path / "data").write_text("")
    found = environment(lab, attempt=2, inputs={"data": str(tmp_path / "data")}, env={"MINE": "x=y"})
    assert found == {
        "MINE": "x=y",
        "ORCH_ATTEMPT": "2",
        "ORCH_IDEMPOTENCY_KEY": f"{lab.session.id}/T-01",
        "ORCH_INPUT_data": str(tmp_path / "data"),
        "ORCH_OUTPUTS": str(lab.session.path / "attempts/T-01/2/outputs"),
        "ORCH_PARAM_list": '[1,"x"]',
        "ORCH_PARAM_none": "",
        "ORCH_PARAM_number": "3",
        "ORCH_PARAM_text": "a b",
        "ORCH_PARAM_yes": "true",
        "ORCH_SESSION": lab.session.id,
        "ORCH_SESSION_DIR": str(lab.session.path),
        "ORCH_TASK_ID": "T-01",
    }


def test_what_belongs_to_another_task_is_not_inherited(tmp_path: Path) -> None:
    outer = {"PATH": os.environ["PATH"], "ORCH_PARAM_old": "1", "ORCH_INPUT_old": "1", "ORCH_JOBS": "2", "SECRET": "s"}
    found = environment(Lab(tmp_path), environment=outer)
    assert "ORCH_PARAM_old" not in found
    assert "ORCH_INPUT_old" not in found
    assert (found["ORCH_JOBS"], found["SECRET"]) == ("2", "s")
    assert run_environment({})["PATH"]


@pytest.mark.parametrize(("value", "words"), [("x" * 140_000, "more than 131071 bytes"), ("a\0b", "NUL")])
def test_a_value_that_no_environment_can_hold_is_refused(tmp_path: Path, value: str, words: str) -> None:
    failure = Lab(tmp_path, params={"big": value}).fail(command="true")
    assert "the environment variable ORCH_PARAM_big" in failure.error
    assert words in failure.error


class Recorder:
    """A spawner that starts nothing."""

    pid, start_time, containment = 7, 8, "reaper"

    def __init__(self) -> None:
        self.command: Command | None = None

    async def spawn(self, command: Command) -> Any:
        self.command = command
        return self

    async def terminate(self, grace: float = 10.0) -> Exit:
        return Exit(0)


def test_limits_of_the_task_go_to_its_processes(tmp_path: Path) -> None:
    lab, spawner = Lab(tmp_path), Recorder()
    assignment = lab.assignment(command="true", resources={"cpu": 1.5, "memory_gb": 0.5})
    services = LocalServices(assignment, spawner, lab.events.append, {})  # type: ignore[arg-type]
    command = Command(argv=("true",), cwd=tmp_path, env={}, log=tmp_path / "log")
    asyncio.run(services.spawn(command))
    assert spawner.command is not None
    assert (spawner.command.cpus, spawner.command.memory) == (1.5, 2**29)
    assert [event.pid for event in lab.events] == [7]  # type: ignore[attr-defined]


def test_the_attempts_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    services = LocalServices(lab.assignment(command="true"), None, print, {})  # type: ignore[arg-type]
    before = os.umask(0)
    try:
        directory = services.attempt_dir()
    finally:
        os.umask(before)
    for path in (directory, directory / "outputs", directory.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    assert services.attempt_dir() is directory


def test_work_that_must_be_finished_is_finished_before_a_cancellation() -> None:
    async def main() -> list[str]:
        done = []

        async def work() -> None:
            await asyncio.sleep(0.1)
            done.append("work")

        async def waits() -> None:
            await finished(asyncio.ensure_future(work()))

        waiting = asyncio.create_task(waits())
        for _ in range(3):
            await asyncio.sleep(0.01)
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return done

    assert asyncio.run(main()) == ["work"]


def test_work_that_fails_raises_what_it_raised() -> None:
    async def fails() -> None:
        raise ValueError("bad")

    async def main() -> None:
        await finished(asyncio.ensure_future(fails()))

    with pytest.raises(ValueError, match="bad"):
        asyncio.run(main())
