"""A kernel's manager: jupyter_client's, with sockets that only this user can reach, and without looking for its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from orchestrator_nb.kernels import directories

__all__ = ["Manager", "Program", "readable"]

#: Bytes that the path of a socket may have (108 with the end), less what is put behind the directory.
PATH_LIMIT = 107 - len("/k-99")


class Manager(AsyncKernelManager):
    """Manages one kernel.

    An IPython kernel is talked to by Unix sockets with mode 0600 in a directory of its own, other kernels by TCP, as
    not all of them know Unix sockets.
    """

    #: Where its files are; empty: in Jupyter's runtime directory.
    directory = ""
    #: It was started before there was a notebook for it.
    waits = False

    def make_private(self) -> None:
        """Use Unix sockets in a new directory; to be called before the kernel is started."""
        directory = directories.make()
        if len(os.fsencode(directory)) > PATH_LIMIT:
            shutil.rmtree(directory)
            return
        self.use(directory)

    def use(self, directory: str) -> None:
        """Use a directory for the kernel's files; it is removed with them."""
        self.directory = directory
        self.transport = "ipc"
        self.ip = f"{directory}/k"
        self.connection_file = f"{directory}/kernel.json"

    def provide(self, kind: type[Program], **attributes: Any) -> None:
        """Have the kernel started by a provisioner of this kind."""
        self.kernel_id = str(uuid.uuid4())
        self.provisioner = kind(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        for name, value in attributes.items():
            setattr(self.provisioner, name, value)

    async def _async_start_kernel(self, **options: Any) -> None:
        if self.provisioner is None and "kernel_provisioner" not in self.kernel_spec.metadata:
            self.provide(Program)
        await super()._async_start_kernel(**options)

    start_kernel = _async_start_kernel

    async def _async_wait(self, pollinterval: float = 0.1) -> None:
        if isinstance(self.provisioner, Program):
            await self.provisioner.ended()
        else:
            await super()._async_wait(pollinterval)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart)
        if self.directory and not restart:
            shutil.rmtree(self.directory, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources

    def protect(self) -> None:
        """Let nobody else connect, whatever happens to the directory."""
        if self.directory:
            for file in Path(self.directory).glob("k-*"):
                file.chmod(0o600)


class Program(LocalProvisioner):
    """A kernel that is a program, whose end is told and not looked for."""

    async def ended(self) -> None:
        """Wait for the end of the process."""
        if self.process is None:
            return
        if hasattr(os, "pidfd_open") and self.process.poll() is None:
            await readable(os.pidfd_open(self.process.pid))
        while self.process is not None and self.process.poll() is None:  # noqa: ASYNC110 - where there is no pidfd
            await asyncio.sleep(0.01)

    async def wait(self) -> int | None:
        """Wait for the end, and let go of the process."""
        await self.ended()
        code: int | None = await super().wait()
        return code


async def readable(descriptor: int) -> None:
    """Wait until there is something to be read, or, of a pidfd, until the process has ended; close it."""
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.add_reader(descriptor, lambda: None if told.done() else told.set_result(None))
    try:
        await told
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
