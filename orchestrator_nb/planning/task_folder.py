"""Plans as folders of Markdown tasks with front matter (S2).

    tasks/plan.yaml                        title, params, limits, phases, merge (may be missing)
    tasks/01-analysis/02-categorise.md     task `01-analysis/02-categorise` of phase `01-analysis`

The front matter has the plan file's keys for tasks; the text below it is the prompt, unless the front matter says what
to do. Files called README.md and TEMPLATE.md are no tasks. Inputs may be written as S2 does, ``TASK/FILE``. Tasks are
sorted by name, and so that each comes after what it depends on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator_nb.core import faults as core_faults
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.task_checks import WORK_KEYS
from orchestrator_nb.planning.documents import Document, parse, read_document, read_text
from orchestrator_nb.planning.loaded import LoadedPlan, Place, located
from orchestrator_nb.planning.marks import Problem, Unreadable
from orchestrator_nb.planning.validation import validate

#: The file of a folder that says what is not about one task.
PLAN_FILE = "plan.yaml"
_NO_TASKS = frozenset(["README.md", "TEMPLATE.md"])
_FENCE = re.compile(r"---[ \t]*\n")
_END = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"\s*#[ \t]+(.+?)[ \t#]*(?:\n|$)")


@dataclass(frozen=True, slots=True)
class _TaskFile:
    document: Document
    #: The task's data, as a plan file would have it.
    data: dict[str, Any]
    #: Line where the prompt begins.
    prompt_line: int


def load_folder(folder: str | Path, *, topology: bool = False, agents: Collection[str] | None = None) -> LoadedPlan:
    """The plan in a folder; relative paths in it begin there. Arguments as for `plan_file.load_plan`."""
    folder = Path(folder)
    settings_file = folder / PLAN_FILE
    whole = read_document(settings_file, str(settings_file)) if settings_file.exists() else Document("", value={})
    if isinstance(whole.value, dict) and "tasks" in whole.value:
        place = whole.root.at(("tasks",))[:2]
        whole.note(Problem("the tasks of a folder are its .md files", *place, "move each task to a file of its own"))
    files = _sorted([_read_task(folder, path) for path in sorted(_markdown(folder))])
    found = [fault for document in (whole, *(file.document for file in files)) for fault in document.faults]
    if not files:
        message, remedy = "holds no task: no file ends in .md", "write one, with front matter between two lines of ---"
        found.append(Fault("error", message, remedy=remedy, file=str(folder)))
    if not isinstance(whole.value, dict):
        found += [] if whole.faults else [Fault("error", "must be a mapping of keys to values", file=whole.file)]
    if not files or not isinstance(whole.value, dict):
        return LoadedPlan(None, folder.absolute(), str(folder.absolute()), tuple(found))

    def locate(path: core_faults.Path) -> Place:
        if path[:1] != ("tasks",) or len(path) < 2:
            return (whole.file, *whole.locate(path)) if whole.file else (str(folder), 0, 0)
        file = files[int(path[1])]
        if path[2:3] == ("prompt",):
            return file.document.file, file.prompt_line, 1
        return (file.document.file, *file.document.locate(path[2:]))

    plan, faults = validate(_as_plan(whole.value, [file.data for file in files]), topology, agents)
    said = {(fault.file, fault.line) for fault in found}
    unread = {file.document.file for file in files if file.document.value is None}
    for fault in located(faults, locate):
        if (fault.file, fault.line) not in said and fault.file not in unread:
            found.append(replace(fault, remedy="rename the file") if fault.path[2:3] == ("id",) else fault)
    return LoadedPlan(None if said else plan, folder.absolute(), str(folder.absolute()), tuple(found), locate=locate)


def _markdown(folder: Path) -> Iterator[Path]:
    """The Markdown files below `folder`, without hidden ones; links to other folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.endswith(".md") and not name.startswith(".") and name not in _NO_TASKS:
                yield Path(parent, name)


def _read_task(folder: Path, path: Path) -> _TaskFile:
    task_id = path.relative_to(folder).with_suffix("").as_posix()
    document, prompt, prompt_line = Document(str(path)), "", 1
    try:
        front, prompt, prompt_line = _split(read_text(path).replace("\r\n", "\n"))
        document = parse(front, str(path), "yaml", offset=1) if front.strip() else Document(str(path), value={})
    except Unreadable as error:
        document.note(error.problem)
    data = document.value if isinstance(document.value, dict) else {}
    if document.value is not None and data is not document.value:
        document.note(Problem("the front matter must be a mapping of keys to values", 1, 1))
    if data.get("id", task_id) != task_id:
        place = document.root.at(("id",))[:2]
        document.note(Problem(f"the task's id is the name of its file, '{task_id}'", *place, "remove `id`"))
    return _TaskFile(document, _task(task_id, data, prompt), prompt_line)


def _split(text: str) -> tuple[str, str, int]:
    """Front matter, prompt, and the line where the prompt begins. Raises `Unreadable` for one without end."""
    start = _FENCE.match(text)
    if start is None:
        return "", text, 1
    end = _END.search(text, start.end())
    if end is None:
        raise Unreadable("the front matter has no end", 1, 1, "write --- below it, in a line of its own")
    prompt = text[end.end() :].lstrip("\n")
    return text[start.end() : end.start()], prompt, text[: len(text) - len(prompt)].count("\n") + 1


def _task(task_id: str, data: dict[str, Any], prompt: str) -> dict[str, Any]:
    task = {**data, "id": task_id}
    if prompt.strip() and not any(key in task for key in WORK_KEYS):
        task["prompt"] = prompt.strip()
    if "title" not in task and (heading := _HEADING.match(prompt)):
        task["title"] = heading[1]
    if "phase" not in task and "/" in task_id:
        task["phase"] = task_id.partition("/")[0]
    return task


def _sorted(files: list[_TaskFile]) -> list[_TaskFile]:
    """By name, and each after those that it depends on; what is wrong with dependencies is for the checks."""
    ids = [file.data["id"] for file in files]
    known = set(ids)
    upstream = []
    for file in files:
        items = file.data.get("dependencies")
        items = items if isinstance(items, list) else []
        names = [item.get("task") if isinstance(item, dict) else item for item in items]
        upstream.append([name for name in names if isinstance(name, str) and name in known])
    return [files[position] for position in Graph(ids, upstream).sorted_order()]


def _as_plan(settings: Mapping[str, Any], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    ids = {task["id"] for task in tasks}
    for task in tasks:
        task["inputs"] = _inputs(task["inputs"], ids) if "inputs" in task else {}
    phases = settings.get("phases", [])
    if isinstance(phases, list):
        declared = {phase.get("id") for phase in phases if isinstance(phase, dict)}
        folders = sorted({task["id"].partition("/")[0] for task in tasks if "/" in task["id"]})
        phases = [*phases, *({"id": name} for name in folders if name not in declared)]
    return {**settings, "phases": phases, "tasks": tasks}


def _inputs(inputs: Any, ids: Collection[str]) -> Any:
    """S2's ``TASK/FILE`` as the reference that it is."""
    if isinstance(inputs, list):
        return [_input(path, ids) for path in inputs]
    if isinstance(inputs, dict):
        return {name: _input(path, ids) for name, path in inputs.items()}
    return inputs


def _input(path: Any, ids: Collection[str]) -> Any:
    if not isinstance(path, str):
        return path
    parts = path.split("/")
    for end in range(len(parts) - 1, 0, -1):
        if (owner := "/".join(parts[:end])) in ids:
            return f"${{output.{owner}:{'/'.join(parts[end:])}}}"
    return path
