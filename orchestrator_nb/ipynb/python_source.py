"""The Python in a code cell, which may hold what only IPython understands: magics, shell commands, questions."""

from __future__ import annotations

import ast
import re
import warnings

#: Lines of IPython: ``%magic``, ``!command``, ``?name``, ``name?``, ``x = %magic``, ``x = !command``.
_IPYTHON = re.compile(r"^\s*(?:[%!?]|[\w.%]+\?\??\s*$|[\w ,.]+=\s*[%!])")
#: Cell magics whose cell is Python all the same.
_OF_PYTHON = ("%%time", "%%timeit", "%%capture", "%%prun")


def parse_python(source: str) -> tuple[ast.Module | None, bool]:
    """The syntax tree of a cell, and whether it is all of the cell.

    It is not where lines of IPython had to be left out. The tree is None for what is no Python: another language
    behind ``%%``, or a cell with faults. Lines keep their numbers.
    """
    if (tree := _tree(source)) is not None:
        return tree, True
    lines = source.split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in _OF_PYTHON:
        return None, False
    # `pass` keeps an indented block from being empty
    kept = [line[: -len(line.lstrip())] + "pass" if _IPYTHON.match(line) else line for line in lines]
    return _tree("\n".join(kept)), False


def _tree(source: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" and the like: the kernel will say so
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
