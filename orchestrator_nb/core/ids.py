"""One grammar for task ids, safe as file names everywhere, with ``/`` for folders (S2 "Task States")."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

#: Longest id, in characters; one path segment may have at most `MAX_SEGMENT`.
MAX_ID = 200
MAX_SEGMENT = 80

_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")
#: Device names that Windows reserves whatever their ending.
_RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))])
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: The grammars as JSON Schema has them (ECMA 262; `(?![\\s\\S])` is the very end, also in Python).
_DEVICE = r"(?:[cC][oO][nN]|[pP][rR][nN]|[aA][uU][xX]|[nN][uU][lL]|(?:[cC][oO][mM]|[lL][pP][tT])[0-9])"
_PART = rf"(?!{_DEVICE}(?:[./]|$))(?![^/]{{{MAX_SEGMENT + 1}}})[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
ID_PATTERN = rf"^{_PART}(?:/{_PART})*(?![\s\S])"
NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(?![\s\S])"


def fault_of_id(task_id: str) -> str | None:
    """Return what is wrong with `task_id` as a sentence for people, or None if it is a good id.

    An id is one or more segments joined by ``/``. A segment is ASCII letters, digits, ``.``, ``_`` and ``-``,
    begins with a letter or digit and does not end with a dot, so that it is the same file name on every system.
    """
    if not task_id:
        return "an id must not be empty"
    if len(task_id) > MAX_ID:
        return f"an id has at most {MAX_ID} characters, this one has {len(task_id)}"
    for segment in task_id.split("/"):
        if not _SEGMENT.fullmatch(segment):
            return (
                "an id is made of letters, digits, '.', '_' and '-', begins with a letter or digit, "
                "and uses '/' only between such parts"
            )
        if len(segment) > MAX_SEGMENT:
            return f"a part of an id has at most {MAX_SEGMENT} characters"
        if segment.partition(".")[0].lower() in _RESERVED:
            return f"'{segment}' is a reserved device name on Windows"
    return None


def is_identifier(name: str) -> bool:
    """Whether `name` can be a parameter, an input or an environment variable's tail: ``[A-Za-z_][A-Za-z0-9_]*``."""
    return _IDENTIFIER.fullmatch(name) is not None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, for "did you mean", or None if none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or an empty string: to be put at the end of an error message."""
    match = nearest(name, known)
    return f"; did you mean '{match}'?" if match else ""


def agent_label(number: int) -> str:
    """S1 2.1's name of an agent: ``Agent-01``, ``Agent-02``, ..."""
    return f"Agent-{number:02d}"
