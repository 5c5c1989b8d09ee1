"""A real kernel, driven as a front end drives it, without a browser."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

REPOSITORY = Path(__file__).parents[1]


@dataclass
class Execution:
    """What one cell did."""

    status: str = ""
    error: str = ""
    stdout: str = ""
    #: Outputs in their order: the mimebundles of `display_data` and `execute_result`.
    bundles: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)


class Kernel:
    """One kernel."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def start(self, code: str, allow_stdin: bool = True, cell: str = "") -> str:
        """Send a cell; returns the id of the request. `allow_stdin` is False as nbclient has it."""
        content = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": allow_stdin, "stop_on_error": False,
        }  # fmt: skip
        metadata = {"cellId": cell} if cell else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def finish(self, request: str, timeout: float = 60) -> Execution:
        """Wait for a cell's end; what it showed."""
        execution = Execution()
        deadline = time.monotonic() + timeout
        while True:
            if time.monotonic() > deadline:  # a live view may go on telling
                raise TimeoutError(f"the cell did not end within {timeout:g} s: {execution.stdout[-1000:]}")
            message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            execution.messages.append(message)
            if message["parent_header"].get("msg_id") != request:
                continue
            content, kind = message["content"], message["msg_type"]
            if kind == "stream":
                execution.stdout += content["text"]
            elif kind in ("display_data", "execute_result"):
                execution.bundles.append(content["data"])
            elif kind == "error":
                execution.error = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                return execution

    def run(self, code: str, allow_stdin: bool = True, cell: str = "", timeout: float = 60) -> Execution:
        """Run a cell to its end."""
        return self.finish(self.start(code, allow_stdin, cell), timeout)


@contextmanager
def started_kernel(directory: Path, python: str = sys.executable) -> Iterator[Kernel]:
    """A kernel that works in `directory`, isolated from the user's configuration; of the interpreter `python`."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(directory / ".ipython")}
    manager = KernelManager(kernel_name="python3")
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[0] = python
    manager.start_kernel(cwd=str(directory), env=environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
