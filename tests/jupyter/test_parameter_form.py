"""The form of a notebook's parameters: fields by type, what is wrong below them, and the button that runs it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

import orchestrator_nb
from orchestrator_nb.errors import NotebookError, ParameterError
from orchestrator_nb.jupyter.parameter_form import Day, ParameterForm, literally, parameter_form
from orchestrator_nb.jupyter.widgets import Choice, Line
from orchestrator_nb.storage.settings import Settings
from tests.ipynb.notebooks import code, save
from tests.live_kernels import started_kernel
from tests.runtime.waiting import until

CELL = """
from typing import Literal
day: date                                        # the day
model: Literal["linear", "tree"] = "linear"
n: int = 3
share: float | None = None
fast: bool = False
names: list[str] = ["a"]
text = "x"
level: Literal[1, 2] = pick()
"""


def form_of(tmp_path: Path, source: str = CELL) -> ParameterForm:
    path = save(tmp_path / "report.ipynb", code(source, "parameters"), code("[text, n]", "result"))
    settings = Settings(workspace=tmp_path / "sessions", projection_interval=0.05)
    return parameter_form(path, settings)


def test_each_parameter_has_a_field_of_its_type(tmp_path: Path) -> None:
    form = form_of(tmp_path)
    kinds = {name: type(field.input) for name, field in form.fields.items()}
    assert kinds == {"day": Day, "model": Choice, "n": Line, "share": Line, "fast": Choice, "names": Line,
                     "text": Line, "level": Choice}  # fmt: skip
    assert [label for label, _ in form.fields["model"].input.options] == ["linear", "tree"]
    assert [label for label, _ in form.fields["level"].input.options] == ["default: pick()", "1", "2"]
    assert form.fields["n"].input.value == "3"
    assert form.fields["names"].input.value == '["a"]'
    assert "the day; a date like 2025-12-31; needed" in form.fields["day"].note.value


def test_only_what_is_filled_in_is_a_value(tmp_path: Path) -> None:
    form = form_of(tmp_path)
    with pytest.raises(ParameterError, match="parameter 'day' has no value"):
        _ = form.values
    form.fields["day"].input.value = datetime.date(2025, 1, 2)
    assert form.values == {"day": "2025-01-02"}
    fill: dict[str, Any] = {"model": 1, "n": "5", "share": "0.5", "fast": 0, "names": '["b"]', "text": "", "level": 1}
    for name, value in fill.items():
        form.fields[name].input.value = value
    assert form.values == {
        "day": "2025-01-02", "model": "tree", "n": 5, "share": 0.5, "fast": True, "names": ["b"], "text": "", "level": 2
    }  # fmt: skip


def test_what_is_wrong_is_said_below_its_field(tmp_path: Path) -> None:
    form = form_of(tmp_path)
    field = form.fields["n"]
    field.input.value = "many"
    until(
        lambda: (
            "It must be a whole number, not 'many'"
            in str(field.note.value).replace("&#x27;", "'").replace("&#39;", "'")
        )
    )
    field.input.value = "7"
    until(lambda: "must" not in str(field.note.value))
    assert form.fields["day"].fault() == "This is needed."


def test_run_says_what_is_missing(tmp_path: Path) -> None:
    form = form_of(tmp_path)
    form.button.click()
    until(lambda: "has no value" in str(form.told.value))
    until(lambda: not form.button.disabled)
    assert form.run is None
    assert "This is needed" in form.fields["day"].note.value


def test_run_runs_the_notebook(tmp_path: Path) -> None:
    form = form_of(tmp_path, "n = 3\ntext = 'x'")
    form.fields["n"].input.value = "4"
    form.fields["text"].input.value = "costs $5, ${params.x} $$"
    form.button.click()
    until(lambda: "Started as" in str(form.told.value))
    assert form.run is not None
    form.run.wait(60)
    assert form.run.status == "completed"
    assert form.run["report"].result == ["costs $5, ${params.x} $$", 4]


def test_a_notebook_without_parameters_can_be_run_too(tmp_path: Path) -> None:
    form = parameter_form(save(tmp_path / "bare.ipynb", code("1")))
    assert form.fields == {}
    assert "no cell is tagged" in form.children[0].value
    with pytest.raises(NotebookError, match="does not exist"):
        parameter_form(tmp_path / "none.ipynb")
    assert orchestrator_nb.parameter_form is parameter_form


def test_without_a_kernel_it_is_a_table(tmp_path: Path) -> None:
    bundle = form_of(tmp_path, "x: int = 1  # <b>help</b>")._repr_mimebundle_()
    assert bundle["text/plain"].endswith("report.ipynb:\nx: int = 1  # <b>help</b>")
    assert "&lt;b&gt;help" in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]


def test_dollars_mean_themselves() -> None:
    assert literally({"a": ["$x", 1, None]}) == {"a": ["$$x", 1, None]}


def test_in_a_kernel_it_is_shown_live_and_headless_as_a_table(tmp_path: Path) -> None:
    path = save(tmp_path / "report.ipynb", code(CELL, "parameters"))
    cell = f"from orchestrator_nb import parameter_form\nform = parameter_form({str(path)!r})\nform"
    with started_kernel(tmp_path) as kernel:
        live = kernel.run(cell)
        still = kernel.run("form", allow_stdin=False)
    widget = "application/vnd.jupyter.widget-view+json"
    assert live.error == ""
    assert [sorted(bundle) for bundle in live.bundles] == [[widget, "text/html", "text/plain"]]
    assert [sorted(bundle) for bundle in still.bundles] == [["text/html", "text/plain"]]
    assert "day: date = required  # the day" in json.dumps(still.bundles[0]["text/plain"])
