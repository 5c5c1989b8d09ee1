"""The form of a notebook's parameters, in JupyterLab: filled in, refused, mended, run."""

from __future__ import annotations

from typing import Any

from tests.ipynb.notebooks import code, save

CELL = """
from datetime import date
from typing import Literal, Annotated
from pydantic import Field
day: date = date(2025, 5, 1)                            # the day to report
model: Literal["linear", "tree"] = "linear"             # which model
n: Annotated[int, Field(ge=1, le=9)] = 3                # how many
fast = True
"""


def test_it_is_filled_in_and_run(lab: Any, notebook: Any) -> None:
    save(lab.root / "report.ipynb", code(CELL, "parameters"), code("f'{day:%d.%m.%Y} {model} {n} {fast}'", "result"))
    opened = notebook(["from orchestrator_nb import parameter_form\nform = parameter_form('report.ipynb')\nform"])
    opened.run(0)
    page = opened.page
    run = page.locator(".jp-OutputArea button.jupyter-button", has_text="Run")
    number = page.get_by_label("n", exact=True)
    number.fill("12")
    opened.until(lambda: "It must be a whole number >= 1 and <= 9, not '12'" in opened.text(0), "the fault is told")
    run.click()
    opened.until(lambda: "parameter 'n' must be a whole number >= 1 and <= 9" in opened.text(0), "it is refused")
    number.fill("7")
    page.get_by_label("model", exact=True).select_option("tree")
    page.get_by_label("day", exact=True).fill("2025-12-31")
    run.click()
    opened.until(lambda: "Started as" in opened.text(0), "it is started")
    checked = opened.add("form.run.wait(60); print(form.run['report'].result)")
    opened.run(checked)
    assert opened.text(checked).strip() == "31.12.2025 tree 7 True"
    opened.until(lambda: "1 of 1 done" in opened.text(0), "the run is shown below the form")
