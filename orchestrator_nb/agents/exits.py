"""How a process ended, in words for people."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from pathlib import Path

from orchestrator_nb.core.ports import Exit, Failure
from orchestrator_nb.errors import UnsafePath
from orchestrator_nb.system.reading import open_regular

#: `sysexits.h`: a temporary failure, worth another attempt.
EX_TEMPFAIL = 75

#: Why a process that did not end by itself was ended.
_REASONS = {
    "memory": "used more memory than `resources.memory_gb` allows, and was ended",
    "processes": "started more processes than it may, and was ended",
    "supervisor_lost": "the process that supervised it was ended, and it with it",
    "cancelled": "was cancelled",
}


def failure_of(end: Exit, log: Path, ok_exit_codes: Collection[int] = (0,)) -> Failure | None:
    """The failure that `end` means, with the last lines of `log`, or None if the exit code is in order."""
    if end.reason == "exited" and end.code in ok_exit_codes:
        return None
    error = words_for(end)
    if said := last_lines(log):
        error += f": {said}"
    kind = end.reason if end.reason != "exited" else "signal" if end.code < 0 else "exit_code"
    return Failure(error, kind, end.code == EX_TEMPFAIL, end.code if end.code >= 0 else None)


def words_for(end: Exit) -> str:
    """What `end` means, in a sentence without a full stop."""
    if end.reason != "exited":
        return _REASONS.get(end.reason, end.reason) + (f" ({end.note})" if end.note else "")
    if end.code < 0:
        hint = "; SIGKILL from outside is often the system being out of memory" if end.code == -signal.SIGKILL else ""
        return f"was ended by {_signal(-end.code)}{hint}"
    said = f"failed with exit code {end.code}"
    if end.code == 126:
        return f"{said} (a program was found but cannot be executed)"
    if end.code == 127:
        return f"{said} (a program was not found; is it installed in this environment?)"
    if end.code > 128 and (name := _signal(end.code - 128)).startswith("SIG"):
        return f"{said} (what a shell says of a program that was ended by {name})"
    return said


def warnings_of(end: Exit) -> tuple[str, ...]:
    """What people should know about a process that ended well."""
    warnings = []
    if end.leftovers:
        warnings.append(f"{_counted(end.leftovers, 'process')} that it had left behind had to be ended")
    if end.lost:
        note = f" ({end.note})" if end.note else ""
        warnings.append(f"{_counted(end.lost, 'byte')} of its output are not in the log{note}")
    return tuple(warnings)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_lines(path: Path, lines: int = 5, limit: int = 1000) -> str:
    """The last lines of a log as text of at most `limit` characters; empty if there is none."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * limit))
            text = file.read(4 * limit).decode("utf-8", "replace")
    except (FileNotFoundError, UnsafePath):
        return ""
    last = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(last)[-limit:]
