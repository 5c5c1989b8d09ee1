"""From results to `final_output.md` (S1 4): a strategy turns what was collected into one document.

The document holds no times, no absolute paths and nothing else that differs between two runs with equal results, and
text of agents cannot break its structure. A new strategy is a file with a function and a line in `STRATEGIES`, or in
`WRITERS` if it needs nobody else.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator_nb.core.merges import Merge
from orchestrator_nb.errors import AgentError
from orchestrator_nb.merging.by_agent import by_agent
from orchestrator_nb.merging.by_notebook import by_notebook
from orchestrator_nb.merging.collection import Collection, Contribution, checklist, collect
from orchestrator_nb.merging.concatenate import concatenate
from orchestrator_nb.merging.strategies import Desk, Document, Strategy, writing
from orchestrator_nb.merging.structured import structured
from orchestrator_nb.merging.tabular import tabular

__all__ = [
    "FALLBACK",
    "STRATEGIES",
    "WRITERS",
    "Collection",
    "Contribution",
    "Desk",
    "Document",
    "checklist",
    "collect",
    "merge",
    "merged",
]

#: The strategies that write the document themselves.
WRITERS: dict[str, Callable[[Collection], str]] = {
    "structured": structured,
    "concatenate": concatenate,
    "table": tabular,
}
STRATEGIES: dict[str, Strategy] = {
    **{name: writing(writer) for name, writer in WRITERS.items()},
    "agent": by_agent,
    "notebook": by_notebook,
}
#: What is done when a strategy fails that needs others.
FALLBACK = "structured"


def merge(strategy: str, collection: Collection) -> str:
    """The document by one of `WRITERS`. Raises `KeyError` for any other strategy."""
    return WRITERS[strategy](collection)


async def merged(how: Merge, collection: Collection, desk: Desk) -> Document:
    """The document by any strategy; by `FALLBACK`, with a warning, if whoever it needs fails."""
    try:
        return await STRATEGIES[how.strategy](collection, how, desk)
    except AgentError as error:
        warning = f"the results were merged by the strategy '{FALLBACK}', because '{how.strategy}' failed: {error}"
        return Document(await desk.compute(WRITERS[FALLBACK], collection), (warning,), FALLBACK)
