"""`orchestrate params`: what values a notebook takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.terminal import Terminal
from tests.ipynb.notebooks import code, save

CELL = """
from typing import Literal
day: date                                        # the day to report
model: Literal["linear", "tree"] = "linear"
size: int = Field(10, gt=0, description="how many")
names = ["a"] * 3
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return save(tmp_path / "report.ipynb", code(CELL, "parameters"))


def test_the_parameters_are_listed(call: Call, notebook: Path) -> None:
    told = call("params", notebook)
    assert told.code == 0
    assert told.out.splitlines() == [
        "NAME   TYPE     DEFAULT    CHOICES       HELP",
        "day    date     required   -             the day to report",
        "model  str      'linear'   linear, tree  -",
        "size   int > 0  10         -             how many",
        "names  any      ['a'] * 3  -             -",
    ]


def test_as_json(call: Call, notebook: Path) -> None:
    facts = json.loads(call("params", notebook, "--json").out)
    assert (facts["notebook"], facts["complete"], facts["tagged"]) == (str(notebook), True, True)
    day, model, size, names = facts["parameters"]
    assert (day["name"], day["type"], day["required"], day["help"]) == ("day", "date", True, "the day to report")
    assert (model["choices"], model["default"]) == (["linear", "tree"], "linear")
    assert (size["limits"], size["default"], size["annotation"]) == ({"gt": 0}, 10, "int")
    assert (names["default"], names["source"]) == (None, "['a'] * 3")


@pytest.mark.parametrize(
    ("source", "tag", "language", "words"),
    [
        ("n = 1", "other", None, "has no parameters: put the default values into a cell of their own and tag it"),
        ("n = 1", "parameters", "R", "is written in r: its cell tagged 'parameters' is not read"),
        ("%magic\nn = 1", "parameters", None, "may set more than is listed here"),
        ("# nothing", "parameters", None, "its cell tagged 'parameters' assigns nothing"),
    ],
)
def test_what_cannot_be_listed_is_said(
    call: Call, tmp_path: Path, source: str, tag: str, language: str | None, words: str
) -> None:
    told = call("params", save(tmp_path / "a.ipynb", code(source, tag), language=language))
    assert told.code == 0
    assert words in told.out


def test_what_is_no_notebook_is_refused(call: Call, tmp_path: Path) -> None:
    told = call("params", tmp_path / "none.ipynb")
    assert (told.code, told.out) == (2, "")
    assert told.err == f"error: notebook {tmp_path}/none.ipynb does not exist\n"


def test_row_E6_a_hostile_notebook_does_not_command_the_terminal(call: Call, tmp_path: Path) -> None:
    path = save(tmp_path / "evil.ipynb", code("x = '\x1b]0;owned\x07'  # \x1b[2Jhelp", "parameters"))
    assert "\x1b" not in call("params", path).out
    assert "\x1b" not in call("params", path, "--json").out


def test_on_a_terminal_a_long_default_leaves_room_for_the_help(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ipynb", code(f"totals = {list(range(100))}  # the totals", "parameters"))
    with Terminal("params", path.name, cwd=tmp_path, columns=90) as terminal:
        assert terminal.end() == 0
    assert "the totals" in terminal.text
    assert "…" in terminal.text
