"""One process of a coding agent, followed while it runs: its output becomes events, the events a summary."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from orchestrator_nb.agents.coding.cli import CodingCli
from orchestrator_nb.agents.coding.judging import Ended, Judge, Summary
from orchestrator_nb.agents.coding.streams import Reader
from orchestrator_nb.agents.coding.vocabulary import AgentEvent
from orchestrator_nb.agents.coding.watching import Verdict, Watch
from orchestrator_nb.core.ports import Exit, Process
from orchestrator_nb.errors import UnsafePath
from orchestrator_nb.system.reading import open_regular

#: Seconds between two looks at the clock and at standard error.
LOOK = 0.25
#: Bytes of standard error that are read at once, and of its end that a failure is told from.
_BLOCK, _END = 1 << 18, 16_000
#: Bytes of output that are read in one go: a millisecond or two.
_SLICE = 1 << 13
#: Whose turn it is to be read, on each loop: one slice of one agent between two rounds of the loop, so that fifty
#: talkative agents do not keep it from anything else.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process of an agent ended."""

    summary: Summary
    exit: Exit
    #: Why we ended it, if we did.
    verdict: Verdict = ""
    #: What the watch says of that.
    words: str = ""


class Audience(Protocol):
    """Who is told of what an agent does."""

    def see(self, event: AgentEvent) -> None:
        """Something happened."""

    def tick(self) -> None:
        """Some time has passed."""


class Follower:
    """Follows one process to its end.

    Args:
        cli: Whose it is.
        process: The process; it has just been started.
        error_log: Where its standard error goes.
        watch: The clock on it.
        judge: What sums it up.
        audience: Told of each event as it comes.
        begin: Where its part of `error_log` begins, in bytes.
    """

    def __init__(  # noqa: PLR0913
        self,
        cli: CodingCli,
        process: Process,
        error_log: Path,
        watch: Watch,
        judge: Judge,
        audience: Audience,
        begin: int = 0,
    ) -> None:
        self._cli, self._process, self._watch, self._judge, self._audience = cli, process, watch, judge, audience
        self._parser = cli.parser()
        self._output, self._errors = Reader(self._parser.output), Reader(self._parser.errors)
        self._error_log, self._begin, self._error_offset = error_log, begin, begin
        self._verdict: Verdict = ""

    async def follow(self, home: Path, grace: float) -> Ending:
        """Wait for the end of the process, and sum it up.

        Args:
            home: Where the agent keeps its record of the session.
            grace: Seconds from TERM to KILL where the watch ends it.
        """
        since = time.time()
        words = await self._read(grace)
        end = await self._process.wait()
        self._see([*self._output.end(), *self._parser.end()])
        self._read_errors()
        self._see(self._errors.end())
        session = self._judge.summary(end.code).session
        if session:
            self._judge.recall(await asyncio.to_thread(lambda: list(self._cli.recorded(home, session, since))))
        ended: Ended = {"": "itself", "lingering": "lingering"}.get(self._verdict, "timeout")  # type: ignore[assignment]
        said = await asyncio.to_thread(_end_of, self._error_log, self._begin)
        return Ending(self._judge.summary(end.code, said, ended), end, self._verdict, words)

    async def _read(self, grace: float) -> str:
        """Read its output until it has ended; end it if the watch says so, and return why."""
        chunks, words, looked = self._process.output(), "", 0.0
        waiting = asyncio.ensure_future(_next(chunks))
        try:
            while True:
                await asyncio.wait((waiting,), timeout=LOOK)
                if time.monotonic() >= looked + LOOK:
                    self._read_errors()
                    self._audience.tick()
                    looked = time.monotonic()
                if waiting.done():
                    if (chunk := waiting.result()) is None:
                        return words
                    await self._take(chunk)
                    waiting = asyncio.ensure_future(_next(chunks))
                if not self._verdict and (verdict := self._watch.verdict(time.monotonic())):
                    self._verdict, words = verdict, self._watch.words(verdict)
                    await self._process.terminate(grace)
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting

    async def _take(self, chunk: bytes) -> None:
        """Read a chunk of its output, in turns with the others."""
        turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        for begin in range(0, len(chunk), _SLICE):
            async with turn:
                self._see(self._output.feed(chunk[begin : begin + _SLICE]))
                await asyncio.sleep(0)

    def _see(self, events: Iterable[AgentEvent]) -> None:
        now = time.monotonic()
        for event in events:
            self._judge.see(event)
            self._watch.see(event, now)
            self._audience.see(event)

    def _read_errors(self) -> None:
        """Read what was added to standard error since the last look."""
        try:
            with open_regular(self._error_log) as file:
                file.seek(self._error_offset)
                while block := file.read(_BLOCK):
                    self._error_offset += len(block)
                    self._see(self._errors.feed(block))
        except (FileNotFoundError, UnsafePath):
            return


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


def _end_of(path: Path, begin: int) -> str:
    """The end of a file, from `begin` on at most."""
    try:
        with open_regular(path) as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - _END))
            return file.read(_END).decode("utf-8", "replace")
    except (FileNotFoundError, UnsafePath):
        return ""
