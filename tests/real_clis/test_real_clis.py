"""The real claude, codex and gemini, through `Orchestrator.run`, against a scripted model server on this machine.

No key and no internet is needed, only the programs. They are looked for in PATH; each that is missing is skipped
(`.ci/run` installs them)::

    mkdir DIR && cp tests/real_clis/package.json DIR && npm install --prefix DIR
    PATH=DIR/node_modules/.bin:$PATH python -m pytest tests/real_clis -m real_clis
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb import Orchestrator
from orchestrator_nb.core.agent_events import AgentStarted
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.system.sandbox.policy import Level
from tests.git_repositories import make_repository, users_own
from tests.system.sandbox.place import need

pytestmark = [pytest.mark.real_clis, pytest.mark.timeout(240)]

KEYS = {"claude": "ANTHROPIC_API_KEY", "codex": "CODEX_API_KEY", "gemini": "GEMINI_API_KEY"}
MODELS = {"claude": "claude-opus-5-5", "codex": "gpt-5.5", "gemini": "gemini-2.5-flash"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a model that does what its prompt says."""
    program = Path(__file__).with_name("mock_model_server.py")
    with subprocess.Popen([sys.executable, str(program), "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.kill()


@pytest.fixture(params=["claude", "codex", "gemini"])
def cli(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    need(Level.BUBBLEWRAP)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not in PATH: the beginning of {__file__} says how to install it")
    monkeypatch.setenv(KEYS[name], "test-key-of-nobody")
    return name


class Scene:
    """A repository, and a run of one task in it."""

    def __init__(self, base: Path, cli: str, server: str) -> None:
        self.cli, self.address = cli, f"{server}/v1" if cli == "codex" else server
        self.repository = make_repository(base / "repository")
        self.before = users_own(self.repository)
        self.workspace = base / "workspace"
        self.shared = base / "shared"
        self.shared.mkdir()
        self.runs: list[Run] = []

    def start(self, prompt: str, **parameters: Any) -> Run:
        options = {"base_url": self.address, "model": MODELS[self.cli], **parameters}
        task = {"id": "T-01", "agent": self.cli, "prompt": prompt, "parameters": options}
        plan = Plan.model_validate({"title": "Real", "tasks": [task]})
        run = Orchestrator(workspace=self.workspace, grace=2.0).run(plan, cwd=self.repository)
        self.runs.append(run)
        return run

    def place(self, run: Run, attempt: int = 1) -> Path:
        return run.path / "worktrees" / "tasks" / "T-01" / str(attempt)


@pytest.fixture
def scene(tmp_path: Path, cli: str, server: str) -> Iterator[Scene]:
    made = Scene(tmp_path, cli, server)
    yield made
    for run in made.runs:  # of a test that has failed
        if not run.done:
            run.halt()
            run.wait(60)


def status(run: Run) -> tuple[TaskStatus, str]:
    with run.state() as state:
        task = state.tasks["T-01"]
        return task.status, task.error


def wait_for(run: Run, wanted: TaskStatus) -> None:
    deadline = time.monotonic() + 120
    while (now := status(run))[0] is not wanted:
        assert time.monotonic() < deadline, now
        assert not run.done, now
        time.sleep(0.05)


def test_it_edits_a_file_and_succeeds(scene: Scene) -> None:
    run = scene.start("[[mock:write hello.txt hi]] Then say so.").wait(120)
    assert status(run) == (TaskStatus.COMPLETED, "")
    assert (scene.place(run) / "hello.txt").read_text().strip() == "hi"
    assert "Mock model done: 1 tool result(s), 0 error(s)." in run.result_of("T-01")
    assert users_own(scene.repository) == scene.before


def test_a_refusal_is_repaired_by_one_consent(scene: Scene) -> None:
    """claude and gemini refuse by themselves; what codex tries is stopped by the sandbox."""
    if scene.cli == "codex":
        told = f"[[mock:bash touch '{scene.shared}/x.txt']]"
    else:
        told = f"[[mock:write {scene.shared}/x.txt hi]]"
    run = scene.start(told, recovery="ask")
    wait_for(run, TaskStatus.AWAITING_APPROVAL)
    with run.state() as state:
        (checkpoint,) = state.open_checkpoints
    assert f"Grant it the directory {scene.shared}, for one attempt" in checkpoint.question
    assert not (scene.shared / "x.txt").exists()
    run.approve("T-01")
    run.wait(120)
    assert status(run) == (TaskStatus.COMPLETED, "")
    assert (scene.shared / "x.txt").exists()


def test_a_halt_leaves_nothing_alive(scene: Scene) -> None:
    sleeping = {"claude": "4321.1", "codex": "4321.2", "gemini": "4321.3"}[scene.cli]
    run = scene.start(f"[[mock:bash python3 -c 'import time; time.sleep({sleeping})']]", level="full")
    deadline = time.monotonic() + 120
    while not _processes(sleeping):
        assert time.monotonic() < deadline, status(run)
        time.sleep(0.2)
    run.halt()
    run.wait(60)
    assert run.status == "halted"
    mark = f"ORCH_SESSION={run.id}"
    deadline = time.monotonic() + 10
    while left := [*_processes(sleeping), *_processes(mark)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def _processes(words: str) -> list[str]:
    """Processes with this in their arguments or variables."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for part in ("cmdline", "environ"):
            try:
                if words.encode() in Path("/proc", pid, part).read_bytes():
                    found.append(f"{pid}: {Path('/proc', pid, 'cmdline').read_bytes()!r:.200}")
            except OSError:
                continue
    return found


# -- the rest: -m slow -------------------------------------------------------------------------------------------------


def kind(run: Run) -> tuple[TaskStatus, str, int]:
    with run.state() as state:
        task = state.tasks["T-01"]
        return task.status, task.error_kind, task.attempt


@pytest.mark.slow
def test_a_bad_key_is_final_and_says_what_to_do(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS[scene.cli], "bad-key-of-nobody")
    run = scene.start("[[mock:text hello]]").wait(120)
    assert kind(run) == (TaskStatus.FAILED, "auth", 1)
    assert "log in with the CLI" in status(run)[1]


@pytest.mark.slow
def test_a_busy_service_is_tried_again_by_the_program_itself(scene: Scene) -> None:
    run = scene.start("[[mock:once 503]] [[mock:write hello.txt hi]]").wait(180)
    assert kind(run) == (TaskStatus.COMPLETED, "", 1)


def goes_on(run: Run) -> bool:
    """Whether its last attempt went on with the session of the one before."""
    with run.state() as state:
        task = state.tasks["T-01"]
    facts = [record.event for record in read_records(run.path / "events.jsonl")]
    began = [fact.session for fact in facts if isinstance(fact, AgentStarted)][-1]
    logs = [run.path / "attempts" / "T-01" / str(number) / "log" for number in range(1, task.attempt)]
    return bool(began) and any(began in log.read_text() for log in logs)


def with_an_account(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """claude knows usage limits of subscriptions only, not of keys."""
    if scene.cli == "claude":
        monkeypatch.delenv(KEYS["claude"])
        monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "test-token-of-nobody")


def limited(seconds: float, name: str) -> str:
    return f"[[mock:write one.txt 1]] [[mock:limit {seconds} {name}]] [[mock:write hello.txt hi]]"


def waits_and_is_tried(scene: Scene, server: str, name: str) -> None:
    run = scene.start(limited(3600, name))
    wait_for(run, TaskStatus.AWAITING_QUOTA)
    with run.state() as state:
        resets_at = state.quotas[scene.cli].resets_at
    assert 3300 < resets_at - time.time() < 3601
    assert run.explain("T-01").headline.startswith(f"'T-01' waits for {scene.cli}'s quota until ")
    lift = urllib.request.Request(f"{server}/_mock/reset", data=b"{}", method="POST")
    urllib.request.urlopen(lift, timeout=10).close()
    run.retry("T-01")
    run.wait(120)
    assert kind(run) == (TaskStatus.COMPLETED, "", 2)
    assert goes_on(run)
    assert (scene.place(run) / "hello.txt").read_text().strip() == "hi"


@pytest.mark.slow
def test_a_usage_limit_is_waited_for_and_the_session_gone_on_with(
    scene: Scene, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_an_account(scene, monkeypatch)
    waits_and_is_tried(scene, server, f"{scene.cli} long")


@pytest.mark.slow
@pytest.mark.parametrize("cli", ["gemini"], indirect=True)
def test_a_limit_that_gemini_would_sleep_for_is_waited_for_without_it(scene: Scene, server: str) -> None:
    waits_and_is_tried(scene, server, "capacity")


@pytest.mark.slow
def test_a_usage_limit_that_ends_soon_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with_an_account(scene, monkeypatch)
    run = scene.start(limited(8, f"{scene.cli} short")).wait(180)
    assert kind(run) == (TaskStatus.COMPLETED, "", 1 if scene.cli == "gemini" else 2), "gemini sleeps by itself so long"
    with run.state() as state:
        assert (state.tasks["T-01"].failures, state.quotas) == (0, {})


@pytest.mark.slow
def test_too_many_requests_without_a_limit_are_a_failure_that_may_pass(scene: Scene) -> None:
    run = scene.start("[[mock:http 429]]", stall=30)
    wait_for(run, TaskStatus.RETRYING)
    with run.state() as state:
        assert (state.tasks["T-01"].failures, state.quotas) == (1, {})
    run.halt()
    run.wait(60)


@pytest.mark.slow
def test_who_may_only_read_does_not_write(scene: Scene) -> None:
    told = "[[mock:bash touch hello.txt]]" if scene.cli == "codex" else "[[mock:write hello.txt hi]]"
    run = scene.start(told, level="read").wait(120)
    assert kind(run) == (TaskStatus.FAILED, "denied", 1)
    assert "it would need level `edit`" in status(run)[1]
    assert users_own(scene.repository) == scene.before


@pytest.mark.slow
def test_who_may_do_all_runs_commands_in_its_place_only(scene: Scene) -> None:
    told = f'[[mock:bash python3 -c \'open("in.txt", "w")\']] [[mock:bash touch {scene.shared}/out.txt]]'
    run = scene.start(told, level="full").wait(120)
    assert kind(run)[1] == "denied"
    assert (scene.place(run) / "in.txt").exists()
    assert list(scene.shared.iterdir()) == []


@pytest.mark.slow
def test_after_a_halt_it_goes_on_with_its_own_session(scene: Scene) -> None:
    run = scene.start("[[mock:write one.txt 1]] [[mock:sleep 6]]")
    deadline = time.monotonic() + 120
    while not (scene.place(run) / "one.txt").exists():
        assert time.monotonic() < deadline, status(run)
        time.sleep(0.05)
    run.halt()
    run.wait(60)
    again = Orchestrator(workspace=scene.workspace, grace=2.0).resume().wait(120)
    assert kind(again) == (TaskStatus.COMPLETED, "", 2)
    assert goes_on(again)


@pytest.mark.slow
def test_a_stalled_stream_is_ended(scene: Scene) -> None:
    run = scene.start("[[mock:stall 600]]", stall=15)
    wait_for(run, TaskStatus.RETRYING)
    with run.state() as state:
        assert "it showed no sign of work for 15 s" in state.tasks["T-01"].error
    run.halt()
    run.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["landlock", "none"])
def test_it_works_in_the_other_modes(scene: Scene, sandbox: str) -> None:
    run = scene.start("[[mock:write hello.txt hi]]", sandbox=sandbox).wait(120)
    assert kind(run) == (TaskStatus.COMPLETED, "", 1)
    assert (scene.place(run) / "hello.txt").read_text().strip() == "hi"
