"""What batches of notebooks cost, ours against papermill's, paired in one run.

python -m tests.benchmarks.batches [batch | commands | first | many ...] --size 50 --reps 1
`batch`: CPU and wall seconds of a notebook of `orchestrate batch --jobs 2`, against two processes that share the same
notebooks and call `papermill.execute_notebook`; `commands`: against papermill's command for each, two at once; `first`:
wall seconds from the start of the command to the first line that the first notebook prints; `many`: a batch of
`--size` trivial notebooks (1,000 tell most), CPU of a notebook among the last tenth against among the first, and what
is left behind: files outside of the results and the session, processes, descriptors of the processes that last.

CPU is that of whole trees of processes: everything is started by this process, which is a subreaper, so that what
loses its parent becomes a child of this one. It waits until there are none, and takes rusage's sum over its children,
which counts every process that somebody has waited for; that is all of them, as a cgroup of cpuacct shows, which
counts the same within 0.1 %. While a batch runs, `many` takes that sum out of /proc, of each process that lives.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.notebooks import REAL, ROOT, TRIVIAL, execute, write

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
#: Notebooks that run at once.
JOBS = 2
#: Seconds between two looks, that a batch may take, and that processes have to end after it.
INTERVAL, PATIENCE, FAREWELL = 0.1, 3600.0, 10.0
#: Names of the processes that last as long as a batch, beside the one that was started.
LASTING = ("orch-supervisor", "orch-reaper")


class Spent(NamedTuple):
    """What some processes took, in seconds, and how many of them have not ended."""

    cpu: float
    wall: float
    left: int


def spent(work: Callable[[], None]) -> Spent:
    """What the processes that `work` starts take, until the last one has gone; it is waited for some seconds."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, began = children_cpu(), time.monotonic()
    work()
    wall = time.monotonic() - began
    with suppress(ChildProcessError):
        while time.monotonic() < began + wall + FAREWELL:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(INTERVAL)
    return Spent(children_cpu() - before, wall, len(family(os.getpid())) - 1)


def children_cpu() -> float:
    """CPU seconds of all that this process has waited for, and that they have."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# -- what is measured --------------------------------------------------------------------------------------------------


def ours(directory: Path, size: int) -> list[str]:
    """The command for a batch."""
    grid, out = f"x=1..{size}", str(directory / "results")
    return [sys.executable, "-m", "orchestrator_nb", "batch", str(directory / "book.ipynb"), "--grid", grid,
            "--jobs", str(JOBS), "-o", out]  # fmt: skip


def started(command: list[str], directory: Path, **options: Any) -> subprocess.Popen[str]:
    """A command in the directory, as a user starts it whose package is installed, with a home of its own."""
    home, temporary = directory / "home", directory / "tmp"
    for place in (home, temporary):
        place.mkdir(exist_ok=True)
    xdg = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "JUPYTER", "IPYTHON"))}
    own = {"PYTHONPATH": str(ROOT), "HOME": str(home), "TMPDIR": str(temporary)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=directory, env={**xdg, **own}, text=True, **{**quiet, **options})


def prepared(directory: Path, cells: list[Any]) -> Path:
    """The directory with a notebook that was executed once: libraries keep things in a home that is new."""
    write(directory / "book.ipynb", cells)
    assert started(papermill(directory, 0), directory).wait() == 0
    return directory


def run_ours(directory: Path, size: int) -> None:
    """A batch, by its command."""
    assert started(ours(directory, size), directory).wait() == 0
    assert len(list((directory / "results").glob("*.ipynb"))) == size


def run_batch(directory: Path, size: int) -> None:
    """papermill in two processes."""
    program = [sys.executable, "-m", "tests.benchmarks.batches", "--in", str(directory), "--size", str(size)]
    lanes = [started([*program, "lane", str(lane)], directory) for lane in range(JOBS)]
    assert [lane.wait() for lane in lanes] == [0] * JOBS


def lane(directory: Path, number: int, size: int) -> None:
    """Execute every second notebook in this process."""
    for x in range(number, size, JOBS):
        execute(directory / "book.ipynb", "nbclient", directory / f"{x}.ipynb", x=x)


def run_commands(directory: Path, size: int) -> None:
    """papermill's command for each, two at once."""
    todo = list(range(size))
    running: list[subprocess.Popen[str]] = []
    while todo or running:
        while todo and len(running) < JOBS:
            running.append(started(papermill(directory, todo.pop()), directory))
        ended = [process for process in running if process.poll() is not None]
        assert not any(process.returncode for process in ended)
        running = [process for process in running if process not in ended]
        time.sleep(0.01)


def papermill(directory: Path, x: int) -> list[str]:
    """The command for one notebook."""
    return [sys.executable, "-m", "papermill", str(directory / "book.ipynb"), str(directory / f"{x}.ipynb"),
            "-p", "x", str(x), "--no-progress-bar"]  # fmt: skip


def against(peer: Callable[[Path, int], None]) -> Callable[[int], Iterator[dict[str, Any]]]:
    """Measure a peer and ours, one after the other."""

    def measure(size: int) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as name:
            directory = prepared(Path(name), REAL)
            theirs, own = spent(lambda: peer(directory, size)), spent(lambda: run_ours(directory, size))
        yield row("CPU", theirs.cpu / size, own.cpu / size)
        yield row("wall", theirs.wall / size, own.wall / size)

    return measure


def row(what: str, theirs: float, own: float) -> dict[str, Any]:
    """A comparison, of which a larger ratio is a better one."""
    return {"what": what, "papermill": round(theirs, 3), "ours": round(own, 3), "ratio": round(theirs / own, 2)}


# -- the first output --------------------------------------------------------------------------------------------------


def first(size: int) -> Iterator[dict[str, Any]]:
    """How long it takes until one can read what the first notebook prints; here a smaller ratio is the better one."""
    with tempfile.TemporaryDirectory() as name:
        directory = prepared(Path(name), REAL)
        began = time.monotonic()
        command = [*papermill(directory, 1), "--stdout-file", "-"]
        with started(command, directory, stdout=subprocess.PIPE) as process:
            assert process.stdout
            theirs = next(time.monotonic() - began for line in process.stdout if "begins" in line)
            process.stdout.read()
        began = time.monotonic()
        process = started(ours(directory, min(size, 2 * JOBS)), directory)
        while not any("begins" in log.read_text() for log in directory.glob(".orchestrator/*/attempts/*/*/log")):
            assert time.monotonic() - began < PATIENCE
            time.sleep(0.01)
        own = time.monotonic() - began
        process.wait()
    yield {**row("first output", theirs, own), "ratio": round(own / theirs, 2)}


# -- many --------------------------------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """How a batch stands."""

    done: int
    cpu: float
    #: Descriptors of the processes that last.
    descriptors: int
    #: Memory of the process that was started, in MiB.
    memory: float


def many(size: int) -> Iterator[dict[str, Any]]:
    """Whether notebooks become dearer, and what is left."""
    with tempfile.TemporaryDirectory() as name:
        directory = prepared(Path(name), TRIVIAL)
        before, shared = set(files(directory)), set(files(Path("/dev/shm")))
        samples: list[Sample] = []
        total = spent(lambda: samples.extend(watched(directory, size)))
        left = [path for path in files(directory) if path not in before]
        left += [path for path in files(Path("/dev/shm")) if path not in shared]
        own = (str(directory / "results"), str(directory / ".orchestrator"))
        left = [path for path in left if not path.startswith(own)]
    tenth = max(size // 10, 1)
    early, late = window(samples, 1, tenth), window(samples, size - tenth - JOBS, size - JOBS)
    yield {"what": "CPU of a notebook among the first, among the last", "first": round(early, 4),
           "last": round(late, 4), "ratio": round(late / early, 3)}  # fmt: skip
    begin, end = usual(samples, 1, tenth), usual(samples, size - tenth - JOBS, size - JOBS)
    yield {"what": "left behind", "files": len(left), "which": left[:5], "processes": total.left,
           "descriptors": round(end[0] - begin[0]), "coordinator MiB": round(end[1] - begin[1], 1)}  # fmt: skip
    yield {"what": "each, its share of the start included", "CPU": round(total.cpu / size, 4),
           "wall": round(total.wall / size, 4)}  # fmt: skip


def watched(directory: Path, size: int) -> Iterator[Sample]:
    """Run a batch, and say again and again how it stands."""
    process = started(ours(directory, size), directory)
    results, seen = directory / "results", -1
    while process.poll() is None:
        done = sum(1 for path in files(results, below=False) if path.endswith(".ipynb"))
        if done != seen:
            yield sample(process.pid, done)
        seen = done
        time.sleep(INTERVAL)
    assert process.returncode == 0


def sample(pid: int, done: int) -> Sample:
    """How the tree of processes below `pid` stands now."""
    cpu, descriptors, tree, memory = 0.0, 0, family(pid), 0.0
    for number, (comm, fields) in tree.items():
        cpu += sum(map(int, fields[11:15])) / TICKS
        if number == pid or comm.startswith(LASTING):
            with suppress(OSError):
                descriptors += len(os.listdir(f"/proc/{number}/fd"))
        if number == pid:
            memory = int(fields[21]) * resource.getpagesize() / 2**20
    return Sample(done, cpu, descriptors, memory)


def family(root: int) -> dict[int, tuple[str, list[str]]]:
    """The processes of a tree: name, and what /proc tells in `stat` from the state on."""
    everyone: dict[int, tuple[str, list[str]]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            head, _, rest = Path("/proc", name, "stat").read_text().rpartition(") ")
            everyone[int(name)] = (head.partition("(")[2], rest.split())
    found = {root} & set(everyone)
    while more := {pid for pid, (_, fields) in everyone.items() if int(fields[1]) in found} - found:
        found |= more
    return {pid: everyone[pid] for pid in found}


def window(samples: list[Sample], first: int, last: int) -> float:
    """CPU seconds of a notebook between two samples."""
    begin = next(sample for sample in samples if sample.done >= first)
    end = next(sample for sample in samples if sample.done >= last and sample.done > begin.done)
    return (end.cpu - begin.cpu) / (end.done - begin.done)


def usual(samples: list[Sample], first: int, last: int) -> tuple[float, float]:
    """The median of descriptors, and of memory, while so many were done."""
    some = [sample for sample in samples if first <= sample.done <= last] or samples
    return statistics.median(s.descriptors for s in some), statistics.median(s.memory for s in some)


def files(directory: Path, *, below: bool = True) -> Iterator[str]:
    """All that is in a directory, sockets and links too."""
    for place, directories, names in os.walk(directory):
        yield from (os.path.join(place, name) for name in (*directories, *names))
        if not below:
            return


SUBJECTS: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "batch": against(run_batch),
    "commands": against(run_commands),
    "first": first,
    "many": many,
}


def main() -> None:
    """Measure, or be what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", default=list(SUBJECTS))
    parser.add_argument("--in", dest="directory")
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--reps", type=int, default=1)
    options = parser.parse_args()
    if options.directory:
        lane(Path(options.directory), int(options.words[1]), options.size)
        return
    for word in options.words:
        turns = [list(SUBJECTS[word](options.size)) for _ in range(options.reps)]
        for rows in zip(*turns, strict=True):
            told = dict(rows[0])
            for key, value in told.items():
                if isinstance(value, float):
                    told[key] = round(statistics.median(row[key] for row in rows), 4)
            print(json.dumps({"subject": word, **told, "size": options.size}), flush=True)


if __name__ == "__main__":
    main()
