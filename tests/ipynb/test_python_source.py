"""Cells with what only IPython understands."""

from __future__ import annotations

import ast

import pytest

from orchestrator_nb.ipynb.python_source import parse_python


@pytest.mark.parametrize(
    ("source", "read", "whole"),
    [
        ("n = 7 % 2", "n = 7 % 2", True),
        ("text = '''\n%not magic\n'''", "text = '\\n%not magic\\n'", True),
        ("%magic\nn = 1", "pass\nn = 1", False),
        ("if a:\n    !ls\nb?\n?c\nx = %who\nn = 1", "if a:\n    pass\npass\npass\npass\nn = 1", False),
        ("%%capture out\nn = 1", "pass\nn = 1", False),
    ],
)
def test_lines_of_ipython_are_left_out(source: str, read: str, whole: bool) -> None:
    tree, is_whole = parse_python(source)
    assert tree is not None
    assert (ast.unparse(tree), is_whole) == (read, whole)


@pytest.mark.parametrize("source", ["%%bash\nn=1", "n = (", "a\0b", "(" * 5000, "\ud800"])
def test_what_is_no_python_has_no_tree(source: str) -> None:
    assert parse_python(source) == (None, False)
