"""What notebooks cost with papermill's own engine and with ours, paired in one run.

python -m tests.benchmarks.notebooks [same | single | first | memory ...] --size 50 --reps 3
Each line: the subject, papermill's figure, ours, the ratio. `same`: CPU seconds of a notebook when `--size` of them
are executed one after the other in one process; `single`: wall seconds of the command for one notebook; `first`: wall
seconds until its first output; `memory`: private MiB of each of 6 kernels that live at the same time, after a plot.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = new_code_cell("x = 1", metadata={"tags": ["parameters"]})
TRIVIAL = [PARAMETERS, "print(x)", "x + 1"]
REAL = [
    "print('begins')",
    PARAMETERS,
    "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
    "frame = pd.DataFrame(np.random.default_rng(x).normal(size=(1000, 3)), columns=list('abc'))\nframe.describe()",
    "frame.a.cumsum().plot()\nplt.show()",
    "print(frame.sum().round(3).to_dict())",
]
SUBJECTS = ("same", "single", "first", "memory")


def write(path: Path, cells: list[Any]) -> Path:
    """Save a notebook."""
    import nbformat
    from nbformat.v4 import new_notebook

    spec = {"name": "python3", "language": "python", "display_name": "Python"}
    made = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    nbformat.write(new_notebook(cells=made, metadata={"kernelspec": spec}), path)
    return path


def child(directory: Path, *arguments: str) -> tuple[float, float]:
    """CPU and wall seconds of this program as a process of its own, with all that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "tests.benchmarks.notebooks", "--in", str(directory), *arguments],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, time.perf_counter() - began


def execute(path: Path, engine: str, executed: Path | None = None, **parameters: Any) -> None:
    """Execute a notebook in this process."""
    import papermill
    from papermill.engines import papermill_engines

    from orchestrator_nb.kernels.engine import OrchestratorEngine

    papermill_engines.register("orchestrator", OrchestratorEngine)
    executed = executed or path.with_suffix(f".{engine}.ipynb")
    papermill.execute_notebook(str(path), str(executed), parameters, engine_name=engine, progress_bar=False)


def same(directory: Path, engine: str, size: int) -> float:
    """CPU seconds of each of `size` notebooks in one process, beyond those of its start."""
    start, _ = child(directory, "run", engine, "--size", "0")
    return (child(directory, "run", engine, "--size", str(size))[0] - start) / max(size, 1)


def single(directory: Path, engine: str, _: int) -> float:
    """Wall seconds of papermill's command for one notebook."""
    return child(directory, "command", engine)[1]


def first(directory: Path, engine: str, _: int) -> float:
    """Wall seconds from the start of the command to the first line that the notebook prints."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.benchmarks.notebooks", "--in", str(directory), "command", engine]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "begins" in line:
                seconds = time.perf_counter() - began
        process.wait()
    return seconds


def memory(directory: Path, engine: str, _: int) -> float:
    """Private MiB of each of six kernels after a plot."""
    command = [sys.executable, "-m", "tests.benchmarks.notebooks", "--in", str(directory), "live", engine]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return statistics.mean(map(float, re.findall(r"PRIVATE (\S+)", done.stdout)))


#: Cells that wait until all six live, and tell how much memory is this one's alone.
WAIT = """
import os, pathlib, re, time
pathlib.Path(f"alive-{os.getpid()}").touch()
deadline = time.monotonic() + 120
while len(list(pathlib.Path().glob("alive-*"))) < 6 and time.monotonic() < deadline:
    time.sleep(0.1)
time.sleep(0.5)
"""
MEASURE = """
text = pathlib.Path("/proc/self/smaps_rollup").read_text()
print("PRIVATE", sum(map(int, re.findall(r"Private_(?:Clean|Dirty): +(\\d+)", text))) / 1024)
"""


def live(directory: Path, engine: str) -> None:
    """Execute six notebooks at the same time, which wait for each other and tell how much memory is their own."""
    from concurrent.futures import ThreadPoolExecutor

    import nbformat

    if engine == "orchestrator":
        execute(write(directory / "warm.ipynb", REAL), engine)
        execute(directory / "warm.ipynb", engine)
    os.chdir(directory)  # noqa: TID251 - a program of its own
    cells = [*REAL, WAIT, MEASURE]
    paths = [write(directory / f"live-{number}.ipynb", cells) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda path: execute(path, engine), paths))
    for path in paths:
        for cell in nbformat.read(path.with_suffix(f".{engine}.ipynb"), 4).cells:
            print(*(output.text for output in cell.outputs if "PRIVATE" in output.get("text", "")))
    for item in directory.glob("alive-*"):
        item.unlink()


def command(directory: Path, engine: str) -> None:
    """papermill's command, with the engine registered as its entry point does."""
    from papermill.cli import papermill
    from papermill.engines import papermill_engines

    if engine == "orchestrator":
        from orchestrator_nb.kernels.engine import OrchestratorEngine

        papermill_engines.register("orchestrator", OrchestratorEngine)
    papermill([str(directory / "book.ipynb"), str(directory / "out.ipynb"), "--engine", engine, "--stdout-file", "-"])


def main() -> None:
    """Measure, or be what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", default=list(SUBJECTS))
    parser.add_argument("--in", dest="directory")
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--reps", type=int, default=3)
    options = parser.parse_args()
    if options.directory:
        what, engine = options.words
        directory = Path(options.directory)
        if what == "run":
            import papermill.cli  # noqa: F401 - its import is no part of a notebook's cost

            for number in range(options.size):
                execute(directory / "book.ipynb", engine, x=number)
        else:
            {"command": command, "live": live}[what](directory, engine)
        return
    for word in options.words or SUBJECTS:
        for kind, cells in (("real", REAL), ("trivial", TRIVIAL)) if word == "same" else (("real", REAL),):
            with tempfile.TemporaryDirectory() as name:
                directory = Path(name)
                write(directory / "book.ipynb", cells)
                measure = globals()[word]
                pairs = [
                    (measure(directory, "nbclient", options.size), measure(directory, "orchestrator", options.size))
                    for _ in range(options.reps)
                ]
            print(
                json.dumps(
                    {
                        "subject": f"{word}: {kind}",
                        "papermill": round(statistics.median(theirs for theirs, _ in pairs), 3),
                        "ours": round(statistics.median(ours for _, ours in pairs), 3),
                        "ratio": round(statistics.median(theirs / ours for theirs, ours in pairs), 2),
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
