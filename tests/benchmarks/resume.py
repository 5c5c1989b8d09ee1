"""Resume: opening a stopped session of many tasks until its first task could start.

    python -m tests.benchmarks.resume [--size 10000] [--reps 5]

Half of the tasks are done when the run is stopped. Measured is what `orchestrate resume` does before the first task
starts: lock, read and verify the log, load the plan, fold it, decide. Prints one JSON line: seconds (wall and CPU), and
the CPU of merely reading and decoding the same log's lines as the floor.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import admit
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import Workspace
from tests.benchmarks.scheduling import plan_of, shape


def half_done(folder: Path, size: int) -> Workspace:
    """A workspace with one session in which half of the tasks have completed."""
    workspace = Workspace(folder)
    directory = workspace.new_session()
    engine = Engine(directory, Settings(workspace=folder), {})
    plan = plan_of(shape("layered", size))
    engine.record(e.SessionCreated(directory.id, "0", e.FORMAT))
    engine.accept(plan, {}, base=folder, cwd=folder)
    engine.record(e.RunStarted(1, 1, "h"))
    for task in plan.tasks[: size // 2]:
        engine.record(e.TaskStarted(task.id, 1, 1, "0" * 32), e.TaskCompleted(task.id, 1, 0.001))
    engine.release()
    return workspace


def main(arguments: list[str] | None = None) -> Iterator[dict[str, object]]:
    """Yield the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--reps", type=int, default=5)
    options = parser.parse_args(arguments)
    walls, cpus, floors = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        directory = half_done(Path(folder), options.size).find()
        for _ in range(options.reps):
            start = time.process_time()
            for line in directory.log_path.read_bytes().splitlines():
                json.loads(line)
            floors.append(time.process_time() - start)
            wall, start = time.perf_counter(), time.process_time()
            engine = Engine(directory, Settings(workspace=Path(folder)), {})
            ready = admit(engine.state, engine.admission, 0.0)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - start)
            assert ready
            engine.release()
    yield {
        "bench": "resume",
        "tasks": options.size,
        "wall_s": round(statistics.median(walls), 3),
        "cpu_s": round(statistics.median(cpus), 3),
        "ratio": round(statistics.median(cpus) / statistics.median(floors), 1),
        "floor": "json.loads of each line of the log",
    }


if __name__ == "__main__":
    for line in main():
        print(json.dumps(line), flush=True)
