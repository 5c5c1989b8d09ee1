"""From results to `final_output.md` (S1 4): a strategy turns what was collected into one document.

A strategy is a function from a `Collection` to Markdown. The document holds no times, no absolute paths and nothing
else that differs between two runs with equal results, and text of agents cannot break its structure. A new strategy is
a file with such a function and a line in `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator_nb.merging.collection import Collection, Contribution, checklist, collect
from orchestrator_nb.merging.concatenate import concatenate
from orchestrator_nb.merging.structured import structured
from orchestrator_nb.merging.tabular import tabular

__all__ = ["STRATEGIES", "Collection", "Contribution", "checklist", "collect", "merge"]

STRATEGIES: dict[str, Callable[[Collection], str]] = {
    "structured": structured,
    "concatenate": concatenate,
    "table": tabular,
}


def merge(strategy: str, collection: Collection) -> str:
    """The merged document. Raises `KeyError` for a strategy that does not exist; the plan's models allow none such."""
    return STRATEGIES[strategy](collection)
