"""What a notebook imports, also where cells hold magics or are no Python."""

from __future__ import annotations

import pytest

from orchestrator_nb.ipynb.imports import imports_of
from tests.ipynb.notebooks import code, notebook, words


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import numpy as np, pandas\nimport matplotlib.pyplot as plt", ["numpy", "pandas", "matplotlib.pyplot"]),
        ("from a.b import c\nfrom . import d\nfrom .e import f\nimport a.b", ["a.b"]),
        ("try:\n    import fast\nexcept ImportError:\n    import slow\nelse:\n    import x", ["fast", "slow", "x"]),
        ("with a:\n    import b\nfor i in j:\n    import c\nmatch d:\n    case 1:\n        import e", ["b", "c", "e"]),
        ("def f():\n    import late\nclass C:\n    import early", ["early"]),
        ("%matplotlib inline\nimport a\n!pip install b\nx = !ls\nif x:\n    %cd ..\nimport c", ["a", "c"]),
        ("%%time\nimport a", ["a"]),
        ("%%bash\nimport -window root x.png", []),
        ("%%javascript\nimport x from 'y'", []),
        ("import a\nthis is no Python\nfrom b import c\n    import d", ["a", "b"]),
        ("'import x'", []),
        ("await f()\nimport a", ["a"]),
    ],
)
def test_imports_are_read(source: str, modules: list[str]) -> None:
    assert imports_of(notebook(code(source))) == modules


def test_only_code_in_python_counts_and_each_module_once() -> None:
    cells = [words("import a"), code("import b"), code("import b\nimport c")]
    assert imports_of(notebook(*cells)) == ["b", "c"]
    assert imports_of(notebook(*cells, language="R")) == []
