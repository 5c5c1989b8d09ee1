"""Puts what a batch's runs leave into its folder: each notebook as it ends, the tables and the page at the end."""

from __future__ import annotations

import base64
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused, NotebookError, OrchestratorError, RunError, StorageError, UnsafePath
from orchestrator_nb.headless.folder import PICTURES, Folder
from orchestrator_nb.headless.index import Heading, page
from orchestrator_nb.headless.naming import SUFFIX
from orchestrator_nb.headless.results import Left, Result, csv_of, results_of
from orchestrator_nb.ipynb.document import ERROR_TAG, parse_notebook, source_of, tags_of
from orchestrator_nb.ipynb.scraps import scraps_of
from orchestrator_nb.merging.collection import MAX_NOTEBOOK, collect
from orchestrator_nb.merging.tabular import tabular
from orchestrator_nb.runtime.results import executed_notebook, read_artifact
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.system.reading import open_regular

#: Statuses of a run whose last attempt has ended with a notebook; that of one which is running is half executed.
_ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.RETRYING)


class Gathering:
    """Follows a run in a thread of its own, and fills the folder."""

    def __init__(self, run: Run, folder: Folder, notebook: str) -> None:
        """`notebook` is the path of the notebook, for people."""
        self._run = run
        self._folder = folder
        self._notebook = notebook
        self._left: dict[str, Left] = {}
        self._lock = threading.Lock()
        self._over = False
        self._callbacks: list[Callable[[], None]] = []
        self._trouble: OrchestratorError | None = None
        self._inbox: queue.SimpleQueue[list[e.Record] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="orchestrator_nb batch", daemon=True)
        run.subscribe(self._inbox.put)
        run.on_done(lambda: self._inbox.put(None))
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether everything is in the folder, or cannot be put there."""
        return not self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the folder is complete.

        Raises `TimeoutError`, and `OrchestratorError` for what kept it from being filled (`StorageError`, mostly).
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError
        if self._trouble is not None:
            raise self._trouble

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the folder is complete, or cannot be; at once if it is."""
        with self._lock:
            if not self._over:
                self._callbacks.append(callback)
                return
        callback()

    def results(self) -> list[Result]:
        """Each run as it stands."""
        with self._lock:
            left = dict(self._left)
        with self._run.state() as state:
            return results_of(state, left)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._take_all()
            while (records := self._inbox.get()) is not None:
                for record in records:
                    if isinstance(record.event, e.TaskCompleted | e.TaskFailed):
                        self._take(record.event.task)
            self._take_all()
            self._finish()
        except Exception as error:  # noqa: BLE001 - who waits must hear of it, whatever it is
            self._trouble = error if isinstance(error, OrchestratorError) else _unfilled(error)
            self._stop(str(self._trouble))
        finally:
            with self._lock:
                self._over, callbacks = True, self._callbacks
            for callback in callbacks:
                callback()

    def _stop(self, reason: str) -> None:
        """What cannot be put anywhere is not worth computing."""
        try:
            self._run.stop(by="batch", reason=reason)
        except (CommandRefused, RunError):
            return  # it is over already

    def _take_all(self) -> None:
        """What ended before anybody listened."""
        with self._run.state() as state:
            names = [task.id for task in state.by_index if task.status in _ENDED]
        for name in names:
            self._take(name)

    def _take(self, name: str) -> None:
        with self._run.state() as state:
            task = state.tasks.get(name)
            if task is None or task.status not in _ENDED:
                return
            if name in self._left and self._left[name].attempt == task.attempt:
                return
            attempt, source = task.attempt, executed_notebook(self._run.directory, task)
        left = gather(source, name, attempt, self._folder) if source is not None else Left(attempt)
        if not left.notebook and name in self._left:
            left = self._left[name]._replace(attempt=attempt)  # what an earlier attempt left is still there
        with self._lock:
            self._left[name] = left

    def _finish(self) -> None:
        """Write the tables and the page."""
        results = self.results()
        self._folder.put("results.csv", csv_of(results).encode())
        with self._run.state() as state:
            heading = heading_of(state, self._notebook, self._run.status)
            document = self._document(state) if state.plan is not None else ""
        self._folder.put("final_output.md", document.encode())
        self._folder.put("index.html", page(heading, results, self._folder.read).encode())

    def _document(self, state: State) -> str:
        """The session's document, with links to the files of this folder."""
        collection = collect(state, lambda artifact: read_artifact(self._run.directory, artifact, self._run.settings))
        items = []
        for item in collection.contributions:
            left = self._left.get(item.task, Left())
            files = {path.rpartition("/")[2]: path for path in (left.notebook, left.picture) if path}
            items.append(item._replace(outputs=files, values=left.scraps or item.values))
        return tabular(collection._replace(contributions=tuple(items)))


def _unfilled(error: Exception) -> StorageError:
    told = StorageError(f"the folder of the batch cannot be filled: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told


def heading_of(state: State, notebook: str, status: str) -> Heading:
    """What the page says of the batch as a whole."""
    took = (state.ended_at or time.time()) - state.run_started_at if state.run is not None else 0.0
    title = state.plan.title if state.plan is not None else ""
    return Heading(title, notebook, state.session, status, state.ended_at or state.at, max(0.0, took))


# -- one notebook ------------------------------------------------------------------------------------------------------


def gather(source: Path, name: str, attempt: int, folder: Folder) -> Left:
    """Copy an executed notebook into the folder, with its last picture; return what it left.

    What is no notebook, or a huge one, is copied and not looked into. Raises `StorageError`.
    """
    relative = f"{name}{SUFFIX}"
    try:
        with open_regular(source) as file:
            content = file.read(MAX_NOTEBOOK + 1)
            if len(content) > MAX_NOTEBOOK:
                folder.put(relative, content, more=file)
                return Left(attempt, relative)
    except (OSError, UnsafePath):
        return Left(attempt)  # it has gone: the session says so where it is asked for it
    folder.put(relative, content)
    cells = _cells(content, source)
    picture = f"{PICTURES}/{name}.png"
    last = last_picture(cells)
    if last is not None:
        folder.put(picture, last)
    return Left(
        attempt,
        relative,
        picture if last is not None else "",
        failed_cell(cells),
        scraps_of({"cells": cells}),
    )


def _cells(content: bytes, path: Path) -> list[dict[str, Any]]:
    try:
        cells: list[dict[str, Any]] = parse_notebook(content, path)["cells"]
    except NotebookError:
        return []
    return cells


def last_picture(cells: list[dict[str, Any]]) -> bytes | None:
    """The last PNG picture that a cell shows, or None."""
    for cell in reversed(cells):
        for output in reversed(cell.get("outputs") or []):
            data = output.get("data") if isinstance(output, Mapping) else None
            encoded = data.get("image/png") if isinstance(data, Mapping) else None
            if encoded:
                try:
                    return base64.b64decode("".join(encoded))
                except (ValueError, TypeError):
                    continue
    return None


def failed_cell(cells: list[dict[str, Any]]) -> str | None:
    """The source of the cell that papermill marks, by one before it, as the one that failed; None if there is none."""
    marks = [number for number, cell in enumerate(cells) if ERROR_TAG in tags_of(cell)]
    if not marks:
        return None
    after = cells[marks[-1] + 1 : marks[-1] + 2]
    return source_of(after[0]) if after else ""
