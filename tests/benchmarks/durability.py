"""What durability costs per event: `python -m tests.benchmarks.durability [--size N] [--reps N]`.

Each line of output is one comparison, ours and its floor paired in the same repetition; ratios are of CPU time, the
medians over all repetitions. Microseconds are per event.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.core.events import AnyEvent, Record, TaskCompleted, TaskStarted
from orchestrator_nb.storage.log import EventLog, read_records

AT = 1_736_692_200.25
NEVER = 3600.0


def events(size: int) -> list[AnyEvent]:
    """Two of each task: what every task of a run writes at least."""
    pairs: list[tuple[AnyEvent, AnyEvent]] = [
        (
            TaskStarted(f"layer-{number % 100}/task-{number}", 1, batch=number % 64, fingerprint=f"{number:064x}"),
            TaskCompleted(f"layer-{number % 100}/task-{number}", 1, duration=0.0123, value={"n": number}),
        )
        for number in range((size + 1) // 2)
    ]
    return [event for pair in pairs for event in pair][:size]


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU of the whole process, the log's thread included."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def append(path: Path, batches: list[list[AnyEvent]], sync_interval: float) -> None:
    with EventLog.open(path, sync_interval=sync_interval) as log:
        for batch in batches:
            log.append(batch, AT)


def write(path: Path, pieces: list[bytes]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for piece in pieces:
        os.write(fd, piece)
    os.close(fd)


def decode(path: Path) -> None:
    decoder = msgspec.json.Decoder(Record)
    for line in path.read_bytes().splitlines():
        decoder.decode(line)


def read(path: Path) -> None:
    for _ in read_records(path):
        pass


def measure(place: Path, size: int) -> Iterator[tuple[dict[str, Any], float, float]]:
    """One repetition: what is compared, CPU seconds of ours and of its floor."""
    all_events = events(size)
    for batch in (1, 2, 10, 100):
        batches = [all_events[at : at + batch] for at in range(0, size, batch)]
        ours = cpu(lambda: append(place / f"group-{batch}", batches, 0.01))  # noqa: B023 - called at once
        never = cpu(lambda: append(place / f"never-{batch}", batches, NEVER))  # noqa: B023
        lines = (place / f"group-{batch}").read_bytes().splitlines(keepends=True)
        pieces = [b"".join(lines[at : at + batch]) for at in range(0, size, batch)]
        floor = cpu(lambda: write(place / f"floor-{batch}", pieces))  # noqa: B023
        yield {"what": "append, to os.write of the same bytes", "batch": batch}, ours, floor
        yield {"what": "group commit, to no sync (I6)", "batch": batch}, ours, never
    yield (
        {"what": "read and verify, to decoding"},
        cpu(lambda: read(place / "group-1")),
        cpu(lambda: decode(place / "group-1")),
    )


def main(arguments: list[str] | None = None) -> None:
    """Print one JSON line a comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000, help="events")
    parser.add_argument("--reps", type=int, default=5, help="repetitions")
    options = parser.parse_args(arguments)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.reps):
        with tempfile.TemporaryDirectory() as place:
            for what, ours, floor in measure(Path(place), options.size):
                found.setdefault(json.dumps(what), []).append((ours, floor))
    for key, pairs in found.items():
        line = {
            "table": "durability",
            **json.loads(key),
            "size": options.size,
            "ours_us": round(statistics.median(ours for ours, _ in pairs) / options.size * 1e6, 2),
            "floor_us": round(statistics.median(floor for _, floor in pairs) / options.size * 1e6, 2),
            "ratio": round(statistics.median(ours / max(floor, 1e-9) for ours, floor in pairs), 2),
        }
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
