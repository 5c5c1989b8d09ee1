"""Coding agents: CPU of a line of their output to its events, against json.loads of the line.

    python -m tests.benchmarks.agents [--reps 7]

Prints one JSON line a measurement: CPU microseconds per line for both sides and the ratio, over all recorded runs
together (`lines`) and for each CLI (`lines-claude`, ...). Both sides get the same lines and split nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from statistics import median

from orchestrator_nb.agents.coding.cli import Clis, CodingCli
from tests.agents.coding.recorded import streams

Lines = list[tuple[CodingCli, list[bytes]]]

#: How often each run is read in one measurement, to be long enough for the clock.
ROUNDS = 20


def recorded(name: str | None = None) -> Lines:
    """The lines of all recorded streams, or of those of one CLI, each with its CLI."""
    runs = [(run.cli, [line for line in run.output.split(b"\n") if line.strip()]) for run in streams()]
    return [(cli, lines) for cli, lines in runs if name in (None, cli.name)]


def seconds(work: Callable[[Lines], None], runs: Lines) -> float:
    """CPU time of `work` on all `runs`, `ROUNDS` times."""
    begun = time.process_time()
    for _ in range(ROUNDS):
        work(runs)
    return time.process_time() - begun


def load(runs: Lines) -> None:
    """The floor: every line as JSON."""
    for _, lines in runs:
        for line in lines:
            json.loads(line)


def parse(runs: Lines) -> None:
    """Every line to its events."""
    for cli, lines in runs:
        parser = cli.parser()
        output = parser.output
        for number, line in enumerate(lines, 1):
            output(number, line)
        parser.end()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=7)
    options = parser.parse_args(arguments)
    for what, name in (("lines", None), *((f"lines-{name}", name) for name in Clis().names())):
        runs = recorded(name)
        count = sum(len(lines) for _, lines in runs) * ROUNDS
        pairs = [(seconds(load, runs), seconds(parse, runs)) for _ in range(options.reps)]
        line = {
            "table": "agents",
            "what": what,
            "lines": count // ROUNDS,
            "floor_us": round(median(floor for floor, _ in pairs) / count * 1e6, 3),
            "ours_us": round(median(ours for _, ours in pairs) / count * 1e6, 3),
            "ratio": round(median(ours / floor for floor, ours in pairs), 3),
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
