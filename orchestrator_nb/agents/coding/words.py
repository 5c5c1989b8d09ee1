"""What an agent does, in a few words for people; and refusals, in full."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    CommandRun,
    ErrorSeen,
    FileEdit,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    Thought,
    ToolCall,
)
from orchestrator_nb.core.ports import Services

#: Seconds between two messages of an agent that only goes on; each is an event in the log.
INTERVAL = 1.0
_LONGEST = 120
#: Events that are told of in one message.
_TOGETHER = 4


def words_for(event: AgentEvent, top: str = "") -> str:
    """What happened, in a few words; empty for what nobody needs to be told. Paths below `top` are told from there."""

    def short(text: str) -> str:
        return _short(text.replace(f"{top}/", "") if top else text)

    match event:
        case Started(model=model):
            return f"at work{f' ({model})' if model else ''}"
        case Text(text=text, partial=False):
            return short(text)
        case ToolCall(tool=tool, input=told):
            return short(f"{tool}: {told}" if told else tool)
        case FileEdit(path=path, kind=kind):
            return f"{_EDITS[kind]} {short(path)}"
        case CommandRun(command=command, exit_code=code) if code:
            return short(f"exit code {code}: {command}")
        case PermissionDenied():
            return f"refused: {refusal(event)}"
        case Retry():
            return _short(f"tries again ({event.reason}{f', {event.status}' if event.status else ''})")
        case RateLimit():
            return "the usage limit is reached"
        case ErrorSeen(message=message):
            return short(f"warning: {message}")
    return ""


_EDITS = {"add": "wrote", "update": "changed", "delete": "deleted"}


def refusal(denial: PermissionDenied) -> str:
    """A refused call in one line: what, on what, why."""
    target = f" {_short(denial.target)}" if denial.target else ""
    hint = " (as a program that it ran says)" if denial.source == "text" else ""
    return f"{denial.tool}{target}: {_short(denial.reason, 200)}{hint}"


def _short(text: str, longest: int = _LONGEST) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


class Teller:
    """Tells people what an agent does, at most once in `INTERVAL` seconds. Refusals are `reporting`'s.

    Args:
        services: Where to.
        redactor: Takes secrets out.
        clock: Seconds, monotonic.
    """

    def __init__(self, services: Services, redactor: Redactor, clock: Callable[[], float] = time.monotonic) -> None:
        self._services, self._redactor, self._clock = services, redactor, clock
        self._waiting: deque[AgentEvent] = deque(maxlen=3 * _TOGETHER)
        self._told_at = float("-inf")
        #: The directory in which the agent works: paths in it are told without it.
        self.top = ""

    def see(self, event: AgentEvent) -> None:
        """Tell of an event, now or together with the next ones."""
        if isinstance(event, PermissionDenied):
            self.flush()  # it is told now, by itself
        elif not (isinstance(event, Text | Thought) and event.partial):
            self._waiting.append(event)
            self.tick()

    def say(self, words: str) -> None:
        """Tell this at once, after what is waiting."""
        self.flush()
        self._services.progress(self._redactor.text(words))

    def tick(self) -> None:
        """Tell what is waiting, if it is time."""
        if self._waiting and self._clock() >= self._told_at + INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Tell what is waiting: the last of it, where it is much."""
        found = dict.fromkeys(words for event in self._waiting if (words := words_for(event, self.top)))
        self._waiting.clear()
        if found:
            self._told_at = self._clock()
            self._services.progress(self._redactor.text(" · ".join(list(found)[-_TOGETHER:])), logged=True)
