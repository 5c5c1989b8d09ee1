"""The execution of a notebook in a kernel: papermill's client, with what it loses and what it hangs on mended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from jupyter_client.manager import KernelManager
from nbclient.exceptions import CellExecutionComplete
from nbclient.util import run_sync
from nbformat.v4 import new_output, output_from_msg
from papermill.clientwrap import PapermillNotebookClient
from traitlets import default

from orchestrator_nb.kernels.client import Client
from orchestrator_nb.kernels.manager import Manager
from orchestrator_nb.kernels.modes import Choice, asked
from orchestrator_nb.kernels.providing import provide
from orchestrator_nb.kernels.saving import Saver
from orchestrator_nb.system.preloading import CannotFork

__all__ = ["OUTPUT_LIMIT", "Execution"]

#: The argument that tells a kernel where to write its history.
HISTORY = "--HistoryManager.hist_file"
#: Characters of the outputs of one cell that are kept.
OUTPUT_LIMIT = 64 << 20
#: Seconds that a kernel which says that it is idle has for the answer that comes before.
ANSWER = 10.0
#: Messages that count when they come after their cell has ended, as they do in a notebook in the browser.
LATE = ("stream", "display_data", "execute_result", "update_display_data", "comm_open", "comm_msg", "comm_close")


class Execution(PapermillNotebookClient):
    """Executes the cells of one notebook."""

    def __init__(
        self,
        nb_man: Any,
        km: Any = None,
        *,
        kernel_mode: str | None = None,
        output_limit: int | None = OUTPUT_LIMIT,
        **options: Any,
    ) -> None:
        self._mode = asked(kernel_mode)
        self._output_limit = output_limit
        self._choice = Choice("given", "by the option km or kernel_manager_class")
        #: Cell and its index, by the request that executed it; the size of its outputs by its index.
        self._cells: dict[str, tuple[Any, int]] = {}
        self._sizes: dict[int, int] = {}
        super().__init__(nb_man, km=km, **options)

    def execute(self, **options: Any) -> Any:
        """Execute the notebook, as papermill; the connection to a kernel that goes on is closed."""
        try:
            return super().execute(**options)
        finally:
            if self.kc is not None:
                self.kc.stop_channels()

    # -- the kernel

    @default("kernel_manager_class")
    def _kernel_manager_class_default(self) -> type[KernelManager]:
        return Manager

    def create_kernel_manager(self) -> Any:
        """The manager of the notebook's kernel: forked, waiting or to be started."""
        manager = super().create_kernel_manager()
        if type(manager) is Manager:
            self.km, self._choice = provide(manager, self._mode, self.nb, self._arguments(manager))
        return self.km

    def _arguments(self, manager: Manager) -> list[str]:
        """What nbclient will add to the kernel's command."""
        own = [str(argument) for argument in self.extra_arguments]
        if manager.ipykernel and self.ipython_hist_file and not any(word.startswith(HISTORY) for word in own):
            own.append(f"{HISTORY}={self.ipython_hist_file}")
        return own

    async def async_start_new_kernel(self, **options: Any) -> None:
        """Start the kernel; what cannot be forked after all is started as a program, unless only a fork will do."""
        try:
            await super().async_start_new_kernel(**options)
        except CannotFork as error:
            if self._mode != "auto":
                raise
            self._choice = Choice("cold", str(error))
            self.km = Manager(kernel_name=self.km.kernel_name)
            self.km.make_private()
            await super().async_start_new_kernel(**options)

    start_new_kernel = run_sync(async_start_new_kernel)

    async def async_start_new_kernel_client(self) -> Any:
        """Connect to the kernel by our client, whoever made the manager."""
        if not isinstance(self.km, KernelManager):
            return await super().async_start_new_kernel_client()
        manager = self.km
        factory, manager.client_factory = manager.client_factory, Client
        try:
            client = await super().async_start_new_kernel_client()
        finally:
            manager.client_factory = factory
        if isinstance(manager, Manager):
            await self._begin(manager)
        self._report()
        return client

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    async def _begin(self, manager: Manager) -> None:
        manager.protect()
        refused = getattr(manager.provisioner, "refused", None)
        if refused:
            self._choice = replace(self._choice, refused=dict(refused))
        if manager.waits:
            where = self.resources.get("metadata", {}).get("path") or os.getcwd()  # noqa: PTH109 - as jupyter_client
            reply = await super().async_wait_for_reply(self.kc.execute(_MOVE.format(where), silent=True))
            if reply["content"]["status"] != "ok":
                raise NotADirectoryError(20, reply["content"]["evalue"], where)

    def _report(self) -> None:
        """Say how the notebook got its kernel: in its metadata, and in papermill's log."""
        self.log.info(f"Kernel: {self._choice}")
        self.nb.metadata["orchestrator"] = {
            **self.nb.metadata.get("orchestrator", {}),
            "kernel": self._choice.as_metadata(),
        }

    async def async_wait_for_reply(self, msg_id: str, cell: Any = None) -> Any:
        """Wait for a reply, and for what the kernel said before it on the other channel."""
        before = asyncio.ensure_future(self._until_idle(msg_id))
        try:
            reply = await super().async_wait_for_reply(msg_id, cell)
            await asyncio.wait((before,), timeout=self.iopub_timeout)
        finally:
            before.cancel()
        return reply

    wait_for_reply = run_sync(async_wait_for_reply)

    # -- cells

    async def async_execute_cell(self, cell: Any, cell_index: int, *args: Any, **kwargs: Any) -> Any:
        """Execute a cell, as nbclient; meanwhile the notebook is saved in time."""
        async with self._saved_in_time():
            return await super().async_execute_cell(cell, cell_index, *args, **kwargs)

    execute_cell = run_sync(async_execute_cell)

    @asynccontextmanager
    async def _saved_in_time(self) -> AsyncIterator[None]:
        if not isinstance(self.nb_man, Saver):
            yield
            return
        saving = asyncio.ensure_future(self.nb_man.save_in_time())
        try:
            yield
        finally:
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving  # a full disk is told here

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        """Take in what the kernel says until it has said all about this cell."""
        self._cells[parent_msg_id] = (cell, cell_index)
        await self._until_idle(parent_msg_id)
        waiting = self.task_poll_for_reply
        if waiting is not None:  # an answer was sent before; if it never comes, the kernel cannot answer any more
            asyncio.get_running_loop().call_later(ANSWER, waiting.cancel)

    async def _until_idle(self, request: str) -> None:
        while True:
            message = await self.kc.iopub_channel.get_msg(timeout=None)
            parent = message["parent_header"].get("msg_id")
            if parent == request and parent in self._cells:
                try:
                    self.process_message(message, *self._cells[parent])
                except CellExecutionComplete:
                    return
            elif parent in self._cells:
                self._process_late(message, *self._cells[parent])
            elif parent == request and message["content"].get("execution_state") == "idle":
                return

    def _process_late(self, message: dict[str, Any], cell: Any, cell_index: int) -> None:
        """A message of a cell that has ended: a thread goes on printing. nbclient throws it away."""
        if message["msg_type"] in LATE:
            clearing: bool = getattr(self, "clear_before_next_output", False)
            self.clear_before_next_output = False
            self.process_message(message, cell, cell_index)
            self.clear_before_next_output = clearing

    # -- outputs

    def output(self, outs: Any, msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """Keep an output if the cell does not have too much of it already; papermill logs it in any case."""
        limit, before = self._output_limit, self._sizes.get(cell_index, 0)
        if limit is None or msg["msg_type"] == "error":
            return super().output(outs, msg, display_id, cell_index)
        self._sizes[cell_index] = after = before + _size(msg["content"])
        if after <= limit:
            return super().output(outs, msg, display_id, cell_index)
        if before <= limit:
            outs.append(new_output("stream", name="stderr", text=_TOO_MUCH.format(limit=limit)))
        return output_from_msg(msg)

    def clear_output(self, outs: Any, msg: dict[str, Any], cell_index: int) -> None:
        """As nbclient's; there is room again."""
        self._sizes.pop(cell_index, None)
        super().clear_output(outs, msg, cell_index)


#: Where a kernel that was started elsewhere works from now on; and IPython's list of directories.
_MOVE = "__import__('os').chdir({0!r}); get_ipython().user_ns['_dh'][:] = [__import__('pathlib').Path({0!r})]"
_TOO_MUCH = (
    "\n[The output of this cell beyond {limit:,} characters is left out; the engine's option output_limit, "
    "in characters, allows more.]\n"
)


def _size(content: dict[str, Any]) -> int:
    """Characters of an output, roughly."""
    if "text" in content:
        return len(content["text"])
    return sum(len(value) if isinstance(value, str) else 1000 for value in content.get("data", {}).values())
