"""All values of a notebook: complete, or everything that is wrong with them in one message."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb.given import gather
from orchestrator_nb.ipynb.parameters import Parameters, read_parameters
from orchestrator_nb.ipynb.values import beside, check, resolve, waiting
from tests.ipynb.notebooks import code, notebook

CELL = """
day: date            # the day to report
model: Literal["linear", "tree"] = "linear"
n: int = 3
size: int = Field(10, gt=0)
"""


def parameters(source: str = CELL, language: str | None = None) -> Parameters:
    return read_parameters(notebook(code(source, "parameters"), language=language), "report.ipynb")


def complaint(given: dict[str, Any], *where: str, **more: Any) -> str:
    with pytest.raises(ParameterError) as caught:
        resolve(parameters(*where, **more), given)
    return str(caught.value)


def test_only_what_is_given_is_put_in_and_defaults_of_fields() -> None:
    assert resolve(parameters(), {"day": "2025-01-02", "n": "5"}) == {"day": "2025-01-02", "n": 5, "size": 10}


def test_all_faults_are_told_at_once() -> None:
    assert complaint({"modle": "tree", "model": "tre", "n": "x", "size": 0, "x; import os": 1}).splitlines() == [
        "notebook report.ipynb:",
        "  - there is no parameter 'modle'; did you mean 'model'?",
        "  - parameter 'model' must be one of linear, tree, not 'tre'; did you mean 'tree'?",
        "  - parameter 'n' must be a whole number, not 'x'",
        "  - parameter 'size' must be a whole number > 0, not 0",
        "  - 'x; import os' cannot be the parameter of a notebook: it must be a name like my_param",
        "  - parameter 'day' has no value (the day to report); give a date like 2025-12-31 with -p day=2025-12-31",
        "  its parameters: day, model, n, size",
    ]


def test_one_fault_is_told_in_one_line() -> None:
    told = complaint({"day": "x"})
    assert told == "notebook report.ipynb: parameter 'day' must be a date like 2025-12-31, not 'x' (the day to report)"
    assert complaint({"day": "2025-01-02", "m": 1}).endswith("(its parameters: day, model, n, size)")


NAMES = [
    "x; import os",
    "a=1; open('pwn','w')#",
    "class",
    "True",
    "",
    "a b",
    "1a",
    "a.b",
    "x\n",
    "a:int",
    "*a",
    "__a-b",
]


@pytest.mark.parametrize("name", NAMES)
def test_f6_only_identifiers_become_names(name: str) -> None:
    for source in (CELL, "%magic", "n = ("):
        assert "must be a name like my_param" in complaint({"day": "2025-01-02", name: 1}, source)
    assert "must be a name like my_param" in complaint({name.replace(".", ";"): 1}, "n <- 1", language="R")


def test_names_that_cannot_be_checked_are_taken() -> None:
    assert resolve(parameters("%magic"), {"größe": "5", "other": "x"}) == {"größe": 5, "other": "x"}
    assert resolve(parameters("n <- 1", "R"), {"my.n": "5"}) == {"my.n": 5}
    untagged = read_parameters(notebook(code("n = 1")))
    assert resolve(untagged, {"n": "0012"}) == {"n": "0012"}


def test_values_that_come_later_are_not_checked() -> None:
    given = {"day": "${params.day}", "n": {"a": ["${result.T}"]}, "model": "linear"}
    assert waiting(given) == {"day", "n"}
    assert check(parameters(), given, later=waiting(given)) == ({"model": "linear", "size": 10}, [])
    assert check(parameters(), {"dya": "${x}"}, later={"dya"})[1][0].startswith("there is no parameter 'dya'")


def test_a_command_lines_text_keeps_its_meaning() -> None:
    cell = "zip: str = '0'\nx = None\nn: int | None = 1"
    given = gather(["n=None", "x=0012"], ["zip=0012"], ["other: 1"])
    given.pop("other")
    assert resolve(parameters(cell), given) == {"zip": "0012", "x": "0012", "n": None}
    assert "must be text, not None" in complaint(gather(["zip=None"]), cell)


def test_resolving_twice_changes_nothing() -> None:
    cell = CELL + "any = None\neither: int | str = 1"
    given = {"day": "20250102", "any": "5", "either": "7"}
    once = resolve(parameters(cell), given, typed=True)
    assert once == {"day": "2025-01-02", "any": "5", "either": "7", "size": 10}
    assert resolve(parameters(cell), once, typed=True) == once


def test_reading_a_notebook_loads_nothing_heavy() -> None:
    heavy = ("pydantic", "nbformat", "papermill", "pandas", "numpy", "yaml", "asyncio")
    program = (
        "import sys, orchestrator_nb.ipynb.imports, orchestrator_nb.ipynb.parameters, orchestrator_nb.ipynb.wording; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_default_path_is_found_beside_the_notebook_where_it_is_not_in_the_working_directory(tmp_path: Path) -> None:
    declared = 'data: Path = Path("data")\nout: Path = Path("out")\nname = "data"'
    folder = tmp_path / "notebooks"
    (folder / "data").mkdir(parents=True)
    found = read_parameters(notebook(code(declared, "parameters")), folder / "one.ipynb")
    assert beside(found, {}, tmp_path) == {"data": str(folder / "data")}
    assert beside(found, {"data": "x"}, tmp_path) == {}
    assert beside(found, {}, folder) == {}
