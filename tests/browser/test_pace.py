"""Much happens at once: pages are told as often as is good for them, and end with the truth (row F9)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

Opening = Callable[..., "Notebook"]

#: By the kernel's clock: what arrives while a page is busy is seen all at once.
COUNT_MESSAGES = """() => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  window.messages = [];
  kernel.iopubMessage.connect((_, message) => {
    if (message.header.msg_type.startsWith('comm')) {
      const {comm_id, data} = message.content, carried = Object.keys(data?.content?.widgets ?? {});
      window.messages.push([Date.parse(message.header.date), comm_id, message.header.msg_type, carried]);
    }
  });
}"""
BURST = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Burst")
start = plan.human("Go?", id="start")

@plan.task
def tick(n: int) -> int:
    return n

for n in range(4000):
    start >> tick(n)
run = orchestrate(plan, jobs=50)
"""


#: Phases that all go on at the same time: each has a bar of its own.
PHASES = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Phases")
for part in range(12):
    plan.phase(f"part-{part}")
start = plan.human("Go?", id="start")
for number in range(1000):
    start >> plan.simulated(title=f"Task {number}", duration=0.3, phase=f"part-{number % 12}")
run = orchestrate(plan, jobs=50)
"""


def busiest(moments: list[float]) -> int:
    """The most messages in a second; `moments` are milliseconds."""
    return max(sum(start <= moment < start + 1000 for moment in moments) for start in moments)


def test_row_F9_8000_changes_are_told_in_few_messages_and_end_right(notebook: Opening) -> None:
    page = notebook([BURST, "run.approve('start')", "run.wait(); print(run.status)"])
    page.run(0)
    page.output(0).locator("tr[data-task]").first.wait_for()
    page.page.evaluate(COUNT_MESSAGES)
    page.run(1)
    page.output(0).get_by_text("4,001 of 4,001").first.wait_for()
    page.run(2)
    assert page.text(2).strip() == "completed"
    messages = [m for m in page.page.evaluate("() => window.messages") if m[2] == "comm_msg"]
    assert busiest([moment for moment, *_ in messages]) <= 20
    for widget in {widget for _, widget, *_ in messages}:
        assert busiest([moment for moment, of, *_ in messages if of == widget]) <= 10
    assert "rate exceeded" not in page.text(0) + page.text(1) + page.text(2)


def test_twelve_phases_that_change_at_once_are_told_in_few_messages(notebook: Opening) -> None:
    page = notebook([PHASES, "run.approve('start')", "run.wait(); print(run.status)"])
    page.run(0)
    page.output(0).locator("tr[data-task]").first.wait_for()
    page.page.wait_for_timeout(1500)  # what the page is told as it begins is not meant
    page.page.evaluate(COUNT_MESSAGES)
    page.run(1)
    page.output(0).get_by_text("1,001 of 1,001").first.wait_for()
    page.run(2)
    assert page.text(2).strip() == "completed"
    messages = [m for m in page.page.evaluate("() => window.messages") if m[2] == "comm_msg"]
    assert len({widget for *_, carried in messages for widget in carried}) > 12
    assert busiest([moment for moment, *_ in messages]) <= 20


def test_20_clicks_during_run_all_are_handled_and_all_cells_run(notebook: Opening) -> None:
    code = """
from orchestrator_nb import PlanBuilder, orchestrate
import time
plan = PlanBuilder("Long")
plan.simulated(title="Slow", duration=120)
run = orchestrate(plan)
"""
    slow = "time.sleep(3); print('slept')"
    page = notebook([code, slow, "print('short')", slow, "print('short')", slow])
    page.run(0)
    output = page.output(0)
    output.get_by_role("button", name="Pause").wait_for()
    page.page.evaluate(
        """() => { const n = jupyterapp.shell.currentWidget.content; n.activeCellIndex = 1; n.deselectAll();
             jupyterapp.commands.execute('notebook:run-all-below'); }"""
    )
    for _ in range(10):
        for name, then in (("Pause", "Resume"), ("Resume", "Pause")):
            output.locator(f"button:not([disabled]):has-text('{name}')").first.click()
            output.locator(f"button:not([disabled]):has-text('{then}')").first.wait_for()
    for cell in range(1, 6):
        page.wait(cell)
        assert page.text(cell).strip() in ("slept", "short")
    history = page.add(
        "import json; from collections import Counter; from orchestrator_nb import Session\n"
        "names = Counter(type(r.event).__name__ for r in Session.open(run.path).records())\n"
        "print(json.dumps(names)); run.halt(); _ = run.wait()"
    )
    page.run(history)
    names = json.loads(page.text(history).strip().splitlines()[-1])
    assert names["RunPaused"] == names["RunUnpaused"] == 10
