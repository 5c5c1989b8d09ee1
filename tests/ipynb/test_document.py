"""Reading notebooks' files: what is no notebook is refused by name, what is one is found in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import NotebookError
from orchestrator_nb.ipynb.document import (
    code_cells,
    kernel_name_of,
    language_of,
    parameters_cell,
    parse_notebook,
    read_notebook,
    source_of,
    tagged_cell,
    tags_of,
)
from tests.ipynb.notebooks import code, notebook, save, words


def test_cells_are_found(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ipynb", words("# A"), code("n = 1", "parameters", "x"), code("n"))
    read = read_notebook(path)
    assert parameters_cell(read) == 1
    assert tagged_cell(read, "x") == 1
    assert tagged_cell(read, "y") is None
    assert [source_of(cell) for cell in code_cells(read)] == ["n = 1", "n"]
    assert tags_of(read["cells"][1]) == ("parameters", "x")
    assert (language_of(read), kernel_name_of(read)) == ("python", None)


def test_sources_may_be_lines_and_parts_may_be_missing() -> None:
    sparse = {"nbformat": 4, "cells": [{"cell_type": "code", "source": ["a\n", "b"]}, {"cell_type": "code"}]}
    read = parse_notebook(json.dumps(sparse), "x.ipynb")
    assert [source_of(cell) for cell in read["cells"]] == ["a\nb", ""]
    assert tags_of(read["cells"][0]) == ()


def test_language_and_kernel_are_told_by_the_file() -> None:
    assert (language_of(notebook(language="R")), kernel_name_of(notebook(language="R"))) == ("r", "k")
    assert language_of({"metadata": {"language_info": {"name": "Julia"}}}) == "julia"
    assert language_of({"metadata": {"kernelspec": 1, "language_info": {"name": []}}}) == "python"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "it is empty"),
        ("no json", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it holds no object"),
        ("{}", "it has no 'nbformat'"),
        ('{"nbformat": 3, "worksheets": []}', "it is of version 3; convert it: jupyter nbconvert --to notebook FILE"),
        ('{"nbformat": 5, "cells": []}', "it is of version 5; update"),
        ('{"nbformat": 4}', "no list of 'cells'"),
        ('{"nbformat": 4, "cells": [1]}', "cell 1 has no 'cell_type'"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]}', "the 'source' of cell 1 is no text"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "metadata": []}]}', "the 'metadata' of cell 1 is no object"),
        ('{"nbformat": 4, "cells": [], "metadata": 1}', "its 'metadata' is no object"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(content)
    with pytest.raises(NotebookError) as caught:
        read_notebook(path)
    assert str(caught.value).startswith(f"{path} is not a notebook in the format of Jupyter (version 4): ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"), [("none.ipynb", "does not exist"), ("", "cannot be read"), ("a\0b", "null")]
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, words: Any) -> None:
    with pytest.raises(NotebookError, match=words) as caught:
        read_notebook(f"{tmp_path}/{name}")
    assert str(tmp_path) in str(caught.value)
