"""What attempts to break out have in common. Runs inside, with nothing but the standard library."""

# Calls of the system as they are.
# ruff: noqa: PTH108, PTH110, PTH116, PTH118, PTH123

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterable
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"

#: What is laid out outside (`escapes`).
BAITS: dict[str, Any] = {}


class Blocked(Exception):  # noqa: N818
    """An attempt that was stopped, or has nothing to try."""


def call(result: int) -> int:
    """The result of a function of libc. Raises `OSError` if it failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def outside(*parts: str) -> str:
    """A path in the directory of the baits, which was not granted."""
    return os.path.join(BAITS["base"], *parts)


def really_outside(*parts: str) -> str:
    """A path to change. Raises `Blocked` if it is in a directory that only has the same name in here."""
    facts = os.stat(outside())
    if [facts.st_dev, facts.st_ino] != BAITS["identity"]:
        raise Blocked("a directory of this name is here, but not the one outside")
    return outside(*parts)


def work(*parts: str) -> str:
    """A path in the granted directory."""
    return outside("work", *parts)


def read(path: str) -> str:
    """The text of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def reveal(path: str) -> str:
    """Read a bait."""
    if BAITS["token"] not in read(path):
        raise Blocked("the file is there, but not the one outside")
    return f"read {path}"


def first_of(attempt: Callable[[str], str], objects: Iterable[str]) -> str:
    """What the attempt got that was the first not to be stopped. Raises what stopped the last."""
    stopped: Exception = Blocked("nothing to try")
    for thing in objects:
        try:
            return attempt(thing)
        except (OSError, Blocked) as error:
            stopped = error
    raise stopped


def first_success(*attempts: Callable[[], str]) -> str:
    """The same for different attempts."""
    return first_of(lambda number: attempts[int(number)](), map(str, range(len(attempts))))


def open_to_write(path: str) -> str:
    """Open a file that decides too much to really write to it."""
    os.close(os.open(path, os.O_WRONLY))
    return f"opened {path} to write"


def write(path: str) -> str:
    """Add to a file, or make one."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("planted\n")
    return f"wrote {path}"


def write_briefly(path: str) -> str:
    """Make a file and remove it."""
    told = write(path)
    os.unlink(path)
    return told


def victim() -> int:
    """The process outside. Raises `Blocked` if this pid is another's in here."""
    pid = int(BAITS["victim"])
    if os.path.exists(f"/proc/{pid}") and BAITS["token"] not in read(f"/proc/{pid}/cmdline"):
        raise Blocked("the process is not to be seen")
    return pid
