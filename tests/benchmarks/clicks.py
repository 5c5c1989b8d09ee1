"""From a click to its acknowledgement in the page, whatever the kernel's cell is doing; in a real JupyterLab.

    python -m tests.benchmarks.clicks [--kernel 7.0=PYTHON ...] [--clicks 20]

Each kernel is an interpreter with this package's dependencies and an ipykernel of its own; the running one is always
measured. The acknowledgement is the first change that the kernel makes to the button, seen by a MutationObserver.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

START = """
from orchestrator_nb import PlanBuilder, orchestrate
import time
plan = PlanBuilder("Clicks")
plan.simulated(title="Slow", duration=3600)
run = orchestrate(plan)
"""
#: What the kernel does meanwhile: a cell that lasts until the file `enough` is there, or none.
CELLS = {
    "sleeps": "import os, time\nwhile not os.path.exists('enough'): time.sleep(0.05)",
    "computes": "import os\nn = 0\nwhile n % 200_000 or not os.path.exists('enough'): n += 1",
    "awaits": "import asyncio, os\nwhile not os.path.exists('enough'): await asyncio.sleep(0.05)",
    "waits for the run": (
        "import os\nwhile not os.path.exists('enough'):\n    try: run.wait(0.5)\n    except TimeoutError: pass"
    ),
    "idle": "",
}
CLICK = """async names => {
  const output = document.querySelector('.jp-Cell .jp-OutputArea');
  const button = [...output.querySelectorAll('button')].find(
    (found) => !found.disabled && names.some((name) => found.innerText.trim() === name));
  if (!button) return null;
  const began = performance.now();
  const heard = new Promise((resolve) => {
    const observer = new MutationObserver(() => { observer.disconnect(); resolve(performance.now() - began); });
    observer.observe(button, {attributes: true, childList: true, characterData: true, subtree: true});
    setTimeout(() => { observer.disconnect(); resolve(-1); }, 15000);
  });
  button.click();
  return await heard;
}"""


def measure(lab: Any, browser: Any, kernel: str, clicks: int) -> list[dict[str, Any]]:
    """All kinds of cells with one kernel."""
    from tests.browser.lab import new_notebook

    page = browser.new_context(viewport={"width": 1200, "height": 1000}).new_page()
    notebook = new_notebook(lab, page, [START, *CELLS.values()], f"clicks-{kernel}.ipynb", kernel)
    notebook.run(0)
    page.locator("button:has-text('Pause')").first.wait_for()
    enough = lab.root / "enough"
    results = []
    for index, (what, code) in enumerate(CELLS.items(), 1):
        enough.unlink(missing_ok=True)
        if code:
            notebook.run(index, wait=False)
            notebook.until(lambda index=index: notebook.running(index), "the cell runs")
        times = []
        while len(times) < clicks:
            page.wait_for_timeout(150)
            took = page.evaluate(CLICK, ["Pause", "Resume"])
            if took is not None:
                times.append(took)
        busy = notebook.running(index) if code else None
        enough.touch()
        if code:
            notebook.wait(index)
        handled = sorted(took for took in times if took >= 0)
        results.append(
            {
                "kernel": kernel,
                "cell": what,
                "clicks": clicks,
                "handled": len(handled),
                "cell_still_running": busy,
                "median_s": round(statistics.median(handled) / 1000, 3) if handled else None,
                "p95_s": round(handled[max(0, -(-95 * len(handled) // 100) - 1)] / 1000, 3) if handled else None,
            }
        )
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.context.close()
    return results


def main(arguments: list[str] | None = None) -> None:
    """Print one line of JSON for each kernel and kind of cell."""
    from tests.browser.lab import started_browser, started_lab

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--clicks", type=int, default=20)
    options = parser.parse_args(arguments)
    kernels = dict(given.split("=", 1) for given in options.kernel)
    with (
        tempfile.TemporaryDirectory() as directory,
        started_lab(Path(directory), kernels=kernels) as lab,
        started_browser() as browser,
    ):
        for kernel in ["python3", *kernels]:
            python = kernels.get(kernel, sys.executable)
            script = "import ipykernel; print(ipykernel.__version__)"
            version = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
            for result in measure(lab, browser, kernel, options.clicks):
                print(json.dumps({"ipykernel": version, **result}), flush=True)


if __name__ == "__main__":
    main()
