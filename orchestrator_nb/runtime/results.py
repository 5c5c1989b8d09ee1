"""What completed tasks left: promoted files, and results as values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.errors import StorageError
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir


def read_artifact(directory: SessionDir, artifact: Artifact, settings: Settings) -> bytes:
    """The content of a promoted file. Raises `StorageError` if it is gone, too large, or no longer what it was."""
    content = directory.root.read_bytes(artifact.path, max(settings.result_cap, artifact.size))
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        raise StorageError(
            f"{directory.path / artifact.path} was changed after its task completed: put it back, or run the task "
            f"again with 'orchestrate fork {directory.id} TASK'"
        )
    return content


def read_result(task: TaskState, read: Callable[[Artifact], bytes]) -> Any:
    """A completed task's result: its JSON value, or its text; None where it has none (or was skipped)."""
    if task.result is None:
        return None if task.value is msgspec.UNSET else task.value
    content = read(task.result)
    return msgspec.json.decode(content) if task.format in ("json", "report") else content.decode("utf-8", "replace")


def executed_notebook(directory: SessionDir, task: TaskState) -> Path | None:
    """The executed notebook of a task's last attempt, also if that failed; None if it left none."""
    for output in task.outputs:
        if output.path.endswith(".ipynb"):
            return directory.path / output.path
    outputs = directory.path / directory.attempt(task.id, task.attempt) / "outputs"
    return min(outputs.glob("*.ipynb"), default=None) if outputs.is_dir() else None
