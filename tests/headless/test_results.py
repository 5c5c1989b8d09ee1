"""The table of a batch: typed values, names that do not collide, CSV that reads back."""

from __future__ import annotations

import csv
import io
from typing import Any

from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.headless.results import Left, Result, columns_of, csv_of, record_of


def result(run: str, parameters: dict[str, Any], scraps: dict[str, Any] | None = None, **more: Any) -> Result:
    left = Left(1, f"{run}.ipynb", more.pop("picture", ""), more.pop("cell", None), scraps or {})
    fields: dict[str, Any] = {
        "status": TaskStatus.COMPLETED, "duration": 1.23456, "attempts": 1, "result": None, "error": "", **more
    }  # fmt: skip
    return Result(run, parameters, left=left, **fields)


def test_columns_are_parameters_then_values_and_keep_apart_what_has_the_same_name() -> None:
    rows = [result("a", {"x": 1, "status": "p"}, {"x": 2, "score": 0.5}), result("b", {"y": True}, {"error": "none"})]
    columns = columns_of(rows)
    assert [column.name for column in columns] == [
        *("run", "x", "parameter.status", "y", "status", "duration", "attempts"),
        *("scrap.x", "score", "scrap.error", "result", "picture", "notebook", "error_cell", "error"),
    ]
    first = record_of(rows[0], columns)
    assert (first["x"], first["scrap.x"], first["parameter.status"], first["status"]) == (1, 2, "p", "completed")
    assert first["y"] is None
    assert first["duration"] == 1.235


def test_csv_reads_back() -> None:
    values = {"f": 0.1, "i": 3, "t": True, "n": None, "l": [1, "a"], "s": 'with "quotes", and\nlines', "e": ""}
    text = csv_of([result("a", {}, values), result("b", {}, {}, result={"k": 1})])
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert [first[name] for name in values] == ["0.1", "3", "true", "", '[1, "a"]', values["s"], ""]
    assert second["result"] == '{"k": 1}'
    assert second["f"] == ""


def test_a_failed_run_tells_its_first_line_and_where_the_cell_is() -> None:
    failed = result("a b", {}, cell="1/0", status=TaskStatus.FAILED, error="cell 1 failed: E\nTraceback\nmore")
    record = record_of(failed, columns_of([failed]))
    assert record["error"] == "cell 1 failed: E"
    assert record["error_cell"] == "a b.ipynb#papermill-error-cell"
    assert failed.why == "cell 1 failed: E"
