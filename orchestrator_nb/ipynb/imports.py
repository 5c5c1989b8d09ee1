"""What the cells of a notebook import: what a kernel that is made for it may load before."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from orchestrator_nb.ipynb.document import Notebook, code_cells, language_of, source_of
from orchestrator_nb.ipynb.python_source import parse_python

_LINE = re.compile(r"^(?:import|from)\s+[^\s.]", re.MULTILINE)


def imports_of(notebook: Notebook) -> list[str]:
    """Names of the modules that the notebook's code imports, as written, each once, in order.

    ``import a.b as c`` gives ``a.b``, and so does ``from a.b import c``. What functions import when they
    are called does not count, nor do relative imports. Of a cell that is no Python, only its plain lines of imports are
    read. Notebooks in other languages import nothing.
    """
    if language_of(notebook) not in ("python", "ipython"):
        return []
    found: dict[str, None] = {}
    for cell in code_cells(notebook):
        source = source_of(cell)
        if "import" in source:
            found.update(dict.fromkeys(_in_source(source)))
    return list(found)


def _in_source(source: str) -> Iterator[str]:
    tree, _ = parse_python(source)
    if tree is not None:
        yield from _in_block(tree.body)
    elif not source.lstrip().startswith("%%"):
        for line in source.splitlines():
            if _LINE.match(line):
                yield from _in_block(getattr(parse_python(line)[0], "body", []))


def _in_block(block: list[ast.stmt]) -> Iterator[str]:
    """The modules that are imported when the statements of `block` are executed."""
    for statement in block:
        match statement:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                continue
            case _:
                for field in ("body", "handlers", "orelse", "finalbody", "cases"):
                    for inner in getattr(statement, field, []):
                        yield from _in_block(inner.body if not isinstance(inner, ast.stmt) else [inner])
