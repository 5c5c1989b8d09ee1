"""What live views cost, in a real JupyterLab: `python -m tests.benchmarks.views [--only PART ...] [--reps N] ...`.

A JSON line for each figure; medians. Every run is a real one: its events are written, synced, published, sent, painted.

`change`  From a synced event of a run to its paint, and the CPU time of the kernel for it, beyond that of the same run
          without a view; with the graph alone, and with the whole view.
`cpu`     CPU time that the whole view adds to the kernel: at its opening, while tasks run (as a share of a core), and
          for what stays of it, against the same run without a view; the first time (imports included) and later.
`memory`  What a run leaves in the kernel (resident) and in the page (collected heap), once the output is cleared and
          `run` is another one: the slope over the runs after the first three, which fill caches.
`saved`   The size of a notebook that shows a finished run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.browser.lab import Lab, Notebook, new_notebook, started_browser, started_lab

BEGIN = """
import gc, json, resource, sys, threading, time
from collections import Counter
from orchestrator_nb import PlanBuilder, orchestrate

def layered(size, width, seconds):
    plan = PlanBuilder("Measured")
    for part in range(5):
        plan.phase(f"part-{part}")
    tasks = [plan.human("Go?", id="start")]
    for number in range(size):
        before = tasks[max(0, len(tasks) - width)]
        tasks.append(plan.simulated(title=f"Check part {number}", duration=seconds, phase=f"part-{number * 5 // size}"))
        before >> tasks[-1]
    return plan

def asked(number):
    with run.state() as state:
        return len(state.open_checkpoints) >= number

def messages():
    comm = sys.modules.get("orchestrator_nb.jupyter.comm")
    return comm.LiveComm.sent if comm else 0

def until(condition):
    while not condition():
        time.sleep(0.02)
"""

# -- one change --------------------------------------------------------------------------------------------------------

#: Tasks that end when they are told to; the last one never is, so that the run goes on.
HELD = """
plan = PlanBuilder("Changes")
gates = [threading.Event() for _ in range(%d)]

@plan.task
def held(number: int) -> None:
    gates[number].wait()

for number in range(len(gates)):
    held(number)
synced = []
run = orchestrate(plan, show=False, jobs=len(gates))
run.subscribe(lambda records: synced.append((time.time(), {getattr(r.event, "task", "") for r in records})))
def running():
    with run.state() as state:
        return state.running == len(gates)
until(running)
%s
"""
#: Ends task after task, and says when each end was synced and what all cost.
END = """
time.sleep(1.5)
def spent(work):
    begin = time.process_time()
    for number in range(%d):
        work(number)
        time.sleep(0.5)
    return time.process_time() - begin
idle = spent(lambda number: None)
synced.clear()
busy = spent(lambda number: gates[number].set())
moments = {task: at for at, tasks in synced for task in tasks}
print(json.dumps({"cpu": (busy - idle) * 1000, "synced": moments}))
"""
#: Notes when the node of each task has been painted as completed.
WATCH = """() => {
  window.painted = {};
  const channel = new MessageChannel();
  channel.port1.onmessage = (message) => {
    for (const task of message.data) window.painted[task] = (performance.timeOrigin + performance.now()) / 1000;
  };
  new MutationObserver((changes) => {
    const tasks = changes.map(({target}) => target)
      .filter((node) => node.dataset.task && node.dataset.status === 'completed').map((node) => node.dataset.task);
    if (tasks.length) requestAnimationFrame(() => channel.port2.postMessage(tasks));
  }).observe(document.body, {subtree: true, attributeFilter: ["data-status"]});
}"""


def change(open_notebook: Callable[[], Notebook], options: argparse.Namespace) -> list[dict[str, Any]]:
    """One change of a real run."""
    number = options.changes
    cpu, took = {}, {}
    for what, show in (("none", ""), ("graph", "run.view.graph.view.show('graph')"), ("whole view", "run.show()")):
        notebook = open_notebook()
        cell = notebook.add(HELD % (number + 1, show))
        notebook.run(cell)
        if show:
            notebook.output(cell).locator(f"[data-task='held-{number}']").first.wait_for()
            notebook.page.evaluate(WATCH)
        told = answer(notebook, END % number)
        cpu[what] = told["cpu"] / number
        painted = notebook.page.evaluate("window.painted") if show else {}
        took[what] = [(painted[task] - at) * 1000 for task, at in told["synced"].items() if task in painted]
        close(notebook)
    return [
        {
            "figure": "one change",
            "shown": what,
            "changes": number,
            "painted": len(took[what]),
            "synced_to_paint_ms": round(statistics.median(took[what]), 1),
            "p95_ms": round(sorted(took[what])[len(took[what]) * 95 // 100], 1),
            "kernel_cpu_ms": round(cpu[what] - cpu["none"], 2),
        }
        for what in ("graph", "whole view")
    ]


# -- CPU of a kernel ---------------------------------------------------------------------------------------------------

OPENING = """
run = orchestrate(layered(%d, 50, 1.0), show=False, jobs=50)
until(lambda: asked(1))
ended = []
run.on_done(lambda: ended.append((time.time(), time.process_time())))
time.sleep(1)
begin = time.process_time()
%s
time.sleep(3)
print(json.dumps({"opening": time.process_time() - begin}))
"""
RUNNING = """
begin, cpu, sent = time.time(), time.process_time(), messages()
run.approve("start")
run.wait()
time.sleep(5)
until(lambda: ended)
(end, cpu_end), = ended
print(json.dumps({"seconds": end - begin, "running": cpu_end - cpu, "final": time.process_time() - cpu_end,
                  "messages": (messages() - sent) / (end - begin)}))
"""


def cpu(open_notebook: Callable[[], Notebook], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The same run in kernels with and without a view, twice in each."""
    costs: dict[tuple[bool, bool], list[dict[str, float]]] = {}
    for _ in range(options.reps):
        for show in (False, True):
            notebook = open_notebook()
            for first in (True, False):
                told = answer(notebook, OPENING % (options.size, "run.show()" if show else ""), seen=True)
                costs.setdefault((show, first), []).append(told | answer(notebook, RUNNING))
            close(notebook)
    lines = []
    for first in (True, False):
        bare, seen = (
            {name: median(costs[show, first], name) for name in costs[show, first][0]} for show in (False, True)
        )
        lines.append(
            {
                "figure": "CPU of all views",
                "tasks": options.size,
                "imports": "included" if first else "done before",
                "seconds": round(seen["seconds"], 1),
                "opening_s": round(seen["opening"] - bare["opening"], 3),
                "running_percent": round(100 * (seen["running"] - bare["running"]) / seen["seconds"], 2),
                "messages_a_second": round(seen["messages"], 1),
                "final_s": round(seen["final"] - bare["final"], 3),
                "without_view": {name: round(value, 3) for name, value in bare.items() if name != "messages"},
            }
        )
    return lines


# -- memory ------------------------------------------------------------------------------------------------------------

RUN = """
run = orchestrate(layered(%d, 50, 0.0), jobs=50, show=%s)
until(lambda: asked(1))
"""
CLEAR = "() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
#: What is alive of a run in the kernel, and its resident memory.
LEFT = """
for _ in range(3):
    gc.collect()
kinds = ("View", "Run", "Engine", "State", "GraphPane", "PlanTable", "OutputPane", "LogPane", "Controls",
         "ProgressPanel", "Publisher", "TaskState", "Layout", "LiveComm")
alive = Counter(type(found).__name__ for found in gc.get_objects())
from ipywidgets.widgets.widget import _instances
with open("/proc/self/statm") as file:
    resident = int(file.read().split()[1]) * resource.getpagesize()
print(json.dumps({"resident": resident, "alive": {kind: alive[kind] for kind in kinds} | {"widgets": len(_instances)},
                  "objects": sum(alive.values()), "threads": threading.active_count()}))
"""


def memory(open_notebook: Callable[[], Notebook], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs after each other: without a view, cleared at their end, and while they still go on."""
    return [_memory(open_notebook(), options, cleared) for cleared in ("no view", "at its end", "while it runs")]


def _memory(notebook: Notebook, options: argparse.Namespace, cleared: str) -> dict[str, Any]:
    debugger = notebook.page.context.new_cdp_session(notebook.page)
    show = cleared != "no view"
    codes = RUN % (options.size, show), "run.approve('start'); _ = run.wait()", LEFT
    run, go, left = map(notebook.add, codes)
    found = []
    for _ in range(options.runs):
        notebook.run(run)
        if show:
            notebook.output(run).locator("[data-task]").first.wait_for()
        if cleared == "while it runs":
            notebook.page.evaluate(CLEAR)
        notebook.run(go)
        if cleared == "at its end":
            notebook.output(run).locator("img").first.wait_for()
            notebook.page.evaluate(CLEAR)
        notebook.page.wait_for_timeout(1500)
        notebook.run(left)
        told = json.loads(notebook.text(left))
        notebook.page.evaluate(CLEAR)
        for _ in range(3):
            debugger.send("HeapProfiler.collectGarbage")
        told["page"] = debugger.send("Runtime.getHeapUsage")["usedSize"]
        found.append(told)
    close(notebook)
    begin = min(3, options.runs - 2)
    return {
        "figure": "memory a run",
        "tasks": options.size,
        "runs": options.runs,
        "cleared": cleared,
        "kernel_MiB": slope([told["resident"] for told in found[begin:]]),
        "page_MiB": slope([told["page"] for told in found[begin:]]),
        "objects": round(slope([told["objects"] for told in found[begin:]], 1)),
        "alive_at_last": found[-1]["alive"],
        "resident_MiB": [round(told["resident"] / 2**20, 1) for told in found],
        "heap_MiB": [round(told["page"] / 2**20, 1) for told in found],
        "threads": [found[0]["threads"], found[-1]["threads"]],
    }


def slope(values: Sequence[float], unit: float = 2**20) -> float:
    """How much more it is each time, by least squares."""
    return round(statistics.linear_regression(range(len(values)), values).slope / unit, 3)


# -- a saved notebook --------------------------------------------------------------------------------------------------


def saved(open_notebook: Callable[[], Notebook], options: argparse.Namespace) -> list[dict[str, Any]]:
    """A notebook with one finished run of 100 tasks."""
    notebook = open_notebook()
    cell = notebook.add("run = orchestrate(layered(100, 10, 0.05)); until(lambda: asked(1)); run.approve('start')")
    notebook.run(cell)
    notebook.output(cell).locator("img").first.wait_for()
    document = notebook.save()
    outputs = document["cells"][cell]["outputs"]
    line = {
        "figure": "saved notebook",
        "tasks": 100,
        "kB": round(notebook.path.stat().st_size / 1000, 1),
        "outputs_kB": [
            {kind: round(len(json.dumps(text)) / 1000, 1) for kind, text in o.get("data", {}).items()} for o in outputs
        ],
        "widgets_kB": round(len(json.dumps(document["metadata"].get("widgets", ""))) / 1000, 1),
    }
    close(notebook)
    return [line]


# -- what all share ----------------------------------------------------------------------------------------------------


def answer(notebook: Notebook, source: str, seen: bool = False) -> dict[str, Any]:
    """Run a cell; the JSON that it prints last. With `seen`, at the top of the page: what is not seen is not told."""
    if seen:
        notebook.page.evaluate(CLEAR)
    cell = notebook.add(source)
    notebook.page.evaluate("i => jupyterapp.shell.currentWidget.content.scrollToItem(i, 'start')", cell)
    notebook.run(cell)
    lines = [line for line in notebook.text(cell).splitlines() if line.startswith("{")]
    assert lines, notebook.text(cell)
    return dict(json.loads(lines[-1]))


def median(rows: Sequence[dict[str, float]], name: str) -> float:
    """Of one figure."""
    return statistics.median(row[name] for row in rows)


def close(notebook: Notebook) -> None:
    """Its kernel and its page."""
    notebook.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    notebook.page.context.close()


PARTS = {"change": change, "cpu": cpu, "memory": memory, "saved": saved}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line of JSON for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--size", type=int, default=1000, help="tasks of a run")
    parser.add_argument("--runs", type=int, default=10, help="runs after each other, for the memory")
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--reps", type=int, default=1, help="kernels of each kind, for the CPU")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        started_lab(Path(directory)) as lab,
        started_browser() as browser,
    ):
        for part in options.only:
            for line in PARTS[part](opener(lab, browser), options):
                print(json.dumps(line), flush=True)


def opener(lab: Lab, browser: Any) -> Callable[[], Notebook]:
    """Opens a new notebook, in a page and with a kernel of its own, in which `BEGIN` has run."""
    numbers = iter(range(1000))

    def open_notebook() -> Notebook:
        page = browser.new_context(viewport={"width": 1200, "height": 1000}).new_page()
        notebook = new_notebook(lab, page, [BEGIN], f"views-{next(numbers)}-{id(page)}.ipynb")
        notebook.run(0)
        return notebook

    return open_notebook


if __name__ == "__main__":
    main()
