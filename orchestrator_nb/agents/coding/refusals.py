"""Refusals by the operating system, as programs report them: where a sandbox stops a command, nobody else says so.

Only the output of commands that agents ran is searched, never what a model says. A program can print whatever it
likes: what is found here is of source `text`, for people, and widens nothing by itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from orchestrator_nb.agents.coding.vocabulary import Need

_WORDS = r"[Rr]ead-only file system|[Oo]peration not permitted|[Pp]ermission denied"
#: ``touch: cannot touch 'x': Read-only file system``, ``OSError: [Errno 30] Read-only file system: 'x'``,
#: ``Error: EROFS: read-only file system, open 'x'``: a program's name first, the words last or before the path.
_LINE = re.compile(
    rf"^(?P<before>[^\n]{{1,400}}?(?::|\]) ?)(?P<words>{_WORDS})(?P<after>(?:[:,] [^\n]{{0,300}})?)\s*$", re.MULTILINE
)
_QUOTED = re.compile(r"['\"‘`]([^'\"’`\n]+)['\"’`]")
_NETWORK = re.compile(r"\b(urlopen|socket|connect|connection|network|curl|resolve)", re.IGNORECASE)

#: What is in all of `_WORDS`: looked for first, as that takes a tenth of the time.
_ANYWHERE = ("ead-only file system", "peration not permitted", "ermission denied")

#: How much of an output's beginning and end is searched, in characters.
_SEARCHED = 50_000


class Refusal(NamedTuple):
    """What a program could not do."""

    #: Its line.
    reason: str
    #: The path it names, or empty.
    path: str
    need: Need


def refused(output: str, command: str = "", code: int | None = None) -> Refusal | None:
    """The first refusal by the system in what `command` printed, or None.

    A command that itself holds the words (``echo ...: Permission denied``) proves nothing. One that ended well
    (`code` 0) tells of a refusal only if it names both the program that complains and the path (``touch x; true``):
    else it may have printed somebody else's words, as of a log.
    """
    if len(output) > 2 * _SEARCHED:
        output = f"{output[:_SEARCHED]}\n{output[-_SEARCHED:]}"
    if not any(words in output for words in _ANYWHERE):
        return None
    for found in _LINE.finditer(output):
        if found["words"].lower() in command.lower():
            continue
        line = found[0].strip()
        path = _path(found["before"], found["after"])
        if code == 0 and not (path and path in command and line.partition(":")[0] in command):
            continue
        if _NETWORK.search(line):
            return Refusal(line[:500], "", "network")
        return Refusal(line[:500], path, "directory")
    return None


def _path(before: str, after: str) -> str:
    for part in (after, before):
        if quoted := _QUOTED.findall(part):
            return str(quoted[-1])
    words = before.rstrip(": ").rsplit(": ", 1)  # bash: line 1: x.txt: Read-only file system
    if len(words) != 2 or "[Errno" in words[1]:
        return ""
    path = words[1].strip()
    return path.rpartition(" ")[2] if path.startswith(("cannot ", "can't ", "could not ", "unable to ")) else path
