"""What supervision costs: `python -m tests.benchmarks.processes [--size N] [--reps N]`.

Each line of output is one comparison, ours and its floor paired in the same repetition; ratios are of CPU time (user
and system, of this process and all below it: supervisor, reapers, commands), the medians over all repetitions. Wall
time is for information. `--size` is the number of launches, and a thousandth of the lines that a command prints.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system.supervisor import Supervisor

IN_FLIGHT = 8
LINE = 80
#: Talkative commands in a run, one after the other.
TALKERS = 3
#: What a command that prints through a buffer of 8 KiB does.
TALK = "import os, sys; [os.write(1, b'{line}' * 102) for _ in range({blocks})]"


def measured(work: Callable[[], Coroutine[Any, Any, None]] | Callable[[], None]) -> tuple[float, float]:
    """CPU seconds of this process and its children, and wall seconds, of a piece of work."""

    def spent() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    cpu, wall = spent(), time.monotonic()
    result = work()
    if result is not None:
        asyncio.run(result)
    return spent() - cpu, time.monotonic() - wall


async def launch_ours(place: Path, size: int) -> None:
    """Start /bin/true so many times under supervision, some at a time, supervisor and all."""
    environment = dict(os.environ)

    async def lane(number: int) -> None:
        for turn in range(size // IN_FLIGHT):
            log = place / f"{number}-{turn}"
            process = await supervisor.spawn(Command(argv=["/bin/true"], cwd=place, env=environment, log=log))
            assert (await process.wait()).code == 0

    async with Supervisor("benchmark") as supervisor:
        await asyncio.gather(*map(lane, range(IN_FLIGHT)))


async def launch_bare(size: int) -> None:
    """The same with asyncio."""

    async def lane() -> None:
        for _ in range(size // IN_FLIGHT):
            process = await asyncio.create_subprocess_exec("/bin/true", stdin=asyncio.subprocess.DEVNULL)
            assert await process.wait() == 0

    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))


def talker(lines: int) -> list[str]:
    """A command that prints about so many lines of 80 characters."""
    code = TALK.format(line="x" * (LINE - 1) + "\\n", blocks=max(1, lines // 102))
    return [sys.executable, "-I", "-S", "-c", code]


async def read_ours(place: Path, lines: int) -> None:
    """Count the lines of supervised commands, on their way through their logs."""
    async with Supervisor("benchmark") as supervisor:
        for turn in range(TALKERS):
            command = Command(argv=talker(lines), cwd=place, env={}, log=place / f"lines-{turn}")
            process = await supervisor.spawn(command)
            counted = 0
            async for chunk in process.output():
                counted += chunk.count(b"\n")
            assert counted == max(1, lines // 102) * 102


def read_bare(lines: int) -> None:
    """Count the lines of commands, from pipes."""
    for _ in range(TALKERS):
        with subprocess.Popen(talker(lines), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={}) as process:
            assert process.stdout is not None
            counted = 0
            while chunk := os.read(process.stdout.fileno(), 1 << 16):
                counted += chunk.count(b"\n")
        assert counted == max(1, lines // 102) * 102


async def reaper_cost(place: Path) -> dict[str, float]:
    """Milliseconds of a first and of a later start, and proportional memory of supervisor and of a reaper, in MiB."""

    async def start(name: str) -> float:
        begin = time.monotonic()
        process = await supervisor.spawn(Command(argv=["/bin/true"], cwd=place, env={}, log=place / name))
        took = time.monotonic() - begin
        await process.wait()
        return 1000 * took

    def share(pid: int) -> float:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024

    def below(pid: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async with Supervisor("benchmark") as supervisor:
        first = await start("first")
        later = [await start(f"later-{turn}") for turn in range(20)]
        keeper = next(pid for pid in below(os.getpid()) if Path(f"/proc/{pid}/comm").read_text() == "orch-supervisor\n")
        return {
            "first_ms": round(first, 1),
            "later_ms": round(statistics.median(later), 2),
            "supervisor_mib": round(share(keeper), 1),
            "reaper_mib": round(share(below(keeper)[0]), 1),
        }


def measure(
    place: Path, size: int, ballast: int
) -> Iterator[tuple[str, int, tuple[float, float], tuple[float, float]]]:
    """One repetition: what is compared, of how many, CPU and wall seconds of ours and of the floor."""
    for name, mebibytes in (("launch", 0), ("launch, large parent", ballast)):
        held = bytearray(b"x") * (mebibytes << 20)
        directory = place / name
        directory.mkdir()
        yield name, size, measured(lambda: launch_ours(directory, size)), measured(lambda: launch_bare(size))  # noqa: B023
        del held
    lines = 1000 * size
    yield "output", TALKERS * lines, measured(lambda: read_ours(place, lines)), measured(lambda: read_bare(lines))


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--ballast", type=int, default=1024, help="MiB that a large parent holds")
    options = parser.parse_args(arguments)
    found: dict[tuple[str, int], list[tuple[tuple[float, float], tuple[float, float]]]] = {}
    with tempfile.TemporaryDirectory() as root:
        for repetition in range(options.reps):
            place = Path(root, str(repetition))
            place.mkdir()
            for name, count, ours, floor in measure(place, options.size, options.ballast):
                found.setdefault((name, count), []).append((ours, floor))
        cost = asyncio.run(reaper_cost(Path(root)))
    for (name, count), pairs in found.items():
        line = {
            "table": "processes",
            "what": name,
            "count": count,
            "ours_us": 1e6 * statistics.median(ours[0] for ours, _ in pairs) / count,
            "floor_us": 1e6 * statistics.median(floor[0] for _, floor in pairs) / count,
            "ratio": statistics.median(ours[0] / floor[0] for ours, floor in pairs),
            "wall_ratio": statistics.median(ours[1] / floor[1] for ours, floor in pairs),
        }
        print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in line.items()}))
    print(json.dumps({"table": "processes", "what": "reaper", **cost}))


if __name__ == "__main__":
    main()
