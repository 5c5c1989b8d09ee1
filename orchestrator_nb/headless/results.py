"""What each run of a batch came to: a row of values, and the table of all of them as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from orchestrator_nb.core.models import Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.core.values import unescaped
from orchestrator_nb.projections.text import clean

#: Columns that every table has, beside parameters and recorded values.
OWN = ("run", "status", "duration", "attempts", "result", "picture", "notebook", "error_cell", "error")


class Left(NamedTuple):
    """What one run left in the batch's folder; paths are relative to it, and empty where there is no such thing."""

    #: The attempt that left it.
    attempt: int = 0
    notebook: str = ""
    picture: str = ""
    #: The source of the cell that failed; None if none did.
    failed_cell: str | None = None
    #: Recorded values (`ipynb.scraps`).
    scraps: Mapping[str, Any] = {}

    @property
    def error_cell(self) -> str:
        """Link to the cell that failed, as papermill marks it."""
        return f"{self.notebook}#papermill-error-cell" if self.failed_cell is not None else ""


class Result(NamedTuple):
    """One run of a batch."""

    #: Its name: the notebook's without ending, and the id of its task.
    run: str
    parameters: Mapping[str, Any]
    status: TaskStatus
    #: Seconds of the last attempt; None if it has not ended, or was taken over.
    duration: float | None
    attempts: int
    #: What the cell tagged `result` shows; None if there is none, or if it is among the recorded values.
    result: Any
    #: What it failed of, with the end of the traceback; or why it did not start.
    error: str
    left: Left

    @property
    def why(self) -> str:
        """The first line of the error."""
        return self.error.partition("\n")[0]


def results_of(state: State, left: Mapping[str, Left]) -> list[Result]:
    """The rows of a batch, in its order; `left` says by run what it left."""
    assert state.plan is not None
    pairs = zip(state.by_index, state.plan.tasks, strict=True)
    return [_result(task, spec, left.get(task.id, Left())) for task, spec in pairs]


def _result(task: TaskState, spec: Task, left: Left) -> Result:
    blocked = f"not started: the failure of '{task.blocked_by}' ended the batch" if task.blocked_by else ""
    return Result(
        task.id,
        unescaped(spec.parameters),
        task.status,
        task.duration if task.settled else None,
        task.attempt,
        _told(task, left),
        clean(task.error or blocked or task.message if task.status is not TaskStatus.COMPLETED else ""),
        left,
    )


def _told(task: TaskState, left: Left) -> Any:
    value = None if task.value is msgspec.UNSET else task.value
    is_agents_own = isinstance(value, str) and value.startswith("Executed ") and ".ipynb: " in value
    is_recorded = value == dict(left.scraps) or (value is not None and value == left.scraps.get("result"))
    return None if is_agents_own or is_recorded else value


# -- the table ---------------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    """A column of the table."""

    #: Its name in the table: of equal ones, that of a parameter wins over that of a recorded value.
    name: str
    #: `own`, `parameter` or `scrap`, and its name there.
    kind: str
    key: str


def columns_of(results: Sequence[Result]) -> list[Column]:
    """The columns of the table: run, parameters, status and times, recorded values, files, error."""
    taken = set(OWN)

    def free(name: str, kind: str) -> Column:
        free_name = name
        while free_name in taken:
            free_name = f"{kind}.{free_name}"
        taken.add(free_name)
        return Column(free_name, kind, name)

    own = [Column(name, "own", name) for name in OWN]
    parameters = [free(name, "parameter") for name in _keys(result.parameters for result in results)]
    scraps = [free(name, "scrap") for name in _keys(result.left.scraps for result in results)]
    return [own[0], *parameters, *own[1:4], *scraps, *own[4:]]


def _keys(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def record_of(result: Result, columns: Sequence[Column]) -> dict[str, Any]:
    """One row as plain values by column; None where there is none."""
    own = {
        "run": result.run,
        "status": result.status.value,
        "duration": None if result.duration is None else round(result.duration, 3),
        "attempts": result.attempts,
        "result": result.result,
        "picture": result.left.picture or None,
        "notebook": result.left.notebook or None,
        "error_cell": result.left.error_cell or None,
        "error": result.why or None,
    }
    sources: dict[str, Mapping[str, Any]] = {
        "own": own,
        "parameter": result.parameters,
        "scrap": result.left.scraps,
    }
    return {column.name: sources[column.kind].get(column.key) for column in columns}


def csv_of(results: Sequence[Result]) -> str:
    """The table as CSV (UTF-8, RFC 4180): numbers as such, true and false, lists and mappings as JSON; a cell is empty
    where there is no value.
    """
    columns = columns_of(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for result in results:
        writer.writerow([_cell(value) for value in record_of(result, columns).values()])
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
