"""What a notebook's process does after a failed cell, if its kernel is to be kept: it waits, and goes on when told.

The attempt that goes on has a directory of its own, with a request and an answer as every attempt. The files that the
notebook has left so far lie in the directory of the first attempt, which the kernel knows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

#: File in the directory of an attempt that has failed: the process waits. File in that of the first attempt: the
#: directory of the attempt in which it goes on.
WAITS, AGAIN = "waits", "again"


class GoingOn:
    """The attempts at one notebook that share a kernel."""

    def __init__(self, first: Path) -> None:
        from orchestrator_nb.kernels.continuing import KeptKernel

        self.kernel = KeptKernel()
        self._first = self._directory = first
        #: How it went on, for its provenance; the hash of the notebook as it was executed last.
        self._went_on: list[dict[str, Any]] = []
        self._executed = ""

    def work(self, carry_out: Callable[[Path], bool]) -> None:
        """Carry out one attempt after the other, each in its directory, until one succeeds or the kernel ends."""
        from orchestrator_nb.agents._answering import write

        try:
            while not carry_out(self._directory) and self.kernel.alive:
                write(self._directory / WAITS, b"")
                told = self.kernel.wait(self._first / AGAIN)
                if told is None:
                    return
                self._directory = Path(told)
        finally:
            self.kernel.end()

    def begin(self, notebook: Any, provenance: dict[str, Any]) -> None:
        """An execution is about to begin. Raises `AgentError` if the notebook cannot go on in the kernel.

        Its provenance says how it went on: by attempt the index of the first cell that was executed, and the hashes of
        the notebook before and after it was mended.
        """
        found = self.kernel.compare(notebook)
        now = provenance["notebook"]["sha256"]
        if found:
            step = {"attempt": int(self._directory.name), "cell": found.cell, "before": self._executed, "after": now}
            self._went_on.append(step)
            provenance["went_on"] = list(self._went_on)
        self._executed = now

    def finish(self) -> None:
        """The notebook is executed: end the kernel, and take over what was left where the first attempt put files."""
        self.kernel.end()
        if self._directory == self._first:
            return
        outputs = self._directory / "outputs"
        for left in (self._first / "outputs").iterdir():
            target = outputs / left.name
            if not target.exists():
                left.rename(target)
