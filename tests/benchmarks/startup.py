"""What it costs to start: CPU seconds of small commands, beyond a bare Python's, paired run by run.

python tests/benchmarks/startup.py --reps 10
Each line: the command, its median CPU beyond bare Python, bare Python's, and the ratio. `--size` is ignored.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE = [sys.executable, "-c", "pass"]
SUBJECTS = {
    "import orchestrator_nb": [sys.executable, "-c", "import orchestrator_nb"],
    "orchestrate --help": [sys.executable, "-m", "orchestrator_nb", "--help"],
    "orchestrate run --help": [sys.executable, "-m", "orchestrator_nb", "run", "--help"],
    "orchestrate --version": [sys.executable, "-m", "orchestrator_nb", "--version"],
    "completion": [sys.executable, "-m", "orchestrator_nb"],
}


def cpu(command: list[str], environ: dict[str, str]) -> float:
    """CPU seconds of one run of `command`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(name: str, reps: int) -> dict[str, object]:
    """One subject against bare Python."""
    environ = dict(os.environ)
    if name == "completion":
        environ |= {"_ORCHESTRATE_COMPLETE": "complete_bash", "COMP_WORDS": "orchestrate r", "COMP_CWORD": "1"}
    cpu(SUBJECTS[name], environ)  # compiles what is not compiled yet
    pairs = [(cpu(BARE, environ), cpu(SUBJECTS[name], environ)) for _ in range(reps)]
    return {
        "subject": name,
        "bare": round(statistics.median(bare for bare, _ in pairs), 4),
        "beyond": round(statistics.median(ours - bare for bare, ours in pairs), 4),
        "ratio": round(statistics.median(ours / max(bare, 1e-3) for bare, ours in pairs), 2),
    }


def main() -> None:
    """Measure every subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--reps", type=int, default=10)
    reps = parser.parse_args().reps
    for name in SUBJECTS:
        print(json.dumps(measure(name, reps)))


if __name__ == "__main__":
    main()
