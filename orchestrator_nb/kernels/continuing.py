"""A kernel that outlives a failed cell, and the executions of its notebook: the first, and those after it was mended.

A mended notebook goes on where the last execution ended, if what was executed before that is still what it says. What
it showed then is taken over, so that the executed notebook is whole.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbclient.util import run_sync

from orchestrator_nb.errors import AgentError
from orchestrator_nb.kernels.execution import Execution

__all__ = ["Continuing", "KeptKernel", "WentOn"]

#: Seconds that a kept kernel has to answer: it may still be busy with the cell that took too long.
PATIENCE = 30
#: Seconds between two looks whether to go on, and whether the kernel lives.
LOOK = 0.25
#: What is taken over of the metadata of a cell: when it was executed.
TIMES = ("papermill", "execution")


@dataclass(frozen=True, slots=True)
class Before:
    """A code cell that was executed, and where it stands now."""

    cell: Any
    index: int
    now: int


@dataclass(frozen=True, slots=True)
class WentOn:
    """How a mended notebook goes on."""

    executed: tuple[Before, ...]
    #: Index of the first cell that is executed; the number of cells if none is left.
    cell: int


class KeptKernel:
    """The kernel of one notebook, from one execution to the next."""

    def __init__(self) -> None:
        self._last: Continuing | None = None
        self._goes_on: WentOn | None = None

    def execution(self, nb_man: Any, **options: Any) -> Continuing:
        """The next execution, as an engine makes it: the first one starts the kernel."""
        self._last = Continuing(nb_man, self._last, self._goes_on, **options)
        return self._last

    def compare(self, notebook: Any) -> WentOn | None:
        """See that `notebook` can go on in the kernel, and where; None before its first execution.

        Raises `AgentError` if a cell that was executed is not what it was; the message names the first one.
        """
        if self._last is None:
            return None
        code = [(index, cell) for index, cell in enumerate(notebook.cells) if is_code(cell)]
        executed = []
        for number, (index, cell) in enumerate(self._last.executed()):
            if number >= len(code) or code[number][1].source != cell.source:
                raise AgentError(changed(cell))
            executed.append(Before(cell, index, code[number][0]))
        rest = code[len(executed) :]
        self._goes_on = WentOn(tuple(executed), rest[0][0] if rest else len(notebook.cells))
        return self._goes_on

    @property
    def alive(self) -> bool:
        """Whether there is a kernel, and it lives."""
        manager = self._last.km if self._last else None
        return manager is not None and bool(run_sync(manager.is_alive)())

    def wait(self, file: Path) -> str | None:
        """Wait until somebody leaves `file`, remove it, and return its text; None if the kernel dies before."""
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            while self.alive:
                with suppress(FileNotFoundError):
                    text = file.read_text("utf-8")
                    file.unlink()
                    return text
                time.sleep(LOOK)
        finally:
            signal.signal(signal.SIGTERM, before)
        return None

    def end(self) -> None:
        """End the kernel, if there is one, and remove its files."""
        if self._last is not None and self._last.km is not None:
            self._last._cleanup_kernel()


class Continuing(Execution):
    """An execution that leaves its kernel alone when it ends."""

    def __init__(self, nb_man: Any, last: Continuing | None, goes_on: WentOn | None, **options: Any) -> None:
        if last is not None:
            options["startup_timeout"] = PATIENCE
        super().__init__(nb_man, km=last.km if last else None, **options)
        self.owns_km = False
        self._last, self._goes_on = last, goes_on
        #: The cells, and the index at which it ended.
        self._all: list[Any] = list(last._all) if last else []
        self._ended: int = last._ended if last else 0
        if last is not None:
            why = last._choice.why.removesuffix(_KEPT)
            self._choice = replace(last._choice, why=why + _KEPT)

    def executed(self) -> list[tuple[int, Any]]:
        """The code cells before the one that failed, with their indices."""
        ended = next((index for index, cell in enumerate(self._all) if has_failed(cell)), self._ended)
        return [(index, cell) for index, cell in enumerate(self._all[:ended]) if is_code(cell)]

    async def async_start_new_kernel_client(self) -> Any:
        """Connect to the kernel. Raises `AgentError` if a kept one does not answer; it is ended then."""
        try:
            return await super().async_start_new_kernel_client()
        except RuntimeError as error:
            if self._last is None:
                raise
            raise AgentError(f"the kept kernel was ended: it does not answer ({error})") from None

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    def papermill_execute_cells(self) -> None:
        """As papermill's, without the cells that were executed before."""
        before = self._take_over() if self._last and self._goes_on else set()
        self._all = list(self.nb.cells)  # papermill puts more cells into a failed notebook
        self._ended = 0
        for index, cell in enumerate(self._all):
            self._ended = index
            if index in before:
                continue
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
                return
            except CellTimeoutError:
                run_sync(self._interrupt)()
                raise
            finally:
                self.nb_man.cell_complete(cell, cell_index=index)
        self._ended = len(self._all)

    async def _interrupt(self) -> None:
        """End a cell that takes too long: what comes next must not wait for it; nor may nbclient listen to it still."""
        await self.km.interrupt_kernel()
        listening = asyncio.all_tasks() - {asyncio.current_task()}
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    def _take_over(self) -> set[int]:
        """What was executed before is as if it were now; return the indices of these cells."""
        assert self._last is not None
        assert self._goes_on is not None
        self.widget_state.update(self._last.widget_state)
        self.widget_buffers.update(self._last.widget_buffers)
        now = {before.index: before.now for before in self._goes_on.executed}
        for name, places in self._last._display_id_map.items():
            self._display_id_map[name] = {now[index]: shown for index, shown in places.items() if index in now}
        for before in self._goes_on.executed:
            cell = self.nb.cells[before.now]
            cell.outputs, cell.execution_count = before.cell.outputs, before.cell.execution_count
            cell.metadata.update({name: before.cell.metadata[name] for name in TIMES if name in before.cell.metadata})
        return set(now.values())


_KEPT = "; kept after a failed cell"


def is_code(cell: Any) -> bool:
    """Whether a cell has code in it."""
    return cell.cell_type == "code" and bool(cell.source.strip())


def has_failed(cell: Any) -> bool:
    """Whether papermill takes a cell for one that failed."""
    errors = [output for output in cell.get("outputs", ()) if output.output_type == "error"]
    return any(error.ename != "SystemExit" or error.evalue not in ("", "0") for error in errors)


def changed(cell: Any) -> str:
    """What is said of a cell that was executed, and is not in the notebook any more as it was."""
    if "injected-parameters" in cell.metadata.get("tags", ()):
        return "the parameters are not those that the kept kernel was started with"
    first = cell.source.strip().splitlines()[0][:100]
    number = "" if cell.execution_count is None else f" {cell.execution_count}"
    return f"cell{number} was executed as '{first}' … and is not there as it was: only what comes after may be changed"


def _leave(number: int, frame: Any) -> None:
    sys.exit()
