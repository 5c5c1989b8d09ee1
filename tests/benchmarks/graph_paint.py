"""The live graph in a real JupyterLab: `python -m tests.benchmarks.graph_paint [--reps N] [--sizes N ...]`.

A JSON line for each size, of medians. `paint_ms`: from the display in the kernel, the layout included, to the first
paint with every task drawn, none in a group. `change_ms`: from the change of one status to its paint; `change_cpu_ms`:
CPU time of the kernel for it, beyond an idle kernel's. A paint is the message after the next animation frame, by the
clock that kernel and page share.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tests.browser.lab import Notebook, new_notebook, started_browser, started_lab

BEGIN = """
import random, time
from orchestrator_nb.core import events as e
from orchestrator_nb.jupyter.graph import state_graph
from orchestrator_nb.jupyter.part import Changes
from tests.histories import tell

def layered(size):
    dice, width, tasks = random.Random(1), round(size ** 0.5), []
    for node in range(size):
        first = (node // width - 1) * width
        parents = {first + dice.randrange(width) for _ in range(dice.choice((1, 2)))} if node >= width else ()
        tasks.append({"id": f"T-{node:05d}", "title": f"Check part {node}", "agent": "simulated",
                      "dependencies": [f"T-{parent:05d}" for parent in sorted(parents)]})
    return {"title": "Layered", "tasks": tasks}
"""
NEW = "history, changed = tell(layered(%d)), -1"
SHOW = (
    "begin = time.time(); graph = state_graph(history.state, collapsed=False); graph.view.show('graph'); print(begin)"
)
CHANGE = """
time.sleep(0.3)
idle = time.process_time()
time.sleep(0.05)
idle = time.process_time() - idle
changed += 1
task = history.state.by_index[changed]
history.tell(e.TaskStarted(task.id, 1, 1, "f"))
begin, cpu = time.time(), time.process_time()
graph.note(Changes(tasks={task.index}))
time.sleep(0.05)
print(begin, (time.process_time() - cpu - idle) * 1000)
"""
#: Sets `painted`, in seconds since the epoch, when what `%s` asks for has been painted.
WATCH = """() => {
    window.painted = 0;
    const found = () => %s;
    const paint = () => { const channel = new MessageChannel();
        channel.port1.onmessage = () => { window.painted = (performance.timeOrigin + performance.now()) / 1000; };
        channel.port2.postMessage(0); };
    const watcher = new MutationObserver(() => {
        if (found()) { watcher.disconnect(); requestAnimationFrame(paint); } });
    watcher.observe(document.body, {subtree: true, childList: true, attributeFilter: ["data-status"]});
}"""


def measured(notebook: Notebook, cell: int, condition: str) -> tuple[float, list[float]]:
    """Milliseconds from the first number that the cell prints to the paint; and what else it prints."""
    notebook.page.evaluate(WATCH % condition)
    notebook.run(cell)
    notebook.page.wait_for_function("window.painted", timeout=60_000)
    text = notebook.text(cell).split("\n")
    begin, *more = next(list(map(float, line.split())) for line in text if line[:1].isdigit() and "." in line)
    return (notebook.page.evaluate("window.painted") - begin) * 1000, more


def measure(notebook: Notebook, size: int, reps: int) -> dict[str, Any]:
    """One size. The cells stay few: what is far below those in sight JupyterLab does not draw."""
    for cell in range(2):
        notebook.run(cell)
    paints, changes, cpu = [], [], []
    for _ in range(reps):
        notebook.page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        notebook.page.wait_for_function("() => !document.querySelector('.o-node')")
        paints.append(measured(notebook, 2, f"document.querySelectorAll('.o-node').length === {size}")[0])
    for index in range(min(2 * reps, round(size**0.5))):  # those that depend on nothing
        task = f"T-{index:05d}"
        took, (used,) = measured(
            notebook, 3, f"document.querySelector('[data-task=\"{task}\"]').dataset.status === 'running'"
        )
        changes.append(took)
        cpu.append(used)
    row = {"paint_ms": paints, "change_ms": changes, "change_cpu_ms": cpu}
    return {"size": size, **{name: round(statistics.median(values), 2) for name, values in row.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000, 10_000])
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        started_lab(Path(directory)) as lab,
        started_browser() as browser,
    ):
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        for size in options.sizes:
            notebook = new_notebook(lab, page, [BEGIN, NEW % size, SHOW, CHANGE], f"paint-{size}.ipynb")
            print(json.dumps(measure(notebook, size, options.reps)), flush=True)


if __name__ == "__main__":
    main()
