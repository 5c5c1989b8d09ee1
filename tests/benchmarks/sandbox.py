"""What containment costs: wall and CPU seconds of a start, beyond the program alone, paired run by run.

python tests/benchmarks/sandbox.py --reps 20
Each line: the level, what a start costs more (median and 95th percentile of the differences, seconds), its CPU, and the
time to work out the command line. `--size` is the number of files in the tree that control files are looked for in.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator_nb.system.sandbox.containing import contain
from orchestrator_nb.system.sandbox.control_files import ControlGuard
from orchestrator_nb.system.sandbox.policy import Level, Policy
from orchestrator_nb.system.sandbox.probing import Sandbox, available

PROGRAM = ("/bin/sh", "-c", ":")


def run(argv: Sequence[str], env: dict[str, str], cwd: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(box: Sandbox, policy: Policy, reps: int) -> dict[str, object]:
    """One level against the program alone."""
    walls, cpus, plans = [], [], []
    for _ in range(reps):
        begin = time.perf_counter()
        made = contain(box.means, policy, PROGRAM, policy.writable[0], {"PATH": "/usr/bin:/bin"})
        plans.append(time.perf_counter() - begin)
        alone = run(PROGRAM, {}, policy.writable[0])
        inside = run(made.argv, dict(made.env), policy.writable[0])
        walls.append(inside[0] - alone[0] + plans[-1])
        cpus.append(inside[1] - alone[1])
    return {
        "level": box.level,
        "more": round(statistics.median(walls), 4),
        "more_p95": round(sorted(walls)[int(0.95 * (len(walls) - 1))], 4),
        "cpu": round(statistics.median(cpus), 4),
        "planning": round(statistics.median(plans), 5),
    }


def guard(tree: Path, size: int) -> dict[str, object]:
    """Looking for control files before and after, in a tree of this many files."""
    for number in range(size):
        directory = tree / f"{number // 100}"
        directory.mkdir(exist_ok=True)
        (directory / f"{number}.py").touch()
    begin = time.perf_counter()
    kept = ControlGuard.begin([tree])
    middle = time.perf_counter()
    kept.end()
    return {"files": size, "begin": round(middle - begin, 4), "end": round(time.perf_counter() - middle, 4)}


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=20)
    parser.add_argument("--size", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name).resolve()
        for part in ("work", "home", "tmp", "tree"):
            (base / part).mkdir()
        policy = Policy(home=base / "home", tmp=base / "tmp", writable=(base / "work",))
        for box in available():
            if box.level is not Level.NONE:
                print(json.dumps(measure(box, policy, options.reps)), flush=True)
        print(json.dumps(guard(base / "tree", options.size)), flush=True)


if __name__ == "__main__":
    main()
