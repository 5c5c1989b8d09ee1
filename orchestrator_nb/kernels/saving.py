"""Saving an executed notebook: by temporary file and rename, once per finished cell, fast cells together.

papermill writes in place, when a cell begins and when it has ended; killed while it writes, it leaves a torn file.
Here what is on disk can be read at any time, and lacks at most the last second. Only local files are written so; all
else goes to the writer that papermill has for it.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from papermill import engines
from papermill.engines import NotebookExecutionManager
from papermill.iorw import LocalHandler, papermill_io

__all__ = ["INTERVAL", "Output", "Saver", "replace"]

#: Seconds for which fast cells share a write.
INTERVAL = 1.0


class Saver(NotebookExecutionManager):
    """papermill's manager of an execution, with fewer and safer writes."""

    def __init__(self, nb: Any, output_path: str | None = None, **options: Any) -> None:
        super().__init__(nb, output_path, **options)
        self._output = Output.take(output_path)
        self._beginning = self._ending = False
        #: When something was first left for the next write, and when it was last written at once.
        self._waiting_since: float | None = None
        self._written = -INTERVAL

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """As papermill's; that the cell runs is written if it does so for a while (`save_in_time`)."""
        self._beginning = True
        try:
            super().cell_start(cell, cell_index, **kwargs)
        finally:
            self._beginning = False

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """As papermill's; fast cells in a row are written together."""
        self._ending = True
        try:
            super().cell_complete(cell, cell_index, **kwargs)
        finally:
            self._ending = False

    def save(self, **kwargs: Any) -> None:
        """Write the notebook, or leave it to the next write when a cell begins, or ends soon after the last write."""
        if kwargs.get("nb"):
            self.nb = kwargs["nb"]
        now = time.monotonic()
        if self._beginning or (self._ending and now < self._written + INTERVAL):
            self._waiting_since = self._waiting_since or now
        else:
            self._write()
            self._written = now
        self.last_save_time = self.now()

    async def save_in_time(self) -> None:
        """While a cell runs: write what waits to be written, once it has waited long enough."""
        while self._waiting_since is not None:
            await asyncio.sleep(max(0.0, self._waiting_since + INTERVAL - time.monotonic()))
            if self._waiting_since is not None and time.monotonic() >= self._waiting_since + INTERVAL:
                self._write()

    def finish(self) -> None:
        """What papermill still writes of the notebook by itself is the last."""
        if self._output:
            self._output.finishing = True

    def give_up(self) -> None:
        """Nothing more is written."""
        if self._output:
            self._output.leave()

    def _write(self) -> None:
        self._waiting_since = None
        if self.output_path:
            engines.write_ipynb(self.nb, self.output_path)  # papermill's, which comes to `Output`


class Output:
    """papermill's handler of one local file, for as long as that is the output of an execution.

    It stands before the others in `papermill_io`, so that also what papermill writes after the engine is written
    safely: the final state, and the markers of a failed cell.
    """

    def __init__(self, path: str, local: LocalHandler) -> None:
        self.finishing = False
        self._path, self._local = path, local
        self._last = ""

    @classmethod
    def take(cls, path: str | None) -> Output | None:
        """Become the handler of `path` if it is a local file; None if it is anything else."""
        if not isinstance(path, str) or not path:
            return None
        handler = papermill_io.get_handler(path)
        if isinstance(handler, cls) and handler._path == path:  # of an execution without papermill's last write
            handler.leave()
            handler = handler._local
        if type(handler) is not LocalHandler:
            return None
        output = cls(path, handler)
        papermill_io.register(path, output)
        return output

    def write(self, text: str, path: str) -> None:
        """Write the file. Raises `OSError`, as papermill does; what was there before is left then."""
        if path != self._path:  # it only begins like this one
            self._local.write(text, path)
            return
        if self.finishing:
            self.leave()
        if text != self._last:
            replace(Path(self._local._cwd or "", path), text)
            self._last = text

    def read(self, path: str) -> Any:
        """As papermill's."""
        return self._local.read(path)

    def listdir(self, path: str) -> Any:
        """As papermill's."""
        return self._local.listdir(path)

    def pretty_path(self, path: str) -> Any:
        """As papermill's."""
        return self._local.pretty_path(path)

    def leave(self) -> None:
        """Be the handler of nothing any more."""
        with suppress(ValueError):
            papermill_io._handlers.remove((self._path, self))


def replace(path: Path, text: str) -> None:
    """Put a text file there, whole or not at all, with the permissions and at the place that papermill leaves.

    A link keeps pointing where it does. What cannot be replaced without a change of kind, owner or links is
    written in place: devices and pipes, files of somebody else or with several names, files in directories that
    cannot be written.
    """
    if not path.parent.exists():
        raise FileNotFoundError(f"output folder {path.parent} doesn't exist.")
    target = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        found = target.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
            path.write_text(text, "utf-8")
            return
        if not os.access(target, os.W_OK):
            raise PermissionError(13, os.strerror(13), str(path))
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
    except PermissionError:
        path.write_text(text, "utf-8")
        return
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(fd, _mode(target))
        os.rename(temporary, target)  # noqa: PTH104 - three paths for one rename cost more than it
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _mode(target: Path) -> int:
    """The permissions that the file has, or that a new one gets."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """Told by the system without changing it, which would hit all threads."""
    with suppress(OSError), Path("/proc/self/status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
