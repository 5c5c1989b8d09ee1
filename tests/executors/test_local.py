from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.ports import Assignment, Checkpoint, Command, Execution, Failure, Services, Success, Timeout
from orchestrator_nb.errors import StorageError
from orchestrator_nb.system.supervisor import Supervisor
from tests.agents.lab import Lab


class Puppet:
    """An agent that does what the test says."""

    def __init__(self, act: Any) -> None:
        self._act = act

    def preflight(self, _: Assignment) -> str | None:
        return None

    async def run(self, assignment: Assignment, services: Services) -> Any:
        result = self._act(assignment, services)
        return await result if asyncio.iscoroutine(result) else result


def puppet(tmp_path: Path, act: Any) -> Lab:
    return Lab(tmp_path, agents={"puppet": Puppet(act)})


def gone(pid: int, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def appears(path: Path, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def test_outputs_and_result_are_promoted_after_the_checks(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    execution = lab.run(
        command="mkdir $ORCH_OUTPUTS/sub; echo one > $ORCH_OUTPUTS/sub/a.txt; seq 1000",
        outputs=["sub/a.txt"],
        checks=["grep -q one sub/a.txt", ["test", "-f", "sub/a.txt"]],
    )
    (output,) = execution.outputs
    assert (output.path, output.size) == ("outputs/T-01/sub/a.txt", 4)
    assert execution.result is not None
    assert execution.result.path == "results/agent-01-result.md"
    for artifact in (output, execution.result):
        path = lab.session.path / artifact.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
        assert path.stat().st_mode & 0o777 == 0o600
    assert lab.read("results/agent-01-result.md").split() == [str(n).encode() for n in range(1, 1001)]
    assert not (lab.session.path / "attempts/T-01/1/outputs/sub/a.txt").exists()


def test_a_later_attempt_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for attempt in (1, 2):
        lab.run(command="echo $ORCH_ATTEMPT > $ORCH_OUTPUTS/a", outputs=["a"], attempt=attempt)
    assert lab.read("outputs/T-01/a") == b"2\n"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"outputs": ["a", "b"]}, "missing_outputs", "Missing outputs: output 'b' is missing"),
        ({"checks": ["grep two a"]}, "check", "Check failed: grep two a (exit code 1)"),
        ({"checks": ["echo because; exit 4"]}, "check", "(exit code 4): because"),
        ({"checks": ["nosuchvalidator"]}, "check", "Check could not run, so it is unknown and not passed: "),
        ({"checks": [["nosuchvalidator"]]}, "check", "Check could not run, so it is unknown and not passed: "),
        ({"checks": ["kill -9 $$"]}, "check", "(signal 9)"),
        ({"checks": ["rm a"]}, "missing_outputs", "output 'a' is missing"),
        ({"result": "json"}, "result", "the result (json, from what it printed) cannot be used: it is not JSON"),
        ({"result": {"source": "a", "format": "report"}}, "result", "the result (report, from output 'a') cannot be"),
    ],
)
def test_nothing_is_promoted_when_something_is_wrong(
    tmp_path: Path, fields: dict[str, Any], kind: str, words: str
) -> None:
    lab = Lab(tmp_path)
    fields = {"outputs": ["a"], **fields}
    failure = lab.fail(command="echo one | tee $ORCH_OUTPUTS/a; seq 1000", **fields)
    assert words in failure.error
    assert failure.kind == kind
    assert not (lab.session.path / "outputs").exists()
    assert not (lab.session.path / "results").exists()


def test_a_check_runs_in_the_tasks_environment(tmp_path: Path) -> None:
    lab = Lab(tmp_path, params={"p": "value"})
    check = 'test "$PWD" = "$ORCH_OUTPUTS" && test $ORCH_PARAM_p$MINE = valuemine'
    assert lab.succeed(command="true", checks=[check], env={"MINE": "mine"}) == ""


def test_inputs_must_be_there(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    (tmp_path / "here").write_text("x")
    inputs = {"a": str(tmp_path / "here"), "b": str(tmp_path / "none")}
    failure = lab.fail(command="cat $ORCH_INPUT_a", inputs=inputs)
    assert (failure.kind, failure.error) == ("missing_inputs", f"Missing inputs: b ({tmp_path}/none)")
    assert lab.events == []
    assert lab.succeed(command="cat $ORCH_INPUT_a", inputs={"a": inputs["a"]}) == "x"


def test_small_results_travel_and_large_ones_become_files(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    small = lab.run(command="echo '[1]'", result="json")
    assert (small.outcome.value, small.result, small.format) == ([1], None, "json")  # type: ignore[union-attr]
    large = lab.run(command="python -c 'print(list(range(1000)))'", result="json", attempt=2)
    assert large.outcome.value is None  # type: ignore[union-attr]
    assert large.result is not None
    assert json.loads(lab.read("results/agent-01-result.json")) == list(range(1000))


def test_the_time_limit_covers_work_and_checks_and_ends_processes(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    execution = lab.run(command="echo $$ > $ORCH_OUTPUTS/pid; sleep 60", timeout=0.5)
    assert execution.outcome == Timeout(0.5)
    assert execution.outcome.error == "Task Timeout: Agent exceeded 0.5s"
    assert 0.5 <= execution.duration < 5
    assert gone(int(lab.read("attempts/T-01/1/outputs/pid")))
    assert lab.run(command="true", checks=["sleep 60"], timeout=0.5, attempt=2).outcome == Timeout(0.5)


def test_a_cancelled_attempt_leaves_no_process(tmp_path: Path) -> None:
    lab = Lab(tmp_path)

    async def main() -> None:
        async with Supervisor(lab.session.id) as spawner:
            assignment = lab.assignment(command="trap '' TERM; echo $$ > $ORCH_OUTPUTS/pid; sleep 60 & wait; sleep 60")
            running = asyncio.create_task(lab.executor(spawner).execute(assignment))
            pid = lab.session.path / "attempts/T-01/1/outputs/pid"
            await asyncio.to_thread(appears, pid)
            running.cancel()
            await asyncio.sleep(0.1)
            running.cancel()  # impatient
            with pytest.raises(asyncio.CancelledError):
                await running
            assert gone(int(pid.read_text()), within=1.0)

    asyncio.run(main())


def test_an_agent_that_forgets_its_process_has_it_ended(tmp_path: Path) -> None:
    pids = []

    async def act(assignment: Assignment, services: Services) -> Success:
        log = Path(services.attempt_dir()) / "log"
        command = Command(argv=("sleep", "60"), cwd=assignment.cwd, env=services.environment(), log=log)
        pids.append((await services.spawn(command)).pid)
        return Success(value=1)

    assert puppet(tmp_path, act).succeed(agent="puppet") == 1
    assert gone(pids[0])


def raising(error: BaseException) -> Any:
    def act(*_: object) -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "failure"),
    [
        (raising(ValueError("bad")), ("exception", "ValueError: bad")),
        (raising(ConnectionResetError("gone")), ("exception", "ConnectionResetError: gone")),
        (raising(SystemExit(3)), ("exception", "SystemExit: the code called exit(3)")),
        (raising(KeyboardInterrupt()), ("exception", "KeyboardInterrupt")),
        (raising(StorageError("disk full")), ("storage", "disk full")),
        (raising(asyncio.CancelledError()), ("cancelled", "the work was cancelled by itself")),
        (lambda *_: "done", ("exception", "agent 'puppet' returned str, which is no outcome")),
        (lambda *_: Success(value={1}), ("result", "result is of type set")),
        (lambda *_: Success(file="../../../etc/passwd"), ("result", "cannot be used")),
        (lambda *_: Success(value=1, outputs=("none",)), ("missing_outputs", "Missing outputs: output 'none'")),
        (lambda *_: Failure("no", "odd", exit_code=4), ("odd", "no")),
    ],
)
def test_whatever_an_agent_does_is_an_outcome(tmp_path: Path, act: Any, failure: tuple[str, str]) -> None:
    lab = puppet(tmp_path, act)
    outcome = lab.fail(agent="puppet")
    assert outcome.kind == failure[0]
    assert failure[1] in outcome.error
    assert lab.fail(agent="no-such").kind == "preflight"


def test_a_checkpoint_passes_through(tmp_path: Path) -> None:
    execution = puppet(tmp_path, lambda *_: Checkpoint("sure?")).run(agent="puppet", outputs=["a"], checks=["false"])
    assert execution.outcome == Checkpoint("sure?")


def test_an_async_agent_that_ignores_its_time_limit_is_late_all_the_same(tmp_path: Path) -> None:
    async def act(*_: object) -> Success:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return Success(value=1)

    assert puppet(tmp_path, act).run(agent="puppet", timeout=0.2).outcome == Timeout(0.2)


def test_a_timeout_of_the_agents_own_is_a_failure_and_not_the_time_limit(tmp_path: Path) -> None:
    failure = puppet(tmp_path, raising(TimeoutError("slow server"))).fail(agent="puppet", timeout=5)
    assert (failure.kind, failure.transient) == ("exception", True)


def test_a_record_that_fails_ends_the_process(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    pids = []

    class Full(list[Any]):
        def append(self, event: Any) -> None:
            pids.append(event.pid)
            raise StorageError("no space left")

    lab.events = Full()
    assert lab.fail(command="sleep 60").kind == "storage"
    assert gone(pids[0])


def test_what_cannot_be_promoted_fails(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    (lab.session.path / "outputs").mkdir()
    (lab.session.path / "outputs" / "T-01").symlink_to(tmp_path)
    failure = lab.fail(command="echo x > $ORCH_OUTPUTS/a", outputs=["a"])
    assert failure.kind == "storage"
    assert "symbolic link" in failure.error
    assert not (tmp_path / "a").exists()


def test_preflight_asks_the_agent(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.preflight(command=["python"]) is None
    assert "unknown agent 'shel'" in (lab.preflight(agent="shel") or "")
    assert os.listdir(lab.session.path) == ["control"]


def test_the_duration_is_monotonic_time(tmp_path: Path) -> None:
    execution: Execution = Lab(tmp_path).run(agent="simulated", parameters={"duration": 0.1})
    assert 0.1 <= execution.duration < 2
