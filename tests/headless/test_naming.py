"""Names of executed notebooks: by template, by default, safe, and never two alike."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.core.ids import fault_of_id
from orchestrator_nb.errors import ParameterError
from orchestrator_nb.headless.naming import names_of

ROWS = [{"x": 1, "model": "a"}, {"x": 2, "model": "b"}]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{x}-{model}.ipynb", ["1-a", "2-b"]),
        ("{x}-{model}", ["1-a", "2-b"]),
        ("{notebook}_{row:03}", ["sweep_001", "sweep_002"]),
        ("{model}/{x:.2f}", ["a/1.00", "b/2.00"]),
        ("run {x}", ["run-1", "run-2"]),
    ],
)
def test_templates(template: str, names: list[str]) -> None:
    assert names_of(ROWS, template, "sweep") == names


def test_by_default_a_name_tells_the_parameters_that_differ() -> None:
    rows = [{"x": 1, "model": "a", "same": 5}, {"x": 2, "model": "a", "same": 5}]
    assert names_of(rows, None, "sweep") == ["x_1", "x_2"]
    assert names_of([{"x": -1}, {"x": 1}, {"x": 0.5}], None, "n") == ["x_-1", "x_1", "x_0.5"]
    assert names_of([{"x": 1}], None, "sweep") == ["sweep"]


def test_by_default_long_values_and_equal_rows_are_numbered() -> None:
    assert names_of([{"text": "a" * 100}, {"text": "b"}], None, "n") == ["row_1", "row_2"]
    assert names_of([{"x": 1}] * 10, None, "n")[::9] == ["row_01", "row_10"]
    assert names_of([{"x": "ä"}, {"x": "ö"}], None, "n") == ["row_1", "row_2"]


@pytest.mark.parametrize("value", ["../../etc/passwd", "a/b", "con", "", "\0", "ü", "x" * 300, {"a": [1]}, None, True])
def test_f10_whatever_a_value_is_a_default_name_is_safe(value: Any) -> None:
    for name in names_of([{"x": value}, {"x": "other"}], None, "my notebook"):
        assert fault_of_id(name) is None


@pytest.mark.parametrize(
    ("rows", "template", "words"),
    [
        ([{"x": 1}, {"x": 1}], "{x}", "rows 1, 2 would all be '1.ipynb'; put another parameter, or {row}, into --name"),
        ([{"x": "A"}, {"x": "a"}], "{x}", "rows 1, 2 would all be 'A.ipynb'"),
        (ROWS, "{modell}", "no row gives 'modell'; did you mean 'model'?"),
        (ROWS, "out", "write the parameters that tell the rows apart"),
        (ROWS, "{x", "double a brace"),
        ([{"x": 1}, {}], "{x}", "row 2 gives no 'x'"),
        ([{"x": "a"}], "{x:d}", "row 1: x='a'"),
        ([{"x": -1}], "{x}", "row 1: '-1': an id is made of"),
        ([{"x": "con"}], "{x}", "reserved device name"),
        ([{"x": ""}], "{x}", "must not be empty"),
    ],
)
def test_f10_names_that_are_refused_name_the_rows(rows: Any, template: str, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        names_of(rows, template, "n")
    assert words in str(caught.value)


def test_all_collisions_are_told_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        names_of([{"x": 1}, {"x": 2}, {"x": 1}, {"x": 2}], "{x}", "n")
    assert "rows 1, 3" in str(caught.value)
    assert "rows 2, 4" in str(caught.value)
