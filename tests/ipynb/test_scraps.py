"""`record` and `scraps_of`: values that notebooks keep, in scrapbook's format."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from orchestrator_nb import record
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.ipynb.scraps import MAX_SCRAP, SCRAP, scraps_of


def executed(*sources: str) -> dict[str, Any]:
    """A notebook, run in a real kernel, as its file says it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    root = str(Path(__file__).parents[2])
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {root!r})"))
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return dict(json.loads(nbformat.writes(notebook)))


def test_values_recorded_in_a_kernel_are_found_and_the_last_one_wins() -> None:
    notebook = executed(
        "from orchestrator_nb import record\nrecord('a', 1)\nrecord('text', 'x <b> $y$')",
        "record('nested', {'list': [1, 2.5, None, True]})\nrecord('a', 3)",
    )
    assert scraps_of(notebook) == {"a": 3, "text": "x <b> $y$", "nested": {"list": [1, 2.5, None, True]}}
    assert list(scraps_of(notebook)) == ["a", "text", "nested"]
    outputs = [output for cell in notebook["cells"] for output in cell["outputs"]]
    assert [output["output_type"] for output in outputs] == ["display_data"] * 4
    assert outputs[0]["data"][SCRAP] == {"name": "a", "data": 1, "encoder": "json", "version": 1}
    assert outputs[1]["data"][SCRAP]["encoder"] == "text"
    assert outputs[0]["metadata"]["scrapbook"] == {"name": "a", "data": True, "display": False}


def test_outside_of_jupyter_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    record("score", 0.5)
    record("long", "x" * 5000)
    out = capsys.readouterr().out
    assert out.startswith("score = 0.5\nlong = ")
    assert len(out) < 1200


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.float64(0.5), "0.5"),
        (np.int32(3), "3"),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        ((1, 2), "[1, 2]"),
        (dt.date(2024, 1, 2), '"2024-01-02"'),
        ({"at": dt.datetime(2024, 1, 2, 3), "n": np.bool_(True)}, '{"at": "2024-01-02T03:00:00", "n": true}'),
    ],
)
def test_what_is_json_under_another_name_is_taken(
    value: object, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record("v", value)
    assert capsys.readouterr().out == f"v = {shown}\n"


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("my value", 1, "a name is letters, digits and '_'"),
        ("1st", 1, "a name is letters"),
        (3, 1, "a name is letters"),
        ("v", object(), "the value is of type object"),
        ("v", {"a": {1}}, "['a'] is of type set: record sorted(...)"),
        ("v", float("nan"), "is nan, which JSON cannot hold: record None"),
        ("v", np.array([np.inf]), "inf"),
        ("v", {1: 2}, "has the key 1"),
        ("v", "x" * MAX_SCRAP, "write it to a file, and record the file's path"),
        ("v", CYCLE, "holds itself"),
    ],
)
def test_f6_what_cannot_be_recorded_says_what_to_do(name: Any, value: Any, words: str) -> None:
    with pytest.raises(OrchestratorError) as caught:
        record(name, value)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"record({name!r}")


def scrap(data: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": "", "outputs": [{"output_type": "display_data", "data": {SCRAP: data}}]}


def test_what_scrapbook_glued_is_read_and_what_is_no_scrap_is_passed_over() -> None:
    cells = [
        scrap({"name": "glued", "data": [1, 2], "encoder": "json", "version": 1}),
        scrap({"name": 5, "data": 1}),
        scrap("nonsense"),
        scrap({"name": "nothing"}),
        scrap({"name": "nan", "data": {"x": float("nan")}}),
        {"cell_type": "code", "source": "", "outputs": [None, {"data": None}, {}]},
        {"cell_type": "code", "source": "", "outputs": None},
        {"cell_type": "markdown", "source": ""},
    ]
    assert scraps_of({"cells": cells}) == {"glued": [1, 2], "nan": {"x": None}}


def test_a_file_is_read_and_one_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [scrap({"name": "a", "data": 1})]})
    )
    assert scraps_of(path) == {"a": 1}
    path.write_text("{}")
    with pytest.raises(OrchestratorError, match=r"n\.ipynb is not a notebook"):
        scraps_of(path)
