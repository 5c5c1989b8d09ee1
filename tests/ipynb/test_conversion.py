"""One value: text, JSON, or what NumPy and pandas have for it, in the type of a parameter."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb.conversion import convert
from orchestrator_nb.ipynb.given import Text
from orchestrator_nb.ipynb.kinds import Type
from orchestrator_nb.ipynb.parameters import read_parameters
from tests.ipynb.notebooks import code, notebook

ENUMS = "class Color(Enum):\n    RED = 'r'\n    BLUE = 2"


class Color(enum.Enum):
    RED = "r"


def kind(annotation: str) -> Type:
    cells = [code(ENUMS), code(f"x: {annotation}", "parameters")]
    return read_parameters(notebook(*cells)).by_name["x"].type


def same(value: Any, expected: Any) -> bool:
    return type(value) is type(expected) and value == expected


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("str", "0012", "0012"),
        ("str", "", ""),
        ("str", "None", "None"),
        ("int", " 12 ", 12),
        ("float", "2", 2.0),
        ("float", "1e3", 1000.0),
        ("Number", "2", 2),
        ("Number", "2.5", 2.5),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("Decimal", "0.10", "0.10"),
        ("date", "2025-01-02", "2025-01-02"),
        ("date", "20250102", "2025-01-02"),
        ("date", "2025-01-02T00:00:00", "2025-01-02"),
        ("datetime", "2025-01-02", "2025-01-02T00:00:00"),
        ("datetime", "2025-01-02 03:04+01:00", "2025-01-02T03:04:00+01:00"),
        ("time", "23:59", "23:59:00"),
        ("list[int]", "[1, 2]", [1, 2]),
        ("tuple[int, str]", '[1, "a"]', [1, "a"]),
        ("set[int]", "[1, 2, 1]", [1, 2]),
        ("dict[str, list[float]]", '{"a": [1]}', {"a": [1.0]}),
        ("dict[int, str]", '{"1": "a"}', {"1": "a"}),
        ("Literal['a', 1, True]", "a", "a"),
        ("Literal['a', 1, True]", "1", 1),
        ("Literal['a', 1, True]", "true", True),
        ("Literal['none', None]", "none", "none"),
        ("Color", "RED", "r"),
        ("Color", "r", "r"),
        ("Color", "2", 2),
        ("int | None", "none", None),
        ("int | None", "", None),
        ("int | None", "7", 7),
        ("str | None", "none", "none"),
        ("int | str", "7", 7),
        ("int | str", "x", "x"),
        ("int | float", "7.5", 7.5),
        ("date | str", "2025-01-02", "2025-01-02"),
        ("Any", "True", True),
        ("Any", "None", None),
        ("Any", "12", 12),
        ("Any", "0012", "0012"),
        ("Any", '{"a": 1}', {"a": 1}),
        ("Any", "words", "words"),
        ("Path", "data/x.csv", "data/x.csv"),
    ],
)
def test_text_is_read_in_the_type(annotation: str, text: str, value: Any) -> None:
    assert same(convert(kind(annotation), text), value)


@pytest.mark.parametrize(
    ("annotation", "given", "value"),
    [
        ("Any", "12", "12"),
        ("Any", "None", "None"),
        ("int | str", "7", "7"),
        ("int", "7", 7),
        ("int", 3.0, 3),
        ("int | float", 3.0, 3.0),
        ("float", 3, 3.0),
        ("str | bool", True, True),
        ("list[int]", (1, 2), [1, 2]),
        ("set[str]", frozenset(["b", "a"]), ["a", "b"]),
        ("date", datetime.date(2025, 1, 2), "2025-01-02"),
        ("date", pd.Timestamp("2025-01-02"), "2025-01-02"),
        ("datetime", pd.Timestamp("2025-01-02T03:04"), "2025-01-02T03:04:00"),
        ("datetime | None", pd.NaT, None),
        ("int | None", pd.NA, None),
        ("int | None", math.nan, None),
        ("int", np.int64(3), 3),
        ("float", np.float32(0.5), 0.5),
        ("bool", np.bool_(True), True),
        ("list[float]", np.array([1.0, 2.0]), [1.0, 2.0]),
        ("list", pd.Series(["a", "b"]), ["a", "b"]),
        ("Path", Path("a/b"), "a/b"),
        ("Color", Color.RED, "r"),
        ("Decimal", decimal.Decimal("0.10"), "0.10"),
        ("Decimal", 0.1, "0.1"),
        ("float", decimal.Decimal("0.5"), 0.5),
        ("None", None, None),
    ],
)
def test_what_has_a_type_is_taken_as_it_is(annotation: str, given: Any, value: Any) -> None:
    assert same(convert(kind(annotation), given, typed=True), value)


def test_text_that_is_meant_as_text_stays_text() -> None:
    assert same(convert(kind("Any"), Text("12")), "12")
    assert convert(kind("int | str"), Text("12")) == "12"
    assert convert(kind("str"), Text("None")) == "None"


@pytest.mark.parametrize(
    ("annotation", "given", "complaint"),
    [
        ("int", "1e3", "must be a whole number, not '1e3'"),
        ("int", "1.0", "must be a whole number"),
        ("int", 1.5, "must be a whole number, not 1.5"),
        ("int", True, "must be a whole number, not True"),
        ("int", None, "must be a whole number, not None"),
        ("int", "9" * 30, "must be a whole number"),
        ("int", 2**64, "beyond 64 bits"),
        ("float", "nan", "finite"),
        ("float", math.inf, "finite"),
        ("Number", True, "must be a number, not True"),
        ("str", 5, "must be text, not 5"),
        ("str", "a\0b", "NUL"),
        ("bool", "maybe", "must be true or false"),
        ("bool", 1, "must be true or false, not 1"),
        ("Decimal", "x", "must be a decimal number"),
        ("Decimal", "NaN", "finite"),
        ("date", "2025-13-01", "must be a date like 2025-12-31, not '2025-13-01'"),
        ("date", "2025-01-01T10:00", "must be a date"),
        ("date", 5, "must be a date"),
        ("list[int]", "1,2", "write JSON, like [1, 2]"),
        ("list[int]", ["x"], "value 1 must be a whole number"),
        ("list[int]", '{"a": 1}', "must be a list (list[int])"),
        ("tuple[int, str]", [1], "it has 1 values instead of 2"),
        ("dict[str, int]", {"a": "x"}, "['a'] must be a whole number"),
        ("dict[int, str]", {"x": "a"}, "key 'x' must be a whole number"),
        ("dict", {(1, 2): 3}, "its key"),
        ("set", [[1]], "the values of a set are"),
        ("Literal['linear', 'tree']", "linar", "must be one of linear, tree, not 'linar'; did you mean 'linear'?"),
        ("Literal[1]", True, "must be one of 1, not True"),
        ("Color", "GREEN", "must be one of r, 2"),
        ("int | bool", "x", "must be a whole number or true or false"),
        ("Any", object(), "a value of type object"),
        ("Any", b"x", "bytes"),
        ("Any", pd.DataFrame({"a": [1]}), "a value of type DataFrame"),
        ("Any", "[1", "must be a JSON value"),
        ("None", "x", "must be null"),
        ("Annotated[int, Field(ge=1, le=9)]", "0", "must be a whole number >= 1 and <= 9, not '0'"),
        ("Annotated[int, Field(gt=1, multiple_of=3)]", 4, "> 1 and a multiple of 3"),
        ("Annotated[str, Field(min_length=2)]", "a", "must be text of length >= 2"),
        ("Annotated[str, Field(pattern='^a')]", "ba", "must be text that matches ^a"),
        ("Annotated[list[int], Field(max_length=1)]", [1, 2], "of length <= 1"),
        ("Annotated[date, Field(ge=date(2025, 1, 1))]", "2024-12-31", ">= 2025-01-01"),
        ("Annotated[Decimal, Field(lt=1)]", "1.0", "< 1"),
        ("list[Annotated[int, Field(ge=1)]]", [0], "value 1 must be a whole number >= 1"),
    ],
)
def test_what_does_not_fit_is_told(annotation: str, given: Any, complaint: str) -> None:
    with pytest.raises(ParameterError) as caught:
        convert(kind(annotation), given)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 300


def test_limits_that_are_kept_pass() -> None:
    assert convert(kind("Annotated[float, Field(multiple_of=0.1)]"), 0.3) == 0.3
    assert convert(kind("Annotated[str, Field(pattern='(')]"), "a") == "a"
    assert convert(kind("Annotated[int | None, Field(ge=1)]"), "none") is None
    assert convert(kind("Annotated[Decimal, Field(multiple_of=1)]"), "3") == "3"


def test_a_value_that_holds_itself_ends() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for annotation in ("Any", "list"):
        with pytest.raises(ParameterError, match="nested too deeply"):
            convert(kind(annotation), cyclic)


# -- paths -------------------------------------------------------------------------------------------------------------


def test_a_path_is_the_callers_then_the_notebooks(tmp_path: Path) -> None:
    caller, beside = tmp_path / "caller", tmp_path / "books"
    caller.mkdir()
    beside.mkdir()
    places = (caller, beside)
    (beside / "data.csv").write_text("x")
    assert convert(kind("Path"), "data.csv", places=places) == str(beside / "data.csv")
    (caller / "data.csv").write_text("x")
    assert convert(kind("Path"), "data.csv", places=places) == str(caller / "data.csv")
    assert convert(kind("list[Path]"), ["data.csv"], places=places) == [str(caller / "data.csv")]
    assert convert(kind("Path | None"), None, places=places) is None
    assert convert(kind("str"), "data.csv", places=places) == "data.csv"


def test_a_path_to_be_made_needs_its_directory(tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    assert convert(kind("Path"), "new.csv", places=(tmp_path, books)) == str(tmp_path / "new.csv")
    with pytest.raises(ParameterError) as caught:
        convert(kind("Path"), "no/new.csv", places=(tmp_path, books))
    assert f"tried {tmp_path}/no/new.csv and {books}/no/new.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "name", "good"),
    [
        ("FilePath", "file", True), ("FilePath", "directory", False), ("FilePath", "none", False),
        ("DirectoryPath", "directory", True), ("DirectoryPath", "file", False),
        ("NewPath", "none", True), ("NewPath", "file", False), ("Path", "x" * 5000, False), ("Path", "", False),
    ],
)  # fmt: skip
def test_pydantics_paths(tmp_path: Path, annotation: str, name: str, good: bool) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    if good:
        assert convert(kind(annotation), name, places=[tmp_path]) == str(tmp_path / name)
    else:
        with pytest.raises(ParameterError, match="must be "):
            convert(kind(annotation), name, places=[tmp_path])
