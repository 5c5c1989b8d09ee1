"""What all strategies of merging have in common: they are given what was collected and a desk at which they may ask.

Three write the document themselves (`WRITERS`): they are plain functions of the collection. Two have it written: by an
agent, by a notebook. To whoever merges they are all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import Work
from orchestrator_nb.merging.collection import Collection


class Document(NamedTuple):
    """A merged document."""

    text: str
    #: What people should know about it.
    warnings: tuple[str, ...] = ()
    #: The strategy that made it, where that is not the one that was asked for.
    instead: str = ""


class Desk(Protocol):
    """Where a strategy has work done."""

    async def ask(self, work: Work, label: str, files: Mapping[str, str]) -> Any:
        """Have `work` done by an agent, and return its answer: text or another JSON value.

        Args:
            work: Whose texts hold no ``${...}``.
            label: What it is, in a few words, for people.
            files: Parameters of the work that are files: name -> what is in it.

        Raises:
            AgentError: The agent has failed, for good; the message says how.
        """

    async def compute(self, writer: Callable[[Collection], str], collection: Collection) -> str:
        """What a function makes of the collection, in a thread: a large one takes its time."""

    def tell(self, message: str) -> None:
        """Tell people how far it is."""


Strategy = Callable[[Collection, Merge, Desk], Awaitable[Document]]


def writing(writer: Callable[[Collection], str]) -> Strategy:
    """The strategy that is this function of the collection; it asks nobody."""

    async def strategy(collection: Collection, _: Merge, desk: Desk) -> Document:
        return Document(await desk.compute(writer, collection))

    return strategy
