"""Derived files: what following a run costs, against folding the same records into the state.

    python -m tests.benchmarks.projections [--size 10000] [--reps 5]

Prints one JSON line a measurement: CPU microseconds per task of a run of no-op tasks for both sides, and the ratio.
`apply` follows the records, `all` tells all files once at the end, `one` tells them after one more change.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from statistics import median

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.projections.files import Files
from tests.histories import BEGIN


def run_of(size: int) -> tuple[Plan, list[e.Record]]:
    """A plan of short chains of no-op functions, and the records of a run of it."""
    tasks = [
        {"id": f"t{n}", "title": f"Task {n}", "function": "m:f", "dependencies": [f"t{n - 1}"] if n % 10 else []}
        for n in range(size)
    ]
    plan = Plan.model_validate({"title": "no-ops", "tasks": tasks})
    events: list[e.AnyEvent] = [
        e.PlanAccepted(1, e.Artifact("blobs/0", 2, "0"), plan.title, size),
        e.RunStarted(1, 1, "h"),
    ]
    for n in range(size):
        events += [e.TaskStarted(f"t{n}", 1, n), e.TaskCompleted(f"t{n}", 1, 0.001)]
    return plan, [e.Record(seq, BEGIN + seq / 1000, event) for seq, event in enumerate(events, 1)]


def seconds(work: Callable[[], object]) -> float:
    """CPU time of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measure(size: int) -> dict[str, float]:
    """CPU seconds of the floor (`fold`) and of the three measurements."""
    plan, records = run_of(size)
    state, files = State(), Files(lambda artifact: b"{}")

    def fold() -> None:
        for record in records:
            state.apply(record, plan if record.seq == 1 else None)

    def follow() -> None:
        for record in records:
            files.apply(record, state)

    def tell() -> None:
        for _ in files.changed():
            pass

    times = {"fold": seconds(fold), "apply": seconds(follow), "all": seconds(tell)}
    for event in (e.TaskReset("t0"), e.TaskStarted("t0", 2)):
        record = e.Record(state.seq + 1, BEGIN, event)
        state.apply(record)
        files.apply(record, state)
        times["one"] = seconds(tell)  # the reset touches every row; what counts is the start after it
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--reps", type=int, default=5)
    options = parser.parse_args(arguments)
    runs = [measure(options.size) for _ in range(options.reps)]
    for name in ("apply", "all", "one"):
        line = {
            "table": "projections",
            "what": name,
            "size": options.size,
            "floor_us": round(median(run["fold"] for run in runs) / options.size * 1e6, 3),
            "ours_us": round(median(run[name] for run in runs) / options.size * 1e6, 3),
            "ratio": round(median(run[name] / run["fold"] for run in runs), 3),
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
