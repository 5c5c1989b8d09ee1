"""A notebook, or a session, as one HTML file that can be sent to anybody: no script, nothing fetched from elsewhere."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.headless.report_cells import cells_html, title_of
from orchestrator_nb.headless.report_page import Html, folded, named_values, page, picture, table
from orchestrator_nb.ipynb.document import Notebook, parse_notebook, read_notebook
from orchestrator_nb.ipynb.provenance import kept_in, provenance_of
from orchestrator_nb.ipynb.scraps import scraps_of
from orchestrator_nb.projections.rendering import markdown_html, text_html
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.words import count, duration, timestamp
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings

#: Executed notebooks that a session's report holds, and bytes of all pictures of its final document.
MAX_NOTEBOOKS = 100
MAX_PICTURES = 32 * 2**20

_PICTURE = re.compile(r"\.(?:png|jpe?g|gif)$", re.IGNORECASE)


def report(target: str | Path, *, inputs: bool = True, settings: Settings | None = None) -> str:
    """The report of a notebook (a path that ends in .ipynb) or of a session (its id, or its directory), as HTML.

    Without `inputs` it holds no code: for readers who only want what came of it.

    Raises:
        NotebookError: The file is no notebook, or cannot be read.
        SessionNotFound: There is no such session.
        OrchestratorError: nbconvert is not installed.

    >>> Path("report.html").write_text(report("results/x_1.ipynb", inputs=False))  # doctest: +SKIP
    """
    _check_installed()
    path = Path(target)
    if path.suffix == ".ipynb":
        return notebook_report(read_notebook(path), path, inputs=inputs)
    return session_report(Session.open(target, settings), inputs=inputs)


def _check_installed() -> None:
    try:
        import nbconvert  # noqa: F401 - whether it is there
    except ImportError as error:
        raise OrchestratorError(f"a report needs nbconvert ({error}): pip install nbconvert") from None


# -- a notebook --------------------------------------------------------------------------------------------------------


def notebook_report(notebook: Notebook, path: Path, *, inputs: bool = True) -> str:
    """The report of a notebook; `path` is its file."""
    title = title_of(notebook)
    heading = "" if title else f"<h1>{text_html(path.stem)}</h1>"
    body = f"<header>{heading}{''.join(_facts(notebook, path))}</header>\n"
    return page(title or path.stem, body + cells_html(notebook, path.absolute().parent, inputs=inputs))


def _facts(notebook: Notebook, path: Path) -> Iterator[str]:
    """What is said of an executed notebook before its cells."""
    told = _mapping(notebook["metadata"], "papermill")
    words = [f"<code>{text_html(path.name)}</code>"]
    if isinstance(told.get("start_time"), str):
        words.append(f"executed {escape(_when(told['start_time']))}")
    if isinstance(told.get("duration"), int | float):
        words.append(f"in {escape(duration(float(told['duration'])))}")
    yield f"<p>{', '.join(words)}</p>"
    if told.get("exception"):
        yield f'<p class="failed">{_failure(notebook)}</p>'
    yield named_values("parameter", _mapping(told, "parameters"))
    yield named_values("recorded", scraps_of(notebook))
    yield folded("What decided it", _decided(notebook))


def _when(text: str) -> str:
    """A time of papermill, in UTC, to the second."""
    try:
        return f"{timestamp(datetime.datetime.fromisoformat(text).timestamp())} UTC"
    except ValueError:
        return text[:40]


def _failure(notebook: Notebook) -> str:
    for cell in notebook["cells"]:
        for output in cell.get("outputs") or ():
            if output.get("output_type") == "error":
                what = f"{output.get('ename')}: {output.get('evalue')}"
                return f'It failed: <a href="#papermill-error-cell">{text_html(what, 300)}</a>'
    return "It failed."


def _decided(notebook: Notebook) -> str:
    """What the executed notebook records of its execution, as a table."""
    recorded = provenance_of(notebook)
    if not recorded:
        return ""
    interpreter, git = _mapping(recorded, "interpreter"), _mapping(recorded, "git")
    packages = interpreter.get("packages")
    lock = packages if isinstance(packages, list) else []
    dirty = " (with changes that were not committed)" if git.get("dirty") else ""
    facts = {
        "notebook": f"{_mapping(recorded, 'notebook').get('path')}, SHA-256 {_hash(recorded, 'notebook')}",
        "parameters": f"SHA-256 {_hash(recorded, 'parameters')}",
        **{f"input {name}": _file(file) for name, file in _mapping(recorded, "inputs").items()},
        "interpreter": f"{interpreter.get('implementation')} {interpreter.get('version')}, {interpreter.get('system')}",
        "kernel": _mapping(kept_in(notebook), "kernel").get("mode"),
        "seed": "none" if recorded.get("seed") is None else recorded["seed"],
        "environment": ", ".join(f"{name}={value}" for name, value in _mapping(recorded, "environment").items()),
        "git revision": f"{git.get('revision')} {git.get('branch')}{dirty}" if git else None,
    }
    rows = [(name, value) for name, value in facts.items() if value not in (None, "")]
    installed = f"<pre>{escape(chr(10).join(str(line) for line in lock))}</pre>"
    return table(("what", ""), rows) + (folded(count(len(lock), "package"), installed) if lock else "")


def _hash(recorded: Mapping[str, Any], name: str) -> str:
    return str(_mapping(recorded, name).get("sha256"))[:16]


def _file(file: Any) -> str:
    return f"{file.get('path')}, SHA-256 {str(file.get('sha256'))[:16]}" if isinstance(file, Mapping) else ""


def _mapping(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = facts.get(name)
    return value if isinstance(value, Mapping) else {}


# -- a session ---------------------------------------------------------------------------------------------------------


def session_report(session: Session, *, inputs: bool = True) -> str:
    """The report of a session: its graph, its tasks, its final document, and its executed notebooks."""
    title = session.plan.title or session.id
    parts = [
        _head(session, title),
        f'<section class="graph">{_graph(session)}</section>',
        f"<section><h2>Tasks</h2>{_tasks(session)}</section>",
        _document(session),
        *_notebooks(session, inputs=inputs),
    ]
    return page(title, "\n".join(part for part in parts if part))


def _head(session: Session, title: str) -> str:
    state = session.state
    took = (state.ended_at or state.at) - state.run_started_at if state.run is not None else 0.0
    status = session.status
    mark = "good" if status == "completed" else "bad"
    when = f"{timestamp(state.ended_at or state.at)} UTC"
    return f"""<header><h1>{text_html(title)}</h1>
<p><b class="{mark}">{text_html(status)}</b>, {escape(when)}, in {escape(duration(max(0.0, took)))},
session <code>{text_html(session.id)}</code></p>
{named_values("parameter", state.params)}</header>"""


def _graph(session: Session) -> str:
    from orchestrator_nb.projections.figure import png
    from orchestrator_nb.projections.layout import GraphView, collapse_by_phase, layout

    statuses = {task.id: task.status.value for task in session.state.by_index}
    view = collapse_by_phase(GraphView.of_plan(session.plan, statuses, {}))
    placed = layout(view)
    return picture(png(placed, view, theme="light"), png(placed, view, theme="dark"), "The graph of the tasks")


def _tasks(session: Session) -> str:
    plan = session.plan
    rows = [
        (
            agent_label(task.number),
            task.id,
            plan.tasks[task.index].title,
            Html(f'<b class="{_mark(task)}">{text_html(STATUSES[task.status].name)}</b>'),
            "" if task.duration is None else duration(task.duration),
            (task.error or (f"blocked by {task.blocked_by}" if task.blocked_by else "")).strip().partition("\n")[0],
        )
        for task in session.state.by_index
    ]
    return table(("Agent", "Task", "Title", "Status", "Took", "About"), rows)


def _mark(task: TaskState) -> str:
    return "good" if task.status is TaskStatus.COMPLETED else "bad" if task.status is TaskStatus.FAILED else ""


def _document(session: Session) -> str:
    if session.state.merged is None:
        return "<section><p>The session has no final document.</p></section>"
    return f"<section><h2>Result</h2>{markdown_html(session.result, images=_pictures(session))}</section>"


def _pictures(session: Session) -> dict[str, bytes]:
    """The pictures that the final document may show, by the path that it gives."""
    pictures: dict[str, bytes] = {}
    room = MAX_PICTURES
    for task in session.state.by_index:
        for output in task.outputs:
            if _PICTURE.search(output.path) and output.size <= room:
                pictures[output.path] = session.read(output)
                room -= output.size
    return pictures


def _notebooks(session: Session, *, inputs: bool) -> Iterator[str]:
    left = [(task, output) for task in session.state.by_index for output in task.outputs if _is_notebook(output.path)]
    for task, output in left[:MAX_NOTEBOOKS]:
        path = session.path / output.path
        notebook = parse_notebook(session.read(output), path)
        facts = "".join(_facts(notebook, path))
        cells = cells_html(notebook, path.parent, inputs=inputs)
        yield f'<section class="notebook"><h2>{text_html(task.id)}</h2>{facts}{cells}</section>'
    if len(left) > MAX_NOTEBOOKS:
        yield f"<p>… and {count(len(left) - MAX_NOTEBOOKS, 'more notebook')}: one by one with 'orchestrate report'.</p>"


def _is_notebook(path: str) -> bool:
    return path.endswith(".ipynb")
