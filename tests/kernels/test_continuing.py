"""Executions of a notebook that share a kernel: what was executed before a failed cell, and what is taken over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import papermill
import pytest
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from orchestrator_nb.errors import AgentError
from orchestrator_nb.kernels.continuing import KeptKernel, WentOn
from orchestrator_nb.kernels.engine import OrchestratorEngine
from tests.kernels.books import notebook, text


class Book:
    """A notebook, executed again and again in one kernel."""

    def __init__(self, directory: Path) -> None:
        self.kept = KeptKernel()
        self.went_on: WentOn | None = None
        self._path = directory / "book.ipynb"
        book = self

        class Engine(OrchestratorEngine):
            """The engine, in the kernel that is kept."""

            client = self.kept.execution

            @classmethod
            def execute_notebook(cls, nb: Any, *given: Any, **options: Any) -> Any:
                """Compare before anything is written."""
                book.went_on = book.kept.compare(nb)
                return super().execute_notebook(nb, *given, **options)

        papermill_engines.register("kept", Engine)

    def run(self, *cells: Any, **parameters: Any) -> list[Any]:
        """Execute these cells; the executed ones."""
        path = str(notebook(self._path, *cells))
        options = {"engine_name": "kept", "kernel_mode": "cold", "progress_bar": False}
        done: list[Any] = papermill.execute_notebook(path, path + ".out.ipynb", parameters, **options).cells
        return done

    def fail(self, *cells: Any, **parameters: Any) -> None:
        """Execute these cells, of which one fails."""
        with pytest.raises(PapermillExecutionError):
            self.run(*cells, **parameters)
        assert self.kept.alive


@pytest.fixture
def book(tmp_path: Path) -> Any:
    made = Book(tmp_path)
    yield made
    made.kept.end()
    assert not made.kept.alive


FIRST = """
import ipywidgets
slider = ipywidgets.IntSlider(3)
shown = display("before", display_id=True)
display(slider)
"""


def test_what_was_shown_before_is_taken_over_and_can_still_be_updated(book: Book) -> None:
    book.fail("'gone'", FIRST, "boom", "never")
    cells = book.run("'gone'", FIRST, "shown.update('after'); slider.value = 5", "'end'")
    assert book.went_on is not None
    assert book.went_on.cell == 2
    assert text(cells[0]) == "'gone'"
    assert "'after'" in text(cells[1])
    assert [cell.execution_count for cell in cells] == [1, 2, 4, 5]
    state = book.kept._last.nb.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]  # type: ignore[union-attr]
    assert [model["state"]["value"] for model in state.values() if model["model_name"] == "IntSliderModel"] == [5]


def test_it_goes_on_at_a_cell_that_failed_although_others_came_after_it(book: Book) -> None:
    book.fail("n = 1", ("n += 1; boom", "raises-exception"), "n += 10")  # papermill executes all, and then complains
    cells = book.run("n = 1", "n += 1", "n")
    assert text(cells[-1]) == "13"


def test_a_cell_that_is_gone_may_be_the_last(book: Book) -> None:
    book.fail("n = 1", "boom")
    assert text(book.run("n = 1")[0]) == ""
    assert book.went_on == WentOn(book.went_on.executed, 1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("cells", "parameters", "words"),
    [
        (("m = 2", "boom"), {"a": 1}, r"cell 3 was executed as 'n = 1' … and is not there as it was"),
        ((), {"a": 1}, r"cell 3 was executed as 'n = 1' …"),
        (("n = 1", "fine = 1"), {"a": 2}, "the parameters are not those that the kept kernel was started with"),
    ],
)
def test_the_first_cell_that_differs_is_named(
    book: Book, cells: tuple[str, ...], parameters: dict[str, Any], words: str
) -> None:
    given = ("a = 0", "parameters")
    book.fail(given, "n = 1", "boom", a=1)
    with pytest.raises(AgentError, match=words):
        book.run(given, *cells, **parameters)
    assert text(book.run(given, "n = 1", "n", a=1)[-1]) == "1"


def test_who_waits_is_told_what_to_do_or_that_the_kernel_has_died(book: Book, tmp_path: Path) -> None:
    book.fail("import os, threading, time", "boom")
    told = tmp_path / "again"
    told.write_text("here")
    assert book.kept.wait(told) == "here"
    assert not told.exists()
    book.run("import os, threading, time", "threading.Timer(0.5, os._exit, (1,)).start()")
    began = time.monotonic()
    assert book.kept.wait(told) is None
    assert time.monotonic() < began + 30
