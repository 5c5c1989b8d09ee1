from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    CommandRun,
    ErrorSeen,
    FileEdit,
    Finished,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    Thought,
    ToolCall,
)
from orchestrator_nb.agents.coding.words import Teller, words_for

DENIED = PermissionDenied(1, "Bash", "make", "This command requires approval", "mode", "event", "b")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Started(1, "s", "opus"), "at work (opus)"),
        (Text(1, "I will\n  look."), "I will look."),
        (Text(1, "I", partial=True), ""),
        (Thought(1, "hm"), ""),
        (ToolCall(1, "a", "Bash", "ls -l"), "Bash: ls -l"),
        (FileEdit(1, "/place/src/a.py", "add"), "wrote src/a.py"),
        (CommandRun(1, "make", 2), "exit code 2: make"),
        (CommandRun(1, "make", 0), ""),
        (DENIED, "refused: Bash make: This command requires approval"),
        (Retry(1, 1, 3, 2.0, 529, "overload"), "tries again (overload, 529)"),
        (RateLimit(1), "the usage limit is reached"),
        (ErrorSeen(1, "other", "odd"), "warning: odd"),
        (Finished(1, ok=True), ""),
    ],
)
def test_each_event_in_a_few_words(event: AgentEvent, words: str) -> None:
    assert words_for(event, "/place") == words


def test_a_refusal_that_only_a_program_tells_of_is_marked() -> None:
    denied = PermissionDenied(1, "Bash", "touch /x", "Permission denied", "directory", "text")
    assert words_for(denied).endswith("(as a program that it ran says)")


class Services:
    """Takes what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def progress(self, message: str = "", done: int = 0, total: int = 0, *, logged: bool = False) -> None:
        self.told.append(message)


def teller(clock: list[float]) -> tuple[Teller, list[str]]:
    services = Services()
    return Teller(services, Redactor(["a-secret-value"]), lambda: clock[0]), services.told  # type: ignore[arg-type]


def test_a_talkative_agent_is_told_of_once_a_second() -> None:
    clock = [0.0]
    tell, told = teller(clock)
    for number in range(1000):
        clock[0] = number / 100
        tell.see(ToolCall(number, str(number), "Read", f"{number}.py"))
    tell.flush()
    assert 10 <= len(told) <= 12
    assert told[0] == "Read: 0.py"
    assert told[-1].endswith("Read: 999.py")


def test_what_was_held_back_is_told_when_it_is_time() -> None:
    clock = [0.0]
    tell, told = teller(clock)
    tell.see(Text(1, "one"))
    tell.see(Text(2, "two a-secret-value"))
    tell.tick()
    assert told == ["one"]
    clock[0] = 1.0
    tell.tick()
    assert told == ["one", "two [redacted]"]


def test_what_came_before_a_refusal_is_told_before_it() -> None:
    tell, told = teller([0.0])
    tell.see(Text(1, "one"))
    tell.see(Text(2, "two"))
    assert told == ["one"]
    tell.see(DENIED)  # is told by itself (`reporting`)
    assert told == ["one", "two"]


def test_a_path_is_told_from_where_the_agent_works(tmp_path: Path) -> None:
    tell, told = teller([0.0])
    tell.top = str(tmp_path)
    tell.see(ToolCall(1, "a", "Write", f"{tmp_path}/src/a.py"))
    assert told == ["Write: src/a.py"]
