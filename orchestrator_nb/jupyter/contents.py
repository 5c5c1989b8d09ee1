"""What came of a task, made for a page: its result, one of its files, its notebook, why it stands as it does.

Everything is bounded, and what agents wrote becomes HTML by `projections.rendering` alone (a field named ``html``);
``lines`` are plain text. Files are read and texts rendered here: call it in a thread that may take its time.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.part import Bundle
from orchestrator_nb.jupyter.subject import Subject
from orchestrator_nb.projections.text import clean, one_line

#: Bytes of a file that is shown in the page.
MAX_FILE = 8 * 1024 * 1024
_MAX_PICTURE = 2 * 1024 * 1024
#: Pictures that a text may show, and results of a saved notebook.
_MAX_SHOWN = 20
_RESULTS = 100
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def content(subject: Subject, spec: Task, task: TaskState, what: str, name: str = "") -> dict[str, Any]:
    """`what` the page asks for: result, file (of this `name`), notebook or why; what cannot be shown says so."""
    try:
        match what:
            case "result":
                return _result(subject, spec, task)
            case "file":
                return _file(subject, task, name)
            case "notebook":
                return _notebook(subject, task)
            case "why":
                return {"lines": list(subject.explain(task.id).sentences)}
    except (OrchestratorError, OSError, ValueError) as error:
        return {"lines": [one_line(str(error), 1000)]}
    return {"lines": []}


def _result(subject: Subject, spec: Task, task: TaskState) -> dict[str, Any]:
    from orchestrator_nb.projections.rendering import plain_html, value_html
    from orchestrator_nb.projections.result_files import is_printed

    if task.status is TaskStatus.COMPLETED:
        value = subject.result_of(task)
        if value is None:
            return {"lines": ["It has no result."]}
        printed = is_printed(spec, task)
        return {"html": value_html(value, task.format, printed=printed, images=_pictures(subject, task, value))}
    if task.error:
        return {"lines": ["It failed:"], "html": plain_html(clean(task.error))}
    return {"lines": ["There is no result yet."]}


def _pictures(subject: Subject, task: TaskState, text: Any) -> dict[str, bytes]:
    """The pictures among its outputs that `text` may show, by the names that it gives them."""
    found: dict[str, bytes] = {}
    for output in task.outputs:
        name = _name(task, output)
        if output.size <= _MAX_PICTURE and len(found) < _MAX_SHOWN and isinstance(text, str) and f"({name}" in text:
            with suppress(OrchestratorError):  # it was changed or removed: told in words
                found[name] = subject.read(output)
    return found


def _name(task: TaskState, output: Artifact) -> str:
    return output.path.removeprefix(f"outputs/{task.id}/")


def _file(subject: Subject, task: TaskState, name: str) -> dict[str, Any]:
    from orchestrator_nb.projections.rendering import markdown_html, plain_html, value_html

    output = next((output for output in task.outputs if _name(task, output) == name), None)
    if output is None:
        return {"lines": ["The task has no such file."]}
    if output.size > MAX_FILE:
        return {"lines": [f"It is too large to be shown here ({output.size:,} bytes)."]}
    data = subject.read(output)
    kind = next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)
    if kind is not None and len(data) <= _MAX_PICTURE:
        return {"image": f"data:{kind};base64,{b64encode(data).decode()}"}
    if b"\0" in data[:8192]:
        return {"lines": ["It is not text, and no picture that can be shown here."]}
    if name.endswith(".ipynb"):
        return _notebook_html(data)
    text = data.decode("utf-8", "replace")
    if name.endswith(".md"):
        return {"html": markdown_html(text, images=_pictures(subject, task, text))}
    if name.endswith(".json"):
        try:
            return {"html": value_html(msgspec.json.decode(data), "json")}
        except (msgspec.DecodeError, RecursionError):
            pass  # no JSON after all: shown as it is
    return {"html": plain_html(text)}


def _notebook(subject: Subject, task: TaskState) -> dict[str, Any]:
    """The executed notebook; while it is being executed, as far as that has come."""
    output = next((output for output in task.outputs if output.path.endswith(".ipynb")), None)
    if task.status is TaskStatus.COMPLETED and output is not None:
        return _notebook_html(subject.read(output))
    root, directory = subject.directory.root, f"{subject.directory.attempt(task.id, task.attempt)}/outputs"
    names = [name for name in root.names(directory) if name.endswith(".ipynb")] if root.exists(directory) else []
    if not names:
        return {"lines": ["Nothing of it has been executed yet."]}
    try:
        return _notebook_html(root.read_bytes(f"{directory}/{names[0]}", MAX_FILE))
    except ValueError:
        return {"again": True}  # it is being written


def _notebook_html(data: bytes) -> dict[str, Any]:
    from orchestrator_nb.projections.notebook_html import notebook_html

    return {"html": notebook_html(data)}


def results(subject: Subject) -> Bundle:
    """The results of all completed tasks, as static outputs."""
    from orchestrator_nb.projections.result_files import json_markdown
    from orchestrator_nb.projections.settled import results_html

    texts: dict[str, str] = {}
    with subject.reading() as state:
        completed = [msgspec.structs.replace(task) for task in state.by_index if task.status is TaskStatus.COMPLETED]
    for task in completed[:_RESULTS]:
        try:
            value = subject.result_of(task)
        except OrchestratorError as error:
            value = f"The result cannot be shown: {one_line(str(error), 500)}"
        if value is not None:
            texts[task.id] = value if isinstance(value, str) else json_markdown(value, 16 * 1024)
    with subject.reading() as state:
        html = results_html(state, texts)
    lines = [f"{task_id}: {one_line(text)}" for task_id, text in texts.items()]
    if len(completed) > _RESULTS:
        lines.append(f"… {len(completed) - _RESULTS:,} more: {subject.path / 'results'}")
    return {"text/html": html, "text/plain": "\n".join(lines) or "No task has a result yet."}
