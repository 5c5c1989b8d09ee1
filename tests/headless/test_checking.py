"""All rows are checked at once, with one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.errors import NotebookError, ParameterError
from orchestrator_nb.headless.checking import checked, notebook_at
from orchestrator_nb.headless.grid import rows_of
from tests.headless.books import save


def test_values_get_the_types_of_the_notebook(tmp_path: Path) -> None:
    cell = "import datetime as dt\nfrom typing import Literal\nn: int = 1\nf = 0.5\non = False"
    cell += "\nday: dt.date = None\nk: Literal['a', 'b'] = 'a'"
    notebook = save(tmp_path / "n.ipynb", (cell, "parameters"))
    rows = rows_of({"n": "1..2", "f": "1", "on": "true", "day": "2024-01-02", "k": "b"})
    assert checked(notebook, rows)[1] == {"n": 2, "f": 1.0, "on": True, "day": "2024-01-02", "k": "b"}


def test_f6_one_message_tells_all_faults_with_their_rows(tmp_path: Path) -> None:
    notebook = save(tmp_path / "n.ipynb", ("n: int\nname = 'x'", "parameters"))
    rows = [{"n": 1}, {"n": "x"}, {"n": 2, "nmae": "y"}, {"n": "x"}, {"name": "z"}, {"n": 1, "a b": 1}]
    with pytest.raises(ParameterError) as caught:
        checked(notebook, rows)
    told = str(caught.value)
    assert str(notebook) in told
    assert "rows 2, 4: parameter 'n' must be a whole number, not 'x'" in told
    assert "row 3: there is no parameter 'nmae'; did you mean 'name'?" in told
    assert "row 5: parameter 'n' has no value" in told
    assert "row 6: 'a b' cannot be the parameter of a notebook" in told


def test_f6_very_many_faults_are_counted(tmp_path: Path) -> None:
    notebook = save(tmp_path / "n.ipynb", ("n: int = 1", "parameters"))
    with pytest.raises(ParameterError) as caught:
        checked(notebook, [{"n": f"x{number}"} for number in range(1000)])
    assert "... and 950 more faults" in str(caught.value)
    assert len(str(caught.value).splitlines()) < 60


def test_paths_are_the_callers_then_the_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    notebook = save(tmp_path / "books/n.ipynb", ("from pathlib import Path\nfile: Path = Path('a')", "parameters"))
    (tmp_path / "books/a.csv").write_text("")
    (tmp_path / "here/b.csv").write_text("")
    found = checked(notebook, rows_of({"file": "a.csv,b.csv"}))
    assert [row["file"] for row in found] == [str(tmp_path / "books/a.csv"), str(tmp_path / "here/b.csv")]


def test_a_notebook_is_found_and_what_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "n.ipynb")
    assert notebook_at("n.ipynb") == tmp_path / "n.ipynb"
    with pytest.raises(NotebookError, match=rf"'no\.ipynb' does not exist: tried {tmp_path}/no\.ipynb"):
        notebook_at("no.ipynb")
    with pytest.raises(NotebookError, match="must be a file that ends in"):
        notebook_at("n.py")
    (tmp_path / "bad.ipynb").write_text("{")
    with pytest.raises(NotebookError, match="not JSON"):
        checked(tmp_path / "bad.ipynb", [{}])
