"""The document that a notebook writes: it reads what was collected, and its result is the document."""

from __future__ import annotations

import msgspec

from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import Work
from orchestrator_nb.core.reports import Report, as_json
from orchestrator_nb.errors import AgentError
from orchestrator_nb.merging.collection import Collection, Contribution
from orchestrator_nb.merging.strategies import Desk, Document
from orchestrator_nb.projections.text import clean

#: The notebook's parameter that is the path of a JSON file with all that was collected.
PARAMETER = "collection"


async def by_notebook(collection: Collection, merge: Merge, desk: Desk) -> Document:
    """Execute the notebook; what its cell tagged `result` shows is the document. Raises `AgentError`."""
    work = Work(notebook=merge.notebook, parameters=merge.parameters)
    told = msgspec.json.format(msgspec.json.encode(as_data(collection))).decode()
    answer = await desk.ask(work, f"the notebook {merge.notebook}", {PARAMETER: told})
    if not isinstance(answer, str) or not answer.strip():
        raise AgentError(f"the notebook {merge.notebook} shows no text: tag the cell that shows the document `result`")
    return Document(f"{clean(answer, len(answer)).rstrip()}\n")


def as_data(collection: Collection) -> dict[str, object]:
    """What was collected, as JSON: `title`, and `results` in dependency order."""
    return {"title": collection.title, "results": [_as_data(item) for item in collection.contributions]}


def _as_data(item: Contribution) -> dict[str, object]:
    result = None if item.result is msgspec.UNSET else item.result
    return {
        "agent": item.agent,
        "task": item.task,
        "title": item.title,
        "status": str(item.status),
        "result": as_json(result) if isinstance(result, Report) else result,
        "file": item.file,
        "outputs": dict(item.outputs),
        "missing": item.missing,
    }
