"""After the end of a run: its results are put where people asked for them; litter goes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import StorageError
from orchestrator_nb.kernels.directories import sweep
from orchestrator_nb.runtime.merger import FINAL_OUTPUT
from orchestrator_nb.storage.workspace import SessionDir

#: What a visible copy of the results holds: the document and what it links to.
_RESULTS = (FINAL_OUTPUT, "results", "outputs")


def copy_results(directory: SessionDir, target: Path) -> None:
    """Put the merged document, with the results and outputs that it links to, into a visible directory.

    Raises `StorageError` if that cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in _RESULTS:
            source = directory.path / name
            if source.is_dir():
                shutil.copytree(source, target / name, dirs_exist_ok=True)
            elif source.exists():
                shutil.copyfile(source, target / name)
    except OSError as error:
        raise StorageError(
            f"the results cannot be put into {target}: {error.strerror or error}; they are in {directory.path}"
        ) from error


def remove_sockets(plan: Plan) -> None:
    """Remove what notebooks whose processes were killed have left outside of the session: the sockets of kernels."""
    if any(work.notebook for task in plan.tasks for work in (task, task.fallback) if work is not None):
        sweep(Path(tempfile.gettempdir()))
