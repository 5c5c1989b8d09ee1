"""Signals to the program, in every state of a run: the documented state, the documented exit code, no orphan (A5)."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator_nb.core.events import Record
from orchestrator_nb.runtime.session import Session
from tests.cli.program import Live, eventually, orchestrate, processes_of, write_plan

INT, TERM, HUP, QUIT = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT
ALL = (INT, TERM, HUP, QUIT)
#: What each signal leads to in a state where a run goes on: exit code as shells count it, status of the session.
RUNNING = {INT: (130, "stopped"), TERM: (143, "halted"), HUP: (129, "halted"), QUIT: (131, "interrupted")}

#: A task that ends when the test says so, and one after it; a task that TERM does not end.
GATED = [
    {"id": "a", "command": "until [ -e go-a ]; do sleep 0.05; done"},
    {"id": "b", "command": "until [ -e go-b ]; do sleep 0.05; done", "dependencies": ["a"]},
]
STUBBORN = [{"id": "a", "command": "trap '' TERM; echo ready; while :; do sleep 0.1; done"}]


@pytest.fixture(autouse=True)
def _no_core_files() -> None:
    """SIGQUIT makes one where that is allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _run(tmp_path: Path, tasks: list[dict[str, object]], *before: str, **plan: object) -> Live:
    path = write_plan(tmp_path / "plan.json", title="Signals", tasks=tasks, **plan)
    return Live(path, before=("--set", "grace=0.5", *before))


def _starting(tmp_path: Path) -> Live:
    """Python is still loading the program."""
    return _run(tmp_path, GATED)


def _running(tmp_path: Path) -> Live:
    live = _run(tmp_path, GATED)
    live.event("process_started", "a")
    return live


def _launching(tmp_path: Path) -> Live:
    """Short tasks start and end all the time."""
    tasks = [
        {"id": f"t{i}", "command": "sleep 0.02", "dependencies": [f"t{i - 4}"] if i > 3 else []} for i in range(400)
    ]
    live = _run(tmp_path, tasks)
    live.event("task_completed", "t9")
    return live


def _retrying(tmp_path: Path) -> Live:
    live = _run(tmp_path, [{"id": "a", "command": "exit 1", "retry": {"attempts": 2, "delay": 60}}])
    live.event("task_retry_scheduled")
    return live


def _awaiting_approval(tmp_path: Path) -> Live:
    live = _run(tmp_path, [{"id": "a", "agent": "human", "prompt": "Well?"}])
    live.event("checkpoint_reached")
    return live


def _paused(tmp_path: Path) -> Live:
    live = _running(tmp_path)
    _tell(live, "pause")
    _go(live, "a")
    live.event("task_completed", "a")
    return live


def _stopping(tmp_path: Path) -> Live:
    live = _running(tmp_path)
    _tell(live, "stop")
    live.event("stop_requested")
    return live


def _halting(tmp_path: Path) -> Live:
    live = _run(tmp_path, STUBBORN, "--set", "grace=2")
    live.event("process_started", "a")
    _tell(live, "halt")
    live.event("halt_requested")
    return live


def _resumed(tmp_path: Path) -> Live:
    """A second run of a session that was stopped before."""
    first = _running(tmp_path)
    with first:
        _tell(first, "stop")
        _go(first, "a")
        assert first.end() == 3
    live = Live(Path("latest"), before=("--set", "grace=0.5"), command="resume", cwd=tmp_path)
    live.event("process_started", "b")
    return live


STATES: dict[str, Callable[[Path], Live]] = {
    "starting": _starting,
    "running": _running,
    "launching": _launching,
    "retrying": _retrying,
    "awaiting approval": _awaiting_approval,
    "paused": _paused,
    "stopping": _stopping,
    "halting": _halting,
    "resumed": _resumed,
}
#: Where it is not what it is while running: a signal that comes when nothing is left to stop or is halted already.
OTHERWISE = {
    ("halting", QUIT): (131, "halted"),
    ("halting", INT): (130, "halted"),
    ("resumed", INT): (0, "completed"),
}
FAST = [("running", INT), ("awaiting approval", HUP), ("halting", TERM), ("launching", QUIT)]


def _tell(live: Live, verb: str) -> None:
    told = orchestrate(verb, "--session", live.session, cwd=live.cwd)
    assert told.returncode == 0, told.stderr


def _go(live: Live, task: str) -> None:
    (live.cwd / f"go-{task}").touch()


def _session(live: Live) -> Session:
    return Session.open(live.cwd / ".orchestrator" / live.session)


def _check(tmp_path: Path, state: str, signum: signal.Signals) -> None:
    with STATES[state](tmp_path) as live:
        live.process.send_signal(signum)
        if signum == INT and state in ("running", "resumed"):
            live.event("stop_requested")
        if signum == INT:
            _go(live, "a")
            _go(live, "b")
        code = live.end()
        expected, status = OTHERWISE.get((state, signum), RUNNING[signum])
        assert code == expected
        if state == "starting":
            assert not (tmp_path / ".orchestrator").exists()
            return
        assert _session(live).status == status
        eventually(lambda: not processes_of(live.session))


@pytest.mark.parametrize(("state", "signum"), FAST)
def test_row_A5_signals(tmp_path: Path, state: str, signum: signal.Signals) -> None:
    _check(tmp_path, state, signum)


@pytest.mark.slow
@pytest.mark.parametrize("signum", ALL)
@pytest.mark.parametrize("state", list(STATES))
def test_row_A5_every_signal_in_every_state(tmp_path: Path, state: str, signum: signal.Signals) -> None:
    _check(tmp_path, state, signum)


def test_row_A5_second_ctrl_c_halts(tmp_path: Path) -> None:
    with _run(tmp_path, STUBBORN) as live:
        live.event("process_started", "a")
        live.process.send_signal(INT)
        live.event("stop_requested")
        assert live.process.poll() is None
        live.process.send_signal(INT)
        live.event("halt_requested")
        assert live.end() == 130
        assert _session(live).status == "halted"
        eventually(lambda: not processes_of(live.session))
        requests = [record for record in _session(live).records() if _is_request(record)]
        assert [record.event.by for record in requests] == ["Ctrl-C", "Ctrl-C"]  # type: ignore[union-attr]


def _is_request(record: Record) -> bool:
    return type(record.event).__name__ in ("StopRequested", "HaltRequested")


def test_row_A5_watching_ends_and_the_run_goes_on(tmp_path: Path) -> None:
    with _running(tmp_path) as live:
        with Live(Path(live.session), command="watch", cwd=tmp_path) as watch:
            watch.until(lambda line: line["type"] == "launch")
            watch.process.send_signal(INT)
            assert watch.end() == 130
        _go(live, "a")
        _go(live, "b")
        assert live.end() == 0
