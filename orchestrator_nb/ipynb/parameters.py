"""The parameters of a notebook: what its cell tagged `parameters` assigns (the convention of papermill).

Each name that the cell assigns is a parameter. It may say more about it, as Python and pydantic have it:

    n: int = 3                                        # help, on the same line
    # help, in the lines right above
    model: Literal["linear", "tree"] = "linear"
    day: date                                         # no value: it must be given
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    size: int = Field(10, gt=0, description="help")   # the default is 10, and is put into the notebook
    old = 1                                           # type: int  papermill's own form

Nothing is executed: the cell is read as syntax. What a value computes is a parameter too; its default is shown as it
is written.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from orchestrator_nb.core.jsonable import fault_of_json
from orchestrator_nb.ipynb.annotations import Annotations, field_call, last_name, limited, literal_value
from orchestrator_nb.ipynb.comments import comments_of
from orchestrator_nb.ipynb.document import (
    Notebook,
    code_cells,
    language_of,
    parameters_cell,
    read_notebook,
    source_of,
)
from orchestrator_nb.ipynb.kinds import ANY, Type
from orchestrator_nb.ipynb.python_source import parse_python

#: Characters of a default's source that are kept for people.
_MAX_SOURCE = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, as the notebook declares it."""

    name: str
    type: Type = ANY
    #: The annotation as written, or papermill's ``# type:``; empty if there is none.
    annotation: str = ""
    #: The value it has when none is given, where that is JSON that the cell spells out; else None.
    default: Any = None
    #: The default as written; empty if there is none.
    source: str = ""
    #: Whether a value must be given: the cell gives it none.
    required: bool = False
    #: One line for people.
    help: str = ""
    #: Whether the default must be put into the notebook: its cell assigns a ``Field(...)``, which is not the value.
    injected: bool = False

    @property
    def choices(self) -> tuple[Any, ...]:
        """The only values allowed, if there are any: those of a ``Literal`` or an ``Enum``."""
        return self.type.choices or tuple(value for _, value in self.type.members)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a notebook, by name, in their order."""

    #: The notebook's file, as it was named.
    path: str
    by_name: Mapping[str, Parameter]
    #: Whether these are all: false without a cell tagged `parameters`, in other languages, and where a cell could not
    #: be read as a whole (magics, ``from x import *``). Values for other names are then taken as they are.
    complete: bool
    #: Whether a cell is tagged `parameters`.
    tagged: bool
    #: The notebook's language, in small letters.
    language: str = "python"

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)


def parameters_of(path: str | os.PathLike[str]) -> Parameters:
    """The parameters of the notebook in the file `path`. Raises `NotebookError` if it cannot be read.

    A batch asks for those of one file a thousand times: they are read again only when the file has changed.
    """
    try:
        stat = os.stat(path)  # noqa: PTH116 - it takes any path-like
    except (OSError, ValueError):
        read_notebook(path)  # it says what is wrong
        raise
    return _read_once(str(path), os.path.abspath(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)  # noqa: PTH100


@lru_cache(maxsize=32)
def _read_once(path: str, *identity: object) -> Parameters:
    return read_parameters(read_notebook(path), path)


def read_parameters(notebook: Notebook, path: str | os.PathLike[str] = "") -> Parameters:
    """The parameters of a notebook; `path` is what messages call it."""
    index, language = parameters_cell(notebook), language_of(notebook)
    cell = notebook["cells"][index] if index is not None else {}
    nothing = Parameters(str(path), {}, complete=False, tagged=index is not None, language=language)
    if cell.get("cell_type") != "code" or language not in ("python", "ipython"):
        return nothing
    source = source_of(cell)
    tree, whole = parse_python(source)
    if tree is None:
        return nothing
    reader = _Reader(tree, source, Annotations(lambda: _definitions(notebook, index)))
    return replace(nothing, by_name=reader.read(), complete=whole and not reader.more)


def _definitions(notebook: Notebook, last: int | None) -> dict[str, ast.expr | ast.ClassDef]:
    """Classes, and names of what may be types, that are defined before or in the cell of index `last`."""
    found: dict[str, ast.expr | ast.ClassDef] = {}
    for cell in code_cells({"cells": notebook["cells"][: (last or 0) + 1]}):
        tree, _ = parse_python(source_of(cell))
        for statement in tree.body if tree is not None else ():
            match statement:
                case ast.ClassDef(name=name):
                    found[name] = statement
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found[name] = value
                case ast.ImportFrom(names=names):
                    found.update((alias.asname, ast.Name(alias.name)) for alias in names if alias.asname)
    return found


class _Reader:
    """Reads the parameters cell, statement by statement."""

    def __init__(self, tree: ast.Module, source: str, annotations: Annotations) -> None:
        self._tree = tree
        self._annotations = annotations
        self._comments = comments_of(source)
        self._found: dict[str, Parameter] = {}
        #: Whether the cell may set names that cannot be seen.
        self.more = False

    def read(self) -> dict[str, Parameter]:
        """The parameters by name."""
        for statement, following in zip_longest(self._tree.body, self._tree.body[1:]):
            self._read(statement, _docstring(following))
        types = {name.id for name in self._names_in_annotations()}
        return {name: parameter for name, parameter in self._found.items() if name not in types}

    def _names_in_annotations(self) -> Iterator[ast.Name]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.AnnAssign):
                yield from (inner for inner in ast.walk(node.annotation) if isinstance(inner, ast.Name))

    def _read(self, statement: ast.stmt, docstring: str) -> None:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                kind, told = self._annotations.read(annotation)
                self._declare(name, statement, value, kind, ast.unparse(annotation), told or docstring)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, statement, docstring)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return
            case ast.ImportFrom(names=names) if any(alias.name == "*" for alias in names):
                self.more = True
            case _:
                self._computed(statement)

    def _assign(self, target: ast.expr, value: ast.expr, statement: ast.stmt, docstring: str) -> None:
        match target, value:
            case ast.Name(id=name), _:
                self._declare(name, statement, value, None, "", docstring)
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), (ast.Tuple(elts=values) | ast.List(elts=values))) if (
                len(names) == len(values) and not any(isinstance(each, ast.Starred) for each in (*names, *values))
            ):
                for part, its_value in zip(names, values, strict=True):
                    self._assign(part, its_value, statement, docstring)
            case _:
                self._computed(target)

    def _computed(self, node: ast.AST) -> None:
        """Names that are set in a loop, a condition or the like: parameters of which nothing more is known."""
        for inner in _outside_functions(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                known = self._found.get(inner.id, Parameter(inner.id))
                self._found[inner.id] = replace(known, default=None, source=known.source or "…", required=False)

    def _declare(
        self, name: str, statement: ast.stmt, value: ast.expr | None, kind: Type | None, annotation: str, told: str
    ) -> None:
        comment = self._comments.of(statement)
        known = self._found.get(name)
        if kind is None and known is not None and known.annotation:  # n: int, then n = 3
            kind, annotation = known.type, known.annotation
        elif kind is None and comment.type and (hint := _annotation(comment.type)) is not None:
            kind, annotation = self._annotations.read(hint)[0], comment.type
        parameter = Parameter(name, annotation=annotation, help=told or comment.help or (known.help if known else ""))
        if isinstance(value, ast.Call) and last_name(value.func) == "Field":
            said = field_call(value)
            parameter = replace(parameter, help=said.help or parameter.help)
            kind = limited(kind or ANY, said.limits)
            value = None if said.default is None or said.unreadable else said.default
            parameter = replace(parameter, injected=value is not None)
        if value is None or (isinstance(value, ast.Constant) and value.value is ...):
            self._found[name] = replace(parameter, type=kind or ANY, required=True, injected=False)
            return
        if kind is None:
            kind = self._annotations.of_default(value)
        default = self._default(value, kind)
        kind = replace(kind, optional=kind.optional or (isinstance(value, ast.Constant) and value.value is None))
        readable = default is not ...
        self._found[name] = replace(
            parameter,
            type=kind,
            default=default if readable else None,
            source=_shortened(ast.unparse(value)),
            required=parameter.injected and not readable,
            injected=parameter.injected and readable,
        )

    @staticmethod
    def _default(value: ast.expr, kind: Type) -> Any:
        """The default as JSON, or `...` where the cell computes it."""
        if isinstance(value, ast.Attribute) and value.attr in (members := dict(kind.members)):
            return members[value.attr]
        default = _as_json(literal_value(value))
        return ... if default is ... or fault_of_json(default) else default


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    if isinstance(value, set):
        return sorted((_as_json(item) for item in value), key=repr)
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()} if all(isinstance(k, str) for k in value) else ...
    return value


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is in it, without the names that functions, classes and comprehensions keep to themselves."""
    yield node
    own = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, own + comprehensions):
            yield from _outside_functions(child)


def _docstring(statement: ast.stmt | None) -> str:
    """The text of a string that stands alone: what is said about the name before it."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
    return ""


def _annotation(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _shortened(source: str) -> str:
    source = re.sub(r"\s+", " ", source)
    return source if len(source) <= _MAX_SOURCE else source[: _MAX_SOURCE - 1] + "…"
