"""Cassettes: a recorded run replayed, against the same plan of function tasks that write the same files and results.

    python -m tests.benchmarks.cassettes [--tasks 200] [--reps 5]

Prints one JSON line: CPU milliseconds (user and system, all threads) inside the run for both sides, from its start to
its end, paired and interleaved, the median of their ratios, the connections that the replay opened, and whether
`final_output.md` has the same bytes. What is recorded is an agent that does what one that asks a model does: a log, a
report of some pages as its output, a result, events of its start and of what it used.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator_nb.agents.calls import TaskContext
from orchestrator_nb.core.events import AgentSpent, AgentStarted
from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.core.ports import Assignment, Outcome, Services, Success
from orchestrator_nb.runtime.orchestrator import Orchestrator

#: Addresses that were connected to, as Python's own audit tells.
CONNECTIONS: list[Any] = []


def report_of(prompt: str) -> str:
    """Some pages that depend on what was asked."""
    return "".join(f"- {prompt}: finding {number} of what was looked at\n" for number in range(100))


class Writer:
    """An agent that answers at once; as others of its kind it can be recorded."""

    recordable = True

    def preflight(self, assignment: Assignment) -> str | None:
        """Nothing is missing."""
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Write a report, and tell what it used."""
        task, attempt, prompt = assignment.task.id, assignment.attempt, assignment.work.prompt or ""
        services.report(AgentStarted(task, attempt, "writer"))
        directory = Path(services.attempt_dir())
        (directory / "log").write_text(f"asked: {prompt}\n")
        (directory / "outputs" / "report.md").write_text(report_of(prompt))
        services.report(AgentSpent(task, attempt, 1000, 100, 0, 0.01, final=True))
        return Success(text=f"looked at {prompt}")


def write(prompt: str, context: TaskContext) -> str:
    """The same as a function."""
    (context.outputs / "report.md").write_text(report_of(prompt))
    (context.outputs.parent / "log").write_text(f"asked: {prompt}\n")
    return f"looked at {prompt}"


def plans(tasks: int) -> tuple[Plan, Plan]:
    """The same work for the agent, and for functions: ten layers, each task after one of the layer above."""
    width = max(1, tasks // 10)
    recorded, functions = [], []
    for number in range(tasks):
        same: dict[str, Any] = {"id": f"t{number}", "outputs": ["report.md"]}
        if number >= width:
            same["dependencies"] = [f"t{number - width}"]
        agent = f"{Writer.__module__}:Writer"
        recorded.append(Task.model_validate({**same, "agent": agent, "prompt": f"part {number}"}))
        call = {"function": f"{write.__module__}:write", "parameters": {"prompt": f"part {number}"}}
        functions.append(Task.model_validate({**same, **call}))
    return Plan(tasks=tuple(recorded)), Plan(tasks=tuple(functions))


def timed(plan: Plan, **settings: Any) -> tuple[float, bytes]:
    """CPU milliseconds inside a run, and its final document."""
    with tempfile.TemporaryDirectory() as directory:
        orchestrator = Orchestrator(workspace=Path(directory) / "sessions", **settings)
        gc.collect()
        began = time.process_time()
        run = orchestrator.run(plan, cwd=directory).wait()
        cpu = (time.process_time() - began) * 1000
        assert run.status == "completed", run.status
        return cpu, (run.path / "final_output.md").read_bytes()


def measure(tasks: int, reps: int) -> dict[str, Any]:
    """Record once, then replay and call functions, in turn."""
    agents, functions = plans(tasks)
    with tempfile.TemporaryDirectory() as directory:
        cassette = Path(directory) / "cassette"
        _, first = timed(agents, record=cassette)
        timed(agents, replay=cassette)  # what is imported and cached once
        timed(functions)
        pairs, same = [], True
        watching = len(CONNECTIONS)
        for _ in range(reps):
            replayed, document = timed(agents, replay=cassette)
            called, _ = timed(functions)
            pairs.append((replayed, called))
            same = same and document == first
    return {
        "tasks": tasks,
        "replay_ms": round(statistics.median(replay for replay, _ in pairs), 1),
        "functions_ms": round(statistics.median(called for _, called in pairs), 1),
        "ratio": round(statistics.median(replay / called for replay, called in pairs), 2),
        "connections": len(CONNECTIONS) - watching,
        "same_bytes": same,
    }


def main(arguments: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line for what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--reps", type=int, default=5)
    chosen = parser.parse_args(arguments)
    sys.addaudithook(lambda name, details: CONNECTIONS.append(details) if name == "socket.connect" else None)
    yield measure(chosen.tasks, chosen.reps)


if __name__ == "__main__":
    for line in main():
        print(json.dumps(line), flush=True)
