"""What papermill writes into a notebook, and what is written behind it, is what was given."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import nbformat
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from papermill.parameterize import parameterize_notebook
from pydantic import Field

from orchestrator_nb.ipynb.conversion import convert, plain
from orchestrator_nb.ipynb.injection import typed_lines
from orchestrator_nb.ipynb.parameters import read_parameters
from orchestrator_nb.ipynb.values import resolve
from tests.ipynb.notebooks import code, notebook
from tests.plans import VALUES


class Color(enum.Enum):
    RED = "r"
    BLUE = 2


ENUM = "class Color(enum.Enum):\n    RED = 'r'\n    BLUE = 2"
#: The annotations of parameters, and values of what they say.
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(),
    "int": st.integers(-(2**63), 2**63),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "decimal.Decimal": st.decimals(allow_nan=False, allow_infinity=False),
    "datetime.date": st.dates(),
    "datetime.datetime": st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
    "datetime.time": st.times(),
    "Color": st.sampled_from(Color),
    "Optional[datetime.date]": st.none() | st.dates(),
    "int | str | None": st.none() | st.integers(0, 9) | st.text(),
    "list[datetime.date]": st.lists(st.dates()),
    "tuple[int, ...]": st.lists(st.integers(0, 9)).map(tuple),
    "tuple[int, datetime.date]": st.tuples(st.integers(0, 9), st.dates()),
    "set[int]": st.sets(st.integers(0, 9)),
    "dict[int, Color]": st.dictionaries(st.integers(-9, 9), st.sampled_from(Color)),
    "dict[str, list[float]]": st.dictionaries(st.text(), st.lists(st.floats(allow_nan=False, allow_infinity=False))),
    "Literal['a', 1, True]": st.sampled_from(["a", 1, True]),
    "Annotated[float, Field(ge=0)]": st.floats(0, 1e300),
    "Any": VALUES,
}
SCOPE = {
    "datetime": datetime, "decimal": decimal, "enum": enum, "Path": Path, "Optional": Optional, "Literal": Literal,
    "Annotated": Annotated, "Field": Field, "Any": Any, "Color": Color,
}  # fmt: skip


def executed(cell: str, values: dict[str, Any], *, typed: bool) -> dict[str, Any]:
    """The names that a notebook has once its parameters are put in, as papermill and the driver do it."""
    book = notebook(code(ENUM), code(cell, "parameters"), language="python")
    parameters = read_parameters(book)
    values = resolve(parameters, values, typed=typed)
    assert json.loads(json.dumps(values)) == values
    node = nbformat.from_dict({**book, "metadata": {**book["metadata"], "papermill": {}}})
    injected = parameterize_notebook(node, values).cells[2].source
    names = dict(SCOPE)
    exec(f"{cell}\n{injected}\n{typed_lines(parameters, values)}", names)
    return names


def flat(value: Any) -> Iterator[Any]:
    """`value` and all that is in it."""
    yield value
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from flat(item)


@settings(deadline=None)
@given(st.sampled_from(sorted(TYPES)).flatmap(lambda kind: st.tuples(st.just(kind), TYPES[kind])))
@example(("str", '"\\\n\r\t\u2028\x7f é "'))
@example(("float", -0.0))
@example(("decimal.Decimal", decimal.Decimal("1E+5")))
def test_the_notebook_gets_what_was_given(case: tuple[str, Any]) -> None:
    annotation, value = case
    assume(not any(isinstance(leaf, str) and "\0" in leaf for leaf in flat(value)))  # refused: no file could hold it
    got = executed(f"x: {annotation}", {"x": value}, typed=True)["x"]
    assert got == value
    assert type(got) is type(value)


@settings(deadline=None)
@given(st.sampled_from([kind for kind in sorted(TYPES) if kind not in ("Any", "int | str | None", "str")]).flatmap(
    lambda kind: st.tuples(st.just(kind), TYPES[kind])))  # fmt: skip
def test_text_of_a_value_is_the_value(case: tuple[str, Any]) -> None:
    annotation, value = case
    kind = read_parameters(notebook(code(ENUM), code(f"x: {annotation}", "parameters"))).by_name["x"].type
    assume(not any(isinstance(leaf, str) and "\0" in leaf for leaf in flat(value)))
    expected = convert(kind, value, typed=True)
    shown = plain(value)
    text = str(shown) if not isinstance(shown, dict | list) else json.dumps(shown)
    assert convert(kind, text) == expected


def test_paths_and_untyped_defaults(tmp_path: Path) -> None:
    names = executed("p = Path('a')\nt = (1, 2)\ns = {1}\nd: 'datetime.date | None' = None",
                     {"p": tmp_path, "t": [3], "s": [], "d": "2025-01-02"}, typed=False)  # fmt: skip
    assert (names["p"], names["t"], names["s"]) == (tmp_path, (3,), set())
    assert names["d"] == datetime.date(2025, 1, 2)


@pytest.mark.parametrize("cell", ["x: int = 1", "x = None", "x: str", "x: list[dict[str, int]]", "%magic"])
def test_what_json_says_needs_no_lines(cell: str) -> None:
    parameters = read_parameters(notebook(code(cell, "parameters")))
    value = {"x: int = 1": 5, "x: str": "a", "x: list[dict[str, int]]": [{"a": 1}]}.get(cell, "b")
    assert typed_lines(parameters, {"x": value}) == ""


def test_f6_no_value_becomes_code(tmp_path: Path) -> None:
    evil = f"'); open({str(tmp_path / 'pwn')!r}, 'w'); ('"
    names = executed(
        "p: Path\nq: str\nr = None\ns: list[Path]", {"p": evil, "q": evil, "r": evil, "s": [evil]}, typed=True
    )
    assert (names["p"], names["q"], names["r"], names["s"]) == (Path(evil), evil, evil, [Path(evil)])
    assert not (tmp_path / "pwn").exists()
