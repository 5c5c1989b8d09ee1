"""The wire between widgets and the page: a comm of our own, by which a click is heard while a cell is busy.

ipykernel from 7.4 routes what the page sends back to the shell that last wrote to a comm, which is mostly the one that
a busy cell blocks. `LiveComm` leaves each message on the subshell that the page has chosen, or on one of its own where
the page chose none. It also fires none of IPython's cell events, so that a click in the middle of a plotting cell does
not publish the half-made figure.
"""

from __future__ import annotations

import contextlib
from typing import Any

from comm.base_comm import BaseComm
from ipywidgets.widgets.widget import __protocol_version__, _remove_buffers

from orchestrator_nb.jupyter.envelope import shared
from orchestrator_nb.jupyter.environment import request_of


def kernel() -> Any:
    """The ipykernel that this process is, or None."""
    try:
        from ipykernel.kernelbase import Kernel
    except ImportError:
        return None
    found = Kernel.instance() if Kernel.initialized() else None
    return found if found is not None and found.session is not None else None


class LiveComm(BaseComm):
    """A comm whose messages never wait for the cell that is running, where the kernel has subshells (ipykernel 7)."""

    #: Messages that all of them have sent: what `updates` keeps the pace by.
    sent = 0

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Send one message to the page, from any thread."""
        if (here := kernel()) is None:
            return
        LiveComm.sent += 1
        content = {"data": data or {}, "comm_id": self.comm_id, **keys}
        here.session.send(
            here.iopub_socket,
            msg_type,
            content,
            metadata=metadata or {},
            parent=request_of(here),
            ident=self.topic,
            buffers=buffers,
        )

    def handle_msg(self, msg: Any) -> None:
        """Take one message from the page."""
        if self._msg_callback:
            self._msg_callback(msg)

    def _reply_subshell_for(self, data: Any, default: str | None) -> str | None:
        """Where ipykernel (from 7.4, in its channel's thread) brings a message: the page's subshell, else our own."""
        return default if default is not None else _own_subshell()


class Live:
    """Puts a widget on a `LiveComm`. The first base: ``class Stop(Live, ipywidgets.Button)``."""

    def open(self) -> None:
        """Open the comm, with the whole state."""
        if self.comm is not None:  # type: ignore[has-type]
            return
        if kernel() is None:
            super().open()  # type: ignore[misc]
            return
        state, paths, buffers = _remove_buffers(self.get_state())  # type: ignore[attr-defined]
        model_id = {} if self._model_id is None else {"comm_id": self._model_id}  # type: ignore[attr-defined]
        self.comm = LiveComm(
            target_name="jupyter.widget",
            data={"state": state, "buffer_paths": paths},
            buffers=buffers,
            metadata={"version": __protocol_version__},
            **model_id,
        )

    def _send(self, msg: Any, buffers: Any = None) -> None:
        """Send a message to the page: by itself, but for what is new in the state at a turn of the views' updates."""
        if msg.get("method") != "update" or buffers or not shared.takes(self, msg["state"]):
            super()._send(msg, buffers)  # type: ignore[misc]


_subshell: str | None = None


def _own_subshell() -> str | None:
    """The subshell that serves pages which name none (their comms are on the main shell), made when first needed.

    ipykernel has no public way to make one from within; without it a click waits for the cell, as everywhere else.
    """
    global _subshell  # noqa: PLW0603 - one a kernel
    if _subshell is None:
        with contextlib.suppress(Exception):
            _subshell = kernel().shell_channel_thread.manager._create_subshell()
    return _subshell
