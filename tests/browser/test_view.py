"""The live view in a real JupyterLab: what a user sees and does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

Opening = Callable[..., "Notebook"]

WIDGET = "application/vnd.jupyter.widget-view+json"
PLAN = """
from orchestrator_nb import PlanBuilder, Session, orchestrate
plan = PlanBuilder("Trip")
pack = plan.simulated(title="Pack", duration={pack}, steps=["socks", "shirt"], result="# Packed\\n\\n2 things")
ask = plan.human("Shall we **go**?", id="ask", schema={{"type": "string", "enum": ["by train", "on foot"]}})
go = plan.simulated(title="Go", duration=0.2, result="There.")
pack >> ask >> go
"""


def start(pack: float) -> str:
    return PLAN.format(pack=pack) + "run = orchestrate(plan)"


def status(notebook: Notebook, cell: int, task: str) -> str | None:
    """What the graph in a cell's output says of a task."""
    node = notebook.output(cell).locator(f"rect[data-task='{task}']").first
    return node.get_attribute("data-status") if node.count() else None


def answer(notebook: Notebook, cell: int, choice: str) -> None:
    """Answer the question in the cell's output."""
    output = notebook.output(cell)
    output.get_by_role("button", name="Approve").wait_for()
    output.locator("select:visible").filter(has_text=choice).first.select_option(choice)
    output.get_by_role("button", name="Approve").click()


def test_a_run_is_shown_steered_settled_and_read_without_a_kernel(notebook: Opening) -> None:
    page = notebook([start(4), "print(run.wait().status)"])
    page.run(0)
    output = page.output(0)
    output.locator("tr[data-task='Pack']").wait_for()
    page.until(lambda: status(page, 0, "Pack") == "running", "the graph shows the running task")
    output.locator("rect[data-task='Pack']").first.click()
    output.locator(".o-tab[data-tab='result']").click()
    output.get_by_text("2 things").wait_for()
    answer(page, 0, "on foot")
    page.run(1)
    assert page.text(1).strip() == "completed"
    output.get_by_text("final_output.md").first.wait_for()
    assert not output.locator(".orchestrator").count()
    saved = page.save()
    assert WIDGET not in json.dumps(saved)
    kinds = [sorted(shown["data"]) for shown in saved["cells"][0]["outputs"]]
    assert kinds == [["text/html", "text/plain"], ["image/png", "text/plain"]]
    assert len(json.dumps(saved)) < 150_000
    page.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.page.reload(wait_until="domcontentloaded")
    page.page.get_by_text("final_output.md").first.wait_for()
    page.page.get_by_text("There.").first.wait_for()


def test_approving_ends_a_cell_that_waits_for_the_run(notebook: Opening) -> None:
    page = notebook([start(0), "run.wait(); print(run.results['ask'])"])
    page.run(0)
    page.run(1, wait=False)
    answer(page, 0, "by train")
    page.wait(1)
    assert page.text(1).strip() == "by train"


def test_parts_stand_alone_several_times_and_keep_in_step(notebook: Opening) -> None:
    page = notebook([start(4), "run.view.graph", "run.view.plan", "run.view.graph", "run.view.log"])
    page.run(0)
    for cell in (1, 2, 3, 4):
        page.run(cell)
    page.output(4).get_by_text("Pack").first.wait_for()
    page.output(2).locator("tr[data-task='Pack']").click()
    for cell in (0, 1, 3):
        selected = page.output(cell).locator("rect[data-task='Pack'][aria-selected='true']")
        page.until(lambda found=selected: found.count() == 1, f"the node is selected in cell {cell}")
    for cell in (0, 1, 3):
        page.until(lambda cell=cell: status(page, cell, "ask") == "awaiting_approval", f"cell {cell} shows it waiting")


def test_row_F11_a_reloaded_page_and_a_second_tab_show_the_same_and_steer(notebook: Opening) -> None:
    page = notebook([start(3), "1"])
    page.run(0)
    page.output(0).locator("rect[data-task='Pack']").first.wait_for()
    page.save()
    page.reload()
    page.until(lambda: status(page, 0, "ask") == "awaiting_approval", "the reloaded page shows the question")
    other = type(page)(page.lab, page.page.context.new_page(), page.name)
    other.open()
    other.until(lambda: status(other, 0, "Pack") == "completed", "the second tab shows the run")
    answer(other, 0, "on foot")
    for tab in (page, other):  # neither knows its output by the display id
        tab.output(0).get_by_text("final_output.md").first.wait_for()
        tab.page.wait_for_function("() => !document.querySelector('.jp-Notebook .orchestrator')")
    other.page.close()


def test_bars_stand_in_every_page_as_in_the_kernel(notebook: Opening) -> None:
    code = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Bars")
start = plan.human("Go?", id="start")
for part in range(3):
    plan.phase(f"part-{part}")
for number in range(30):
    start >> plan.simulated(title=f"Task {number}", duration=0.1, phase=f"part-{number % 3}")
plan.human("Well?", id="last")
run = orchestrate(plan, jobs=1)
"""
    go = "run.approve('start')"
    kept = """
bars = [run.view.progress.bar, *run.view.progress.phases.bars]
print("; ".join(f"{100 * bar.value / bar.max:.0f} {bar.bar_style}" for bar in bars))
"""
    page = notebook([code, go, kept])
    page.run(0)
    page.output(0).locator("rect[data-task='last']").first.wait_for()
    page.save()
    other = type(page)(page.lab, page.page.context.new_page(), page.name)
    other.open()
    other.output(0).locator("rect[data-task='last']").first.wait_for()
    page.run(1)
    for tab in (page, other):
        tab.output(0).get_by_text("31 of 32 done").first.wait_for()
    page.run(2)
    for tab in (page, other):
        tab.until(lambda tab=tab: shown_bars(tab) == page.text(2).strip(), "the bars are as in the kernel")
    other.page.close()


def shown_bars(page: Notebook) -> str:
    """How far the bars in the first cell's output are, and their styles."""
    told = """bars => bars.map(({style, className}) =>
      Math.round(parseFloat(style.width)) + " " + (/progress-bar-(\\w+)/.exec(className)?.[1] ?? "")).join("; ")"""
    return str(page.output(0).locator(".progress-bar").evaluate_all(told))


def test_a_plan_shows_itself_before_any_run(notebook: Opening) -> None:
    page = notebook([PLAN.format(pack=1) + "plan", "plan.build().plot()"])
    page.run(0)
    output = page.output(0)
    output.locator("rect[data-task='Go']").first.wait_for()
    output.get_by_text("Critical path").first.wait_for()
    page.run(1)
    page.output(1).locator("img").wait_for()


def test_the_keyboard_walks_through_the_graph(notebook: Opening) -> None:
    page = notebook([PLAN.format(pack=0) + "plan"])
    page.run(0)
    graph = page.output(0).locator("[role='listbox']").first
    graph.focus()
    page.page.keyboard.press("ArrowRight")
    first = graph.get_attribute("aria-activedescendant")
    page.page.keyboard.press("ArrowRight")
    page.until(lambda: graph.get_attribute("aria-activedescendant") != first, "the arrow moves on")


def test_a_slider_replays_a_finished_run(notebook: Opening) -> None:
    code = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Two")
plan.simulated(title="One", result=1) >> plan.simulated(title="Other", result=2)
run = orchestrate(plan, show=False).wait()
"""
    page = notebook([code, "run.view.replay()"])
    page.run(0)
    page.run(1)
    page.until(lambda: status(page, 1, "Other") == "completed", "it begins with the end")
    handle = page.output(1).locator(".noUi-handle")
    handle.focus()
    handle.press("Home")
    page.until(lambda: status(page, 1, "One") in ("pending", "waiting", "", None), "the beginning is shown")


def test_magics_start_show_and_stop_a_run(notebook: Opening) -> None:
    yaml = """%%plan trip
title: Trip
tasks:
  - {id: pack, agent: simulated, parameters: {duration: 30}}
  - {id: go, agent: simulated, dependencies: [pack]}
"""
    page = notebook(["%load_ext orchestrator_nb", yaml, "run = %orchestrate trip", "%halt", "run.wait()\n%status"])
    for cell in range(3):
        page.run(cell)
    page.output(2).locator("rect[data-task='pack']").first.wait_for()
    page.run(3)
    page.run(4)
    assert "halted" in page.text(4).lower()
