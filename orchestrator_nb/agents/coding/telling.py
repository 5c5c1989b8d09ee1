"""The raw log of a coding agent told in words, line by line: what it said, called, wrote, ran, and was refused.

The log holds what the program printed, mostly JSON; this is how people read it. Nothing is left out of the log itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from orchestrator_nb.agents.coding.cli import Clis, Parser
from orchestrator_nb.agents.coding.recent import Recent
from orchestrator_nb.agents.coding.streams import Lines
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    CommandRun,
    ErrorSeen,
    Finished,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    Thought,
    ToolResult,
    Unknown,
)
from orchestrator_nb.agents.coding.words import words_for
from orchestrator_nb.errors import AgentError
from orchestrator_nb.projections.text import clean, one_line

#: How a line is to be marked.
Mark = Literal["", "warning", "error"]
#: A line for people, cleaned, and its mark.
Told = tuple[str, Mark]

#: Agents of other kinds, which have no such log.
_OTHERS = frozenset(["function", "shell", "notebook", "human", "simulated", "none"])
#: Lines of what a command printed, and of what an agent thought, that are told; characters of a line.
_OUTPUT, _THOUGHT, _WIDTH = 12, 4, 2000


def parser_for(kind: str) -> Parser | None:
    """What reads the log of an agent of this kind (`core.models.Task.kind`), or None if nothing here does.

    To look at a log nothing is imported that a plan names: such a CLI is known in the process that runs it.
    """
    if kind in _OTHERS or (":" in kind and kind.partition(":")[0] not in sys.modules):
        return None
    try:
        return Clis().get(kind).parser()
    except AgentError:
        return None


class Telling:
    """One attempt's log, in words.

    Args:
        parser: Of the program that wrote it.
    """

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._lines = Lines()
        #: Where the agent works: paths in it are told from there.
        self._top = ""
        #: Calls whose refusal was told.
        self._denied: Recent[bool] = Recent()

    def feed(self, chunk: bytes) -> list[Told]:
        """What the lines say that `chunk` completes."""
        return [told for number, line in self._lines.feed(chunk) for told in self._told(number, line)]

    def end(self) -> list[Told]:
        """What is still held back, once nothing more comes."""
        told = [told for number, line in self._lines.end() for told in self._told(number, line)]
        return told + [each for event in self._parser.end() for each in self._words(event)]

    def _told(self, number: int, line: bytes) -> Iterator[Told]:
        events = self._parser.output(number, line)
        if any(isinstance(event, Unknown) for event in events):
            yield one_line(line[:_WIDTH], _WIDTH), ""
            return
        told_better = any(isinstance(event, CommandRun) for event in events)
        again = {event.id for event in events if isinstance(event, PermissionDenied) and self._denied.get(event.id)}
        for event in events:
            if isinstance(event, PermissionDenied) and event.id:
                self._denied[event.id] = True
        for event in events:
            if isinstance(event, PermissionDenied) and event.id in again:
                continue  # only its source is a better one
            if not (isinstance(event, ToolResult) and (told_better or self._denied.get(event.id))):
                yield from self._words(event)

    def _words(self, event: AgentEvent) -> Iterator[Told]:
        match event:
            case Started(cwd=cwd):
                self._top = cwd
                yield f"[{self._short(event)}]", ""
            case Text(text=text, partial=False):
                yield from ((line, "") for line in clean(text).strip("\n").split("\n"))
            case Thought(text=text, partial=False) if text.strip():
                yield from ((f"  ~ {line}", "") for line in _some(text, _THOUGHT))
            case CommandRun(output=output, exit_code=code):
                printed = output.removeprefix(f"Exit code {code}\n")  # claude puts it there, too
                yield from ((f"  | {line}", "") for line in _some(printed, _OUTPUT))
                if code:
                    yield f"  exit code {code}", "warning"
            case ToolResult(ok=False, text=text):
                yield from ((f"  | {line}", "warning") for line in _some(text, _OUTPUT))
            case Finished(ok=False, text=text):
                yield one_line(text, _WIDTH) or "it failed", "error"
            case PermissionDenied() | Retry() | RateLimit() | ErrorSeen():
                yield self._short(event).removeprefix("warning: "), "warning"
            case _:
                if words := self._short(event):
                    yield f"> {words}", ""

    def _short(self, event: AgentEvent) -> str:
        return one_line(words_for(event, self._top), _WIDTH)


def _some(text: str, most: int) -> list[str]:
    """The first lines of a text, and how many more there are."""
    lines = [line[:_WIDTH] for line in clean(text).strip("\n").split("\n")]
    if lines == [""]:
        return []
    return lines if len(lines) <= most else [*lines[:most], f"… {len(lines) - most} more lines"]


def in_words(kind: str, log: bytes) -> str | None:
    """A whole log in words; None if it is not of a coding agent that is known here."""
    if (parser := parser_for(kind)) is None:
        return None
    telling = Telling(parser)
    return "".join(f"{line}\n" for line, _ in [*telling.feed(log), *telling.end()])
