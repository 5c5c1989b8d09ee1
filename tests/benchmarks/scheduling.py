"""Scheduling: durable no-op tasks against bare asyncio of the same shape, paired in one process run.

    python -m tests.benchmarks.scheduling [--reps 5] [--size 1.0] [--shape layered] [--memory]

Prints one JSON line a measurement: CPU microseconds (user and system, all threads) per task for both sides, and their
ratio. Ours runs through the whole of it: a real session directory and log with two events a task, group commit, derived
files, one process. As for other schedulers, `ratio` leaves out what building the graph costs (`build_us`: checking the
plan, accepting it, preflight); `ratio_with_build` has it in. The floor is a TaskGroup with a semaphore of 64.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator_nb.core.limits import Limits
from orchestrator_nb.core.models import Dependency, DependencyKind, Plan, Task
from orchestrator_nb.runtime.orchestrator import Orchestrator

PARALLEL = 64


def noop() -> None:
    """The task: nothing."""


async def async_noop() -> None:
    """The task: nothing, asynchronously."""


def shape(name: str, size: int) -> list[list[int]]:
    """The parents of each task: `independent`, `layered` (100 layers, 3 parents each), `chain` or `diamond`."""
    if name == "chain":
        return [[i - 1] if i else [] for i in range(size)]
    if name == "diamond":
        return [[], *([0] for _ in range(size - 2)), list(range(1, size - 1))]
    if name == "layered":
        width = max(1, size // 100)
        dice = random.Random(7)
        above = (range((i // width - 1) * width, (i // width) * width) for i in range(size))
        return [dice.sample(layer, min(3, width)) if layer.start >= 0 else [] for layer in above]
    return [[] for _ in range(size)]


def plan_of(parents: list[list[int]]) -> Plan:
    """The same graph as a plan of async no-op functions."""
    sequential = DependencyKind.SEQUENTIAL
    tasks = tuple(
        Task(
            id=f"t{i}",
            function=f"{async_noop.__module__}:async_noop",
            dependencies=tuple(Dependency(task=f"t{p}", kind=sequential) for p in up),
        )
        for i, up in enumerate(parents)
    )
    return Plan(title="no-ops", tasks=tasks, limits=Limits(max_parallel=PARALLEL))


async def bare(parents: list[list[int]]) -> None:
    """What asyncio needs for the same graph: a task and a semaphore a node."""
    done = [asyncio.Event() for _ in parents] if any(parents) else []
    semaphore = asyncio.Semaphore(PARALLEL)

    async def node(i: int) -> None:
        for parent in parents[i]:
            await done[parent].wait()
        async with semaphore:
            await async_noop()
        if done:
            done[i].set()

    async with asyncio.TaskGroup() as group:
        for i in range(len(parents)):
            group.create_task(node(i))


def cpu_of_bare(parents: list[list[int]]) -> float:
    """CPU seconds of the floor."""
    gc.collect()
    start = time.process_time()
    asyncio.run(bare(parents))
    return time.process_time() - start


def cpu_of_run(plan: Plan) -> tuple[float, float]:
    """CPU seconds of a whole run in a session of its own, from a plan that exists to `final_output.md`.

    In two parts: the run, and the building of its graph, which is what the calling thread does.
    """
    with tempfile.TemporaryDirectory() as folder:
        orchestrator = Orchestrator(workspace=Path(folder))
        gc.collect()
        start, calling = time.process_time(), time.thread_time()
        run = orchestrator.run(plan)
        build = time.thread_time() - calling
        run.wait()
        cpu = time.process_time() - start
        assert run.status == "completed", run.status
        with run.state() as state:
            assert state.counts["completed"] == len(plan)
            assert state.seq >= 2 * len(plan)
    return cpu - build, build


def measure(name: str, size: int, reps: int) -> dict[str, object]:
    """The ratio of one shape: the median of the paired ratios."""
    parents = shape(name, size)
    plan = plan_of(parents)
    runs = [(*cpu_of_run(plan), cpu_of_bare(parents)) for _ in range(reps)]
    return {
        "bench": "scheduling",
        "shape": name,
        "tasks": size,
        "ours_us": round(1e6 * statistics.median(ours for ours, _, _ in runs) / size, 1),
        "build_us": round(1e6 * statistics.median(build for _, build, _ in runs) / size, 1),
        "asyncio_us": round(1e6 * statistics.median(floor for _, _, floor in runs) / size, 1),
        "ratio": round(statistics.median(ours / floor for ours, _, floor in runs), 2),
        "ratio_with_build": round(statistics.median((ours + build) / floor for ours, build, floor in runs), 2),
    }


def growth(name: str, small: int, large: int, reps: int) -> dict[str, object]:
    """CPU per task of a large plan over that of a small one, each many times enough to be measured."""
    big, little = plan_of(shape(name, large)), plan_of(shape(name, small))
    ratios = []
    for _ in range(reps):
        per_small = statistics.median(sum(cpu_of_run(little)) for _ in range(5)) / small
        ratios.append(sum(cpu_of_run(big)) / large / per_small)
    return {
        "bench": "growth",
        "shape": name,
        "tasks": [small, large],
        "ratio": round(statistics.median(ratios), 2),
    }


def memory(size: int) -> dict[str, object]:
    """Resident KiB a task that the plan, its state and its run add to a process that has run a small plan before."""
    cpu_of_run(plan_of(shape("independent", 100)))
    gc.collect()
    before = _peak_kib()
    plan = plan_of(shape("independent", size))
    cpu_of_run(plan)
    return {"bench": "memory", "tasks": size, "kib_per_task": round((_peak_kib() - before) / size, 2)}


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def main(arguments: list[str] | None = None) -> Iterator[dict[str, object]]:
    """Yield the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--size", type=float, default=1.0, help="scale of the plans (1: as published)")
    parser.add_argument("--shape", action="append", choices=["independent", "layered", "chain", "diamond"])
    parser.add_argument("--growth", action="store_true", help="measure 100,000 tasks against 1,000 instead")
    parser.add_argument("--memory", action="store_true", help="measure memory at 100,000 tasks instead (run it alone)")
    options = parser.parse_args(arguments)
    scale = options.size
    if options.memory:
        yield memory(int(100_000 * scale))
    elif options.growth:
        for name in options.shape or ["independent", "layered"]:
            yield growth(name, max(100, int(1_000 * scale)), int(100_000 * scale), options.reps)
    else:
        sizes = {"independent": 10_000, "layered": 10_000, "chain": 1_000, "diamond": 5_002}
        for name in options.shape or sizes:
            yield measure(name, max(10, int(sizes[name] * scale)), options.reps)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    for line in main():
        print(json.dumps(line), flush=True)
