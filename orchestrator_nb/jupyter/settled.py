"""What stays of a run in a saved notebook: its static outputs, with the texts read from its files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.part import Bundle
from orchestrator_nb.jupyter.pictures import graph_png
from orchestrator_nb.jupyter.subject import Subject
from orchestrator_nb.projections.layout import GraphView
from orchestrator_nb.projections.progress import progress
from orchestrator_nb.projections.settled import settled_bundle
from orchestrator_nb.projections.words import STATUS_LABELS

#: Results that are read, and bytes of a result or a picture above which it is left out.
MAX_RESULTS = 200
MAX_RESULT_BYTES = 256 * 1024
MAX_PICTURE_BYTES = 48 * 1024
MAX_PICTURES = 4


def settled_outputs(subject: Subject) -> list[Bundle]:
    """The run as two outputs: text and tables, then the picture of its graph."""
    with subject.reading() as state:
        tasks = [task for task in state.by_index if task.status is TaskStatus.COMPLETED]
        merged = state.merged
        pictures = [
            output
            for task in tasks
            for output in task.outputs
            if output.path.lower().endswith((".png", ".jpg", ".jpeg", ".gif")) and output.size <= MAX_PICTURE_BYTES
        ]
    document = _read(subject, merged.document).decode("utf-8", "replace") if merged is not None else None
    results = dict(_results(subject, islice(tasks, MAX_RESULTS)))
    images = {picture.path: _read(subject, picture) for picture in pictures[:MAX_PICTURES]}
    with subject.reading() as state:
        bundle = settled_bundle(
            state,
            now=subject.now(),
            status=subject.status,
            document=document,
            results=results,
            path=str(subject.path),
            images=images,
        )
    return [dict(bundle), *settled_graph(subject)]


def settled_graph(subject: Subject) -> list[Bundle]:
    """The picture of the graph, with a line of text; nothing for a session without tasks."""
    with subject.reading() as state:
        if state.plan is None or not state.by_index:
            return []
        statuses = {task.id: task.status.value for task in state.by_index}
        view, summary = GraphView.of_plan(state.plan, statuses), _summary(state, subject.now())
    return [{"image/png": graph_png(view), "text/plain": summary}]


def _summary(state: State, now: float) -> str:
    counts = progress(state, now).counts
    told = ", ".join(f"{number:,} {STATUS_LABELS[status].lower()}" for status, number in counts.items())
    return f"The graph of {len(state.by_index):,} tasks: {told}"


def _results(subject: Subject, tasks: Iterable[TaskState]) -> Iterable[tuple[str, str]]:
    for task in tasks:
        if task.result is not None and task.result.size > MAX_RESULT_BYTES:
            continue
        try:
            value = subject.result_of(task)
        except OrchestratorError as error:
            value = f"(its result cannot be read: {error})"
        if value is not None:
            yield task.id, value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _read(subject: Subject, artifact: Artifact) -> bytes:
    try:
        return subject.read(artifact)
    except OrchestratorError as error:
        return f"(it cannot be read: {error})".encode()
