"""Rows of a batch: grids as text, tables as files and as values, and all that is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.headless.grid import MAX_ROWS, parse_grid, read_table, records, rows_of, values_of
from orchestrator_nb.ipynb.given import Text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1..4", ["1", "2", "3", "4"]),
        ("3..1", ["3", "2", "1"]),
        ("-2..2..2", ["-2", "0", "2"]),
        ("0.1..0.5..0.1", ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("1..2..0.5", ["1.0", "1.5", "2.0"]),
        ("1..6..2", ["1", "3", "5"]),
        ("a, b ,c", ["a", "b", "c"]),
        ("../data,x", ["../data", "x"]),
        ("10:30:00", ["10:30:00"]),
        ("2024-01-01", ["2024-01-01"]),
        ("7", ["7"]),
    ],
)
def test_values_as_people_write_them(text: str, values: list[str]) -> None:
    found = values_of("x", text)
    assert found == values
    assert not any(isinstance(value, Text) for value in found)


def test_a_yaml_list_holds_values_with_their_types() -> None:
    found = values_of("x", '["a,b", 3, null, [1, 2]]')
    assert found == ["a,b", 3, None, [1, 2]]
    assert isinstance(found[0], Text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "write NAME=1..50"),
        ("=1", "write NAME=1..50"),
        ("x=", "no value for 'x'"),
        ("x=0.1..1", "needs a step: 0.1..1..0.1"),
        ("x=1..5..0", "never ends"),
        ("x=1..5..-1", "never ends"),
        ("x=1..999999", "has more than 100,000 values"),
        ("x=[1, 2", "is no YAML list"),
        ("x=1..1e999", "has more than 100,000 values"),
    ],
)
def test_grids_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        rows_of(parse_grid([text]))
    assert words in str(caught.value)


def test_one_name_in_two_grids_is_refused() -> None:
    with pytest.raises(ParameterError, match="--grid gives 'x' twice"):
        parse_grid(["x=1", "x=2"])


def test_a_grid_is_all_combinations_and_the_last_name_changes_fastest() -> None:
    rows = rows_of({"x": [1, 2], "model": ("a", "b")}, params={"seed": 7})
    assert rows == [
        {"seed": 7, "x": 1, "model": "a"},
        {"seed": 7, "x": 1, "model": "b"},
        {"seed": 7, "x": 2, "model": "a"},
        {"seed": 7, "x": 2, "model": "b"},
    ]


def test_a_table_with_a_grid_is_each_row_with_each_combination() -> None:
    rows = rows_of({"x": "1..2"}, [{"city": "Oslo"}, {"city": "Rome"}])
    assert [(row["city"], row["x"]) for row in rows] == [("Oslo", "1"), ("Oslo", "2"), ("Rome", "1"), ("Rome", "2")]


def test_without_a_grid_or_table_there_is_one_row() -> None:
    assert rows_of(params={"x": 1}) == [{"x": 1}]


def test_what_a_row_says_wins_over_what_holds_for_all() -> None:
    assert rows_of(rows=[{"x": 1}, {}], params={"x": 9}) == [{"x": 1}, {"x": 9}]


@pytest.mark.parametrize(
    ("grid", "rows", "params", "words"),
    [
        ({"x": [1]}, [{"x": 2}], None, "'x' is given twice: by the grid, and as a column of the table"),
        ({"x": [1]}, None, {"x": 2}, "'x' is given twice: by the grid, and as a parameter of all rows"),
        ({"x": []}, None, None, "the grid has no value for 'x'"),
        (None, [], None, "the table has no rows"),
        ({"x": range(1000), "y": range(1000)}, None, None, "1,000,000 runs; at most 100,000"),
        ({"x": range(MAX_ROWS + 1)}, None, None, "more than 100,000 values of 'x'"),
        ({"x": 5}, None, None, "must be a list, not int"),
        ({"x": {"a": 1}}, None, None, "must be a list, not dict"),
    ],
)
def test_rows_that_are_refused(grid: Any, rows: Any, params: Any, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        rows_of(grid, rows, params)
    assert words in str(caught.value)


def test_tables_in_python() -> None:
    wanted = [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
    assert records(wanted) == wanted
    assert records({"x": [1, 2], "y": ["a", "b"]}) == wanted
    assert records(iter(wanted)) == wanted
    assert records(pd.DataFrame(wanted)) == wanted


def test_a_dataframe_gives_python_values_and_leaves_out_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "f": [0.5, float("nan")],
            "t": [pd.Timestamp("2024-01-02"), pd.NaT],
            "flag": [True, False],
        }
    )
    first, second = records(frame)
    assert first == {"n": 1, "f": 0.5, "t": dt.datetime(2024, 1, 2), "flag": True}
    assert [type(value) for value in first.values()] == [int, float, dt.datetime, bool]
    assert second == {"flag": False}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("rows.csv", "not str"),
        ([1], "row 1 of the table is no mapping"),
        ([{"a": 1}, {2: 3}], "row 2 of the table: 2 is no parameter's name"),
        ({"x": [1, 2], "y": [1]}, "same length: 'x' has 2, 'y' has 1"),
        ({"x": 1}, "column 'x' of the table must be a list"),
        (5, "not int"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are named 'a'"),
    ],
)
def test_values_that_are_no_table(table: Any, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        records(table)
    assert words in str(caught.value)


def test_csv_cells_are_text_and_an_empty_one_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('\ufeffx,name\n1,"a, b"\n\n,c\n', "utf-8")
    assert read_table(path) == [{"x": "1", "name": "a, b"}, {"name": "c"}]
    assert not isinstance(read_table(path)[0]["x"], Text)


def test_tables_in_other_files(tmp_path: Path) -> None:
    tabs, lists, mapping = tmp_path / "t.tsv", tmp_path / "t.json", tmp_path / "t.yaml"
    tabs.write_text("x\ty\n1\ta\n")
    lists.write_text('[{"x": 1, "y": "a"}, {"x": 2, "y": null}]')
    mapping.write_text("x: [1, 2]\ny: [a, b]\n")
    assert read_table(tabs) == [{"x": "1", "y": "a"}]
    assert read_table(lists) == [{"x": 1, "y": "a"}, {"x": 2}]
    assert read_table(mapping) == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", "t.csv:1: the table is empty"),
        ("t.csv", b"x,x\n1,2\n", "t.csv:1: two columns are named 'x'"),
        ("t.csv", b"x,\n1,2\n", "t.csv:1: column 2 has no name"),
        ("t.csv", b"x,y\n1,2\n3\n", "t.csv:3: 1 cells, but the header has 2 columns"),
        ("t.csv", b"x\n\xff\n", "not UTF-8"),
        ("t.csv", b'x\n"a"b\n', "no CSV"),
        ("t.json", b"[1]", "row 1 of the table is no mapping"),
        ("t.json", b"[", "t.json"),
        ("t.xlsx", b"", "ends in .csv, .tsv, .json, .yaml or .parquet"),
        ("t.parquet", b"no", "t.parquet"),
    ],
)
def test_f7_tables_that_cannot_be_read_name_file_and_line(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ParameterError) as caught:
        read_table(path)
    assert words in str(caught.value)


def test_a_table_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"no\.csv"):
        read_table(tmp_path / "no.csv")
