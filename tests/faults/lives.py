"""Lives of a coordinator that end with SIGKILL: a harness that forks them quickly, and reads only what they left.

It runs as a process of its own with one thread, everything imported, so that a life costs a fork and not an import:

    python -m tests.faults.lives WORKSPACE MODE SEED [SEED ...]

and prints one JSON line a seed. The checker looks at the log and at the ledger of side effects, never at what the
program thinks of itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import Workspace
from orchestrator_nb.system.processes import alive, identity

#: Seconds after which a life that should have ended by itself is a failure.
LONGEST = 60.0


def note(ledger: str, task: str, seconds: float = 0.0) -> str:
    """A function task with a side effect that lasts: a line in the ledger."""
    fd = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{task}\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return f"result of {task}"


def kill_coordinator(ledger: str) -> None:
    """A task that takes the whole coordinator with it."""
    note(ledger, "poison")
    os.kill(os.getpid(), signal.SIGKILL)


def dag(seed: int, ledger: Path) -> Plan:
    """Twenty tasks, four at once, functions and commands, each with an effect in the ledger."""
    dice = random.Random(seed)
    tasks: list[dict[str, Any]] = []
    for number in range(20):
        earlier = [f"t{i}" for i in range(max(0, number - 6), number)]
        task: dict[str, Any] = {"id": f"t{number}", "dependencies": dice.sample(earlier, min(2, len(earlier)))}
        seconds = dice.choice([0.0, 0.005, 0.02])
        if number % 5 == 4:
            task["command"] = f"echo t{number} >> '{ledger}'; sleep {seconds}; echo result"
            task["checks"] = ["true"]
        else:
            task["function"] = "tests.faults.lives:note"
            task["parameters"] = {"ledger": str(ledger), "task": f"t{number}", "seconds": seconds}
        tasks.append(task)
    return Plan.model_validate({"title": "lives", "tasks": tasks, "limits": {"max_parallel": 4}})


def settings(workspace: Path) -> Settings:
    """Settings of a life: everything in `workspace`, quick projections, short grace."""
    return Settings(workspace=workspace, grace=0.5, projection_interval=0.05)


def live(work: Callable[[], object], seconds: float | None) -> bool:
    """Fork a coordinator that does `work`; SIGKILL it after `seconds`. True if it ended by itself."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    fd = os.pidfd_open(pid)
    import select

    ended = bool(select.select([fd], [], [], LONGEST if seconds is None else seconds)[0])
    if not ended:
        os.kill(pid, signal.SIGKILL)
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    if seconds is None and status != 0:
        raise AssertionError(f"the last life ended with status {status}")
    return ended and status == 0


def history(workspace: Path) -> list[e.Record]:
    """All that the newest session's log says."""
    return list(read_records(Workspace(workspace).find().log_path))


def check(workspace: Path, ledger: Path) -> dict[str, int]:
    """What went wrong, counted: goal 0 each."""
    records = history(workspace)
    completed: dict[str, int] = {}
    started: Counter[str] = Counter()
    rerun = lost = 0
    for record in records:
        if isinstance(record.event, e.TaskStarted):
            started[record.event.task] += 1
            rerun += record.event.task in completed
        elif isinstance(record.event, e.TaskCompleted):
            completed[record.event.task] = record.seq
    effects = Counter(ledger.read_text().split()) if ledger.exists() else Counter()
    unexplained = sum((effects - started).values())
    session = Session.open(None, settings(workspace))
    lost = sum(1 for task in session.state.by_index if not task.status.settled)
    return {"lost": lost, "completed_rerun": rerun, "unexplained_effects": unexplained}


def final_output(workspace: Path) -> str:
    """The merged document of the newest session."""
    return (Workspace(workspace).find().path / "final_output.md").read_text()


def random_kills(folder: Path, seed: int) -> dict[str, Any]:
    """A life, killed and resumed twice (a third crash in one task would be row A13), against an undisturbed one."""
    ledger, workspace = folder / "ledger", folder / "sessions"
    plan = dag(seed, ledger)
    orchestrator = Orchestrator(settings(workspace))
    dice = random.Random(f"kill {seed}")
    begin: Callable[[], object] = lambda: orchestrator.run(plan, cwd=folder).wait()  # noqa: E731
    kills = 0
    while not live(begin, dice.uniform(0.0, 0.25) if kills < 2 else None):
        kills += 1
        if workspace.exists() and Workspace(workspace).sessions() and has_plan(workspace):
            begin = lambda: orchestrator.resume().wait()  # noqa: E731
    report = {"seed": seed, "kills": kills, **check(workspace, ledger)}
    reference = folder / "reference"
    live(lambda: Orchestrator(settings(reference)).run(plan, cwd=folder).wait(), None)
    report["different"] = int(final_output(workspace) != final_output(reference))
    return report


def has_plan(workspace: Path) -> bool:
    """Whether the newest session got as far as a plan: before that there is nothing to resume."""
    log = Workspace(workspace).find().log_path
    return log.exists() and any(isinstance(r.event, e.PlanAccepted) for r in read_records(log))


def after_exit(folder: Path, seed: int) -> dict[str, Any]:
    """Killed between the exit of a command and the event that says so (row A9)."""
    ledger, workspace = folder / "ledger", folder / "sessions"
    command = f"echo t >> '{ledger}'"
    plan = Plan.model_validate({"tasks": [{"id": "t", "command": command}]})
    orchestrator = Orchestrator(settings(workspace))

    def work() -> None:
        orchestrator.run(plan, cwd=folder)
        while not (ledger.exists() and ledger.stat().st_size):
            time.sleep(0.0001)
        time.sleep(random.Random(seed).uniform(0, 0.004))  # it exits, its exit is told, the event is written
        os.kill(os.getpid(), signal.SIGKILL)

    live(work, LONGEST)
    before = ledger.read_text().split()
    live(lambda: orchestrator.resume().wait(), None)
    report = check(workspace, ledger)
    return {"seed": seed, "effects": [len(before), len(ledger.read_text().split())], **report}


def everyone_killed(folder: Path, seed: int) -> dict[str, Any]:
    """Coordinator, supervisor and every reaper killed at once (row A4): what is left ends with the next start."""
    import psutil

    ledger, workspace = folder / "ledger", folder / "sessions"
    command = f"echo $$ >> '{ledger}'; (setsid sleep 300 & echo $! >> '{ledger}'); sleep 300"
    plan = Plan.model_validate({"tasks": [{"id": "t", "command": command}, {"id": "u", "command": "true"}]})
    orchestrator = Orchestrator(settings(workspace))
    pid = os.fork()
    if pid == 0:
        orchestrator.run(plan, cwd=folder).wait()
        os._exit(0)
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and (not ledger.exists() or len(ledger.read_text().split()) < 2):
        time.sleep(0.005)
    task_pids = {int(line) for line in ledger.read_text().split()}
    processes = [identity(task) for task in task_pids]
    keepers = [p for p in psutil.Process(pid).children(recursive=True) if p.pid not in task_pids]
    for victim in [pid, *(p.pid for p in keepers if "sleep" not in p.name())]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    os.waitpid(pid, 0)
    killed_at = time.monotonic()

    def resume_and_halt() -> None:
        run = orchestrator.resume()
        while run.status != "running":
            time.sleep(0.005)
        run.halt()
        run.wait()

    live(resume_and_halt, None)
    left = [p for p in processes if p is not None and alive(p)]
    interrupted = [r.event for r in history(workspace) if isinstance(r.event, e.AttemptInterrupted)]
    return {
        "seed": seed,
        "survivors": len(left),
        "seconds": time.monotonic() - killed_at,
        "proven_dead": all(event.proven_dead for event in interrupted),
        "interrupted": len(interrupted),
    }


def poison(folder: Path, seed: int) -> dict[str, Any]:
    """A task that always kills its coordinator (row A13)."""
    ledger, workspace = folder / "ledger", folder / "sessions"
    tasks = [
        {"id": "poison", "function": "tests.faults.lives:kill_coordinator", "parameters": {"ledger": str(ledger)}},
        {"id": "after", "command": "true", "dependencies": ["poison"]},
        {"id": "free", "command": "true"},
    ]
    plan = Plan.model_validate({"tasks": tasks, "limits": {"max_parallel": 1}})
    orchestrator = Orchestrator(settings(workspace))
    lives = 1
    done = live(lambda: orchestrator.run(plan, cwd=folder).wait(), LONGEST)
    while not done and lives < 10:
        lives += 1
        done = live(lambda: orchestrator.resume().wait(), LONGEST)
    session = Session.open(None, settings(workspace))
    statuses = {task.id: task.status.value for task in session.state.by_index}
    return {"seed": seed, "lives": lives, "effects": ledger.read_text().count("poison"), "statuses": statuses}


MODES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "random_kills": random_kills,
    "after_exit": after_exit,
    "everyone_killed": everyone_killed,
    "poison": poison,
}


def main(workspace: str, mode: str, *seeds: str) -> None:
    """Live through the seeds."""
    for seed in seeds:
        folder = Path(workspace, seed)
        folder.mkdir(parents=True)
        print(json.dumps(MODES[mode](folder, int(seed))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
