"""Processes that outlive their attempt: the kernel of a failed notebook, until somebody goes on in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from orchestrator_nb.core.ports import Process
from orchestrator_nb.errors import AgentError, CommandRefused
from orchestrator_nb.projections.going_on import moment, whole

#: Seconds from TERM to KILL for what is not needed any more.
GRACE = 2.0


@dataclass(slots=True)
class Kept:
    """A process that is kept."""

    process: Process
    #: The attempt that started it.
    attempt: int
    #: When it is ended, in seconds since the epoch.
    until: float
    watching: asyncio.Task[None] = field(init=False)


class Keeper:
    """What one run keeps: at most one process a task, and at most `limit` at once. To be used on the run's loop.

    A process is a kept one, or belongs to an attempt, never both. Whatever is kept is started by the run's supervisor,
    and so ends with the run in any case.
    """

    def __init__(self, session: PurePath, limit: int = 0) -> None:
        """`session` is the session's directory, for people."""
        self.limit = limit
        #: Called when something that was kept has ended.
        self.on_end: Callable[[], object] = lambda: None
        self._session = session
        self._kept: dict[str, Kept] = {}
        #: Tasks that are going to go on in what is kept of them; why nothing is kept any more, by task.
        self._claimed: set[str] = set()
        self._ended: dict[str, str] = {}

    @property
    def until(self) -> dict[str, float]:
        """The tasks of which something is kept, and until when, in seconds since the epoch. From any thread."""
        return {task: kept.until for task, kept in self._kept.copy().items()}

    @property
    def used(self) -> bool:
        """Whether anything is kept, or waited for."""
        return bool(self._kept or self._claimed)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def claim(self, task: str) -> None:
        """The task's next attempt is to go on in what is kept. Raises `CommandRefused` if nothing is."""
        if task not in self._kept:
            raise CommandRefused(self._nothing(task))
        self._claimed.add(task)

    # -- attempts ------------------------------------------------------------------------------------------------------

    async def begin(self, task: str) -> None:
        """An attempt begins: what is kept is ended, unless the attempt is going to go on in it."""
        if task in self._kept and task not in self._claimed:
            await self._remove(task, "it ended when the notebook was started anew").terminate(GRACE)

    def end(self, task: str) -> None:
        """Nobody goes on in what is kept: an attempt has ended, or was not begun."""
        self._claimed.discard(task)

    def keep(self, task: str, attempt: int, process: Process, seconds: float) -> float:
        """Keep a process that `attempt` started; returns until when. Raises `AgentError` if there are enough."""
        if len(self._kept) >= self.limit:
            raise AgentError(f"{len(self._kept)} are kept already, as many as may run at once")
        kept = self._kept[task] = Kept(process, attempt, time.time() + seconds)
        kept.watching = asyncio.get_running_loop().create_task(self._watch(task, kept, seconds))
        return kept.until

    def take(self, task: str) -> Kept | None:
        """What the attempt that has begun is to go on in; None if it is a whole one.

        Raises `AgentError` if there was something when that was asked for, and has ended since.
        """
        if task not in self._claimed:
            return None
        self._claimed.discard(task)
        if task not in self._kept:
            raise AgentError(self._nothing(task))
        kept = self._kept[task]
        self._remove(task, "it belongs to the attempt that goes on in it")
        return kept

    def close(self) -> None:
        """The run ends, and its supervisor ends what is kept."""
        for kept in self._kept.values():
            kept.watching.cancel()
        self._kept.clear()

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _watch(self, task: str, kept: Kept, seconds: float) -> None:
        """Wait for the end of a process, or of its time."""
        try:
            await asyncio.wait_for(kept.process.wait(), seconds)
            why = "it has died meanwhile"
        except TimeoutError:
            why = f"it was kept until {moment(kept.until)}"
        if self._kept.get(task) is kept:
            del self._kept[task]
            self._ended[task] = why
            await kept.process.terminate(GRACE)
            self.on_end()

    def _remove(self, task: str, why: str) -> Process:
        kept = self._kept.pop(task)
        kept.watching.cancel()
        self._ended[task] = why
        return kept.process

    def _nothing(self, task: str) -> str:
        why = self._ended.get(task, "it was not kept (the option keep_kernel_on_error keeps it)")
        return f"task '{task}' has no live kernel: {why}. To run the whole notebook again: {whole(self._session, task)}"
