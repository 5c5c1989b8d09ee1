"""Talkative coding agents at once: how long the loop that serves them is away, its CPU, and memory for each of them.

    python -m tests.benchmarks.talkers [--agents 50] [--seconds 10] [--lines 100] [--bytes 200000] [--profile FILE]

Each agent is a real contained process that writes so many lines a second, and once a second a tool's result of so many
bytes. From when all have begun until the first has ended a callback every 5 ms tells how late it is (`gap`, seconds).
`cpu` is what the loop's thread used, in cores; `MiB_each` what the process grew by at most, over the number of agents.
The load of the machine is told, too: a busy one makes gaps of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from orchestrator_nb import Orchestrator
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.system.loop import submit
from tests.agents.coding.puppet import Puppet

TALKER = "tests.benchmarks.talkers:Talker"
INTERVAL = 0.005
PAGE = os.sysconf("SC_PAGE_SIZE")


class Talker(Puppet):
    """It speaks as claude does, without end."""

    name = "talker"
    program = str(Path(__file__).with_name("talker_program"))


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Pulse:
    """A callback on the loop every `INTERVAL`: how late it is, the loop's CPU, and the process's memory."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.most = 0
        self.cpu = 0.0
        self.on = True

    async def beat(self, profile: str) -> None:
        """Beat until it is turned off."""
        profiler = cProfile.Profile(time.thread_time) if profile else None
        if profiler:
            profiler.enable()
        begun = time.thread_time()
        while self.on:
            wanted = time.monotonic() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.gaps.append(time.monotonic() - wanted)
            if len(self.gaps) % 20 == 0:
                self.most = max(self.most, resident())
        self.cpu = time.thread_time() - begun
        if profiler:
            profiler.disable()
            profiler.dump_stats(profile)


def until(run: Run, what: Callable[[TaskState], bool], which: Callable[[Iterable[bool]], bool]) -> None:
    """Wait until this holds for all (any) of the run's tasks, or it has ended."""
    while True:
        with run.state() as state:
            if which(map(what, state.by_index)) or run.done:
                return
        time.sleep(0.05)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    return round(sorted(values)[int(share * (len(values) - 1))], 4)


def measure(options: argparse.Namespace) -> dict[str, object]:
    """One run."""
    os.environ.setdefault("PUPPET_KEY", "key-of-the-puppet")
    prompt = f"talk: {options.seconds} {options.lines} {options.bytes}"
    tasks = [
        {"id": f"t{n}", "agent": TALKER, "prompt": prompt, "parameters": {"level": "read"}}
        for n in range(options.agents)
    ]
    plan = Plan.model_validate({"title": "Talkers", "tasks": tasks, "limits": {"max_parallel": options.agents}})
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        before = resident()
        run = Orchestrator(workspace=base / "w").run(plan, cwd=base)
        until(run, lambda task: bool(task.message), all)
        pulse = Pulse()
        begun = time.monotonic()
        beating = submit(pulse.beat(options.profile))
        until(run, lambda task: task.status.settled, any)
        pulse.on = False
        beating.result()
        took = time.monotonic() - begun
        run.wait(120)
        return {
            "table": "talkers",
            "agents": options.agents,
            "status": run.status,
            "seconds": round(took, 2),
            "gap_p50": percentile(pulse.gaps, 0.5),
            "gap_p99": percentile(pulse.gaps, 0.99),
            "gap_max": percentile(pulse.gaps, 1),
            "cpu": round(pulse.cpu / took, 3),
            "MiB_each": round((pulse.most - before) / 2**20 / options.agents, 2),
            "load": round(os.getloadavg()[0], 1),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--lines", type=int, default=100)
    parser.add_argument("--bytes", type=int, default=200_000)
    parser.add_argument("--profile", default="")
    print(json.dumps(measure(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
