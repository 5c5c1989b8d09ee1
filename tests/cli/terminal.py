"""The real program on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

from tests.cli.program import PROGRAM, environment
from tests.tools import need

#: What rich writes to place and to colour: everything else that begins with ESC came from somebody else.
RICH = re.compile(r"\x1b\[(?:\d{1,3}(?:;\d{1,3})*)?m|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh]")


class Terminal:
    """``orchestrate ...`` on a pseudo-terminal of `columns` by `rows`."""

    def __init__(self, *args: str, cwd: Path, columns: int = 100, rows: int = 30, **environ: str) -> None:
        need("setsid")
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *PROGRAM, *args],  # it is the session's leader, and the terminal controls it
            cwd=cwd,
            env=environment(**environ),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.raw = b""

    @property
    def text(self) -> str:
        """All that was written so far, without colours and cursor movements."""
        return RICH.sub("", self.raw.decode("utf-8", "replace"))

    def until(self, text: str, timeout: float = 20.0) -> None:
        """Wait until `text` was shown."""
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} was never shown:\n{self.text}"
            assert self._read(0.1), f"it ended without {text!r}:\n{self.text}"

    def until_it_reads(self, timeout: float = 20.0) -> None:
        """Wait until it waits for keys: between its question and that, Python does not see a signal."""
        deadline = time.monotonic() + timeout
        while Path(f"/proc/{self.process.pid}/syscall").read_text().split()[:2] not in (["0", "0x0"], ["63", "0x0"]):
            assert time.monotonic() < deadline, f"it reads nothing:\n{self.text}"
            time.sleep(0.01)

    def end(self, timeout: float = 30.0) -> int:
        """Wait for the end; return the exit code as shells count it."""
        deadline = time.monotonic() + timeout
        while self._read(0.1):
            assert time.monotonic() < deadline, f"it does not end:\n{self.text[-2000:]}"
        code = self.process.wait(10)
        return 128 - code if code < 0 else code

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def hang_up(self) -> None:
        """Close the terminal while the program runs."""
        os.close(self._master)
        self._master = -1

    def _read(self, timeout: float) -> bool:
        """Take in what there is; False once the program has ended and everything was read."""
        if select.select([self._master], [], [], timeout)[0]:
            try:
                self.raw += os.read(self._master, 65536)
            except OSError:  # EIO: nobody has the other end any more
                return False
        return True

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            os.close(self._master)
