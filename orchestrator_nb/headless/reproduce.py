"""Running again what was run, and comparing: an executed notebook, a folder of them, or a finished session.

    reproduce("results/x_1.ipynb")           # one executed notebook
    reproduce("results/")                    # every executed notebook in a folder, such as a batch's
    reproduce(".orchestrator/latest")        # a session: all of its tasks, and final_output.md byte by byte

Nothing of it is changed: everything runs in a temporary workspace, or in a folder that is named for it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec

from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, NotebookError, OrchestratorError, RunError, RunFailed
from orchestrator_nb.headless.notebook_comparison import Rules, compare_notebooks
from orchestrator_nb.headless.reproduction import Checked, Reproduction
from orchestrator_nb.headless.rerunning import Executed, is_executed, plan_of
from orchestrator_nb.headless.session_rerun import check_functions, compare_sessions, replaying, start_again
from orchestrator_nb.ipynb.document import read_notebook
from orchestrator_nb.runtime.orchestrator import Functions, Orchestrator
from orchestrator_nb.runtime.results import executed_notebook
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.remedies import refused
from orchestrator_nb.storage.settings import Settings

__all__ = ["Checked", "Options", "Reproduction", "Rerun", "reproduce", "rerun"]


class Options(TypedDict, total=False):
    """How something is run again and compared."""

    #: Empty or new folder for the notebooks that are executed anew and their session; else nothing of it is kept.
    output: str | Path
    #: Seed of the notebooks' kernels; when left out the one that each was executed with, if any.
    seed: int
    #: The share of a picture's pixels that may differ: 0.01 is one of a hundred.
    tolerance: float
    #: Compare only the cells that ask for it (`nbval-check-output`).
    lax: bool
    #: Notebooks or tasks that run at once.
    jobs: int
    #: Functions that a session was started with, where its plan names them ``:name``.
    functions: Functions
    settings: Settings


class Rerun:
    """What is being run again; once `run` is over, `result` compares."""

    def __init__(self, run: Run, compare: Callable[[], Reproduction]) -> None:
        self.run = run
        self._compare = compare

    def result(self) -> Reproduction:
        """What came of it. Raises `RunFailed` if it was stopped before its end."""
        if self.run.status not in ("completed", "failed"):
            raise RunFailed(f"the reproduction was {self.run.status}: nothing was compared")
        return self._compare()


def reproduce(target: str | Path, **options: Unpack[Options]) -> Reproduction:
    """Run `target` again, wait for it, and compare; see the module for what it can be.

    Raises:
        NotebookError: The notebook cannot be read, or was never executed; or the folder holds no such notebook.
        SessionNotFound: There is no such session.
        CommandRefused: The session has not ended, or the output folder is not empty.
        RunFailed: The run was stopped before its end.

    >>> reproduce("results/", seed=1).same  # doctest: +SKIP
    """
    with rerun(target, **options) as running:
        running.run.wait()
        return running.result()


@contextmanager
def rerun(target: str | Path, **options: Unpack[Options]) -> Iterator[Rerun]:
    """As `reproduce`, for who wants to look on: the context starts it, and ends it when it is left."""
    with _folder(options.get("output")) as folder:
        settings = options.get("settings") or Orchestrator().settings
        orchestrator = Orchestrator(msgspec.structs.replace(settings, workspace=folder / ".orchestrator"))
        kept = folder if options.get("output") is not None else None
        path = Path(target)
        if (path.is_dir() and not (path / "events.jsonl").is_file()) or path.suffix == ".ipynb":
            running = _of_notebooks(path, folder, kept, orchestrator, options)
        else:
            running = _of_session(target, settings, kept, orchestrator, options)
        try:
            yield running
        finally:
            if not running.run.done:
                with suppress(CommandRefused, RunError):
                    running.run.halt(by="reproduce")
            with suppress(OrchestratorError):
                running.run.wait()


@contextmanager
def _folder(output: str | Path | None) -> Iterator[Path]:
    """The folder in which it runs; a temporary one is removed at the end."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="orchestrate-reproduce-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary).resolve()
        return
    folder = Path(output).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandRefused(f"{folder} is not empty: choose another folder (-o) for what is made again")
    except OSError as error:
        raise refused("write", folder, error) from error
    yield folder


def _rules(options: Options) -> Rules:
    return Rules(options.get("tolerance", 0.0), options.get("lax", False))


# -- notebooks ---------------------------------------------------------------------------------------------------------


def _of_notebooks(target: Path, folder: Path, kept: Path | None, orchestrator: Orchestrator, options: Options) -> Rerun:
    executed = executed_in(target)
    plan = plan_of(executed, folder / ".executed-again", options.get("seed"))
    run = orchestrator.run(plan, jobs=options.get("jobs"))

    def compare() -> Reproduction:
        with run.state() as state:
            ended = list(state.by_index)
        checked = [_checked(one, run, task, kept, _rules(options)) for one, task in zip(executed, ended, strict=True)]
        return Reproduction(str(target), tuple(checked), kept)

    return Rerun(run, compare)


def executed_in(target: Path) -> list[Executed]:
    """The executed notebook in the file `target`, or those in the folder and below it. Raises `NotebookError`."""
    if not target.is_dir():
        notebook = read_notebook(target)
        if not is_executed(notebook):
            raise NotebookError(f"notebook {target} was not executed: there is nothing to reproduce")
        return [Executed(_shown(target), notebook, Path(target.name))]
    found = []
    for path in sorted(target.rglob("*.ipynb")):
        if any(part.startswith(".") for part in path.relative_to(target).parts):
            continue
        notebook = read_notebook(path)
        if is_executed(notebook):
            relative = path.relative_to(target)
            found.append(Executed(str(relative), notebook, relative))
    if not found:
        raise NotebookError(f"{target} holds no executed notebook: there is nothing to reproduce")
    return found


def _shown(path: Path) -> str:
    """A path for people: from the current directory on, where it lies in that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _checked(one: Executed, run: Run, task: TaskState, kept: Path | None, rules: Rules) -> Checked:
    """An executed notebook with what was made of it now."""
    path = executed_notebook(run.directory, task)
    if path is None:
        return Checked(
            one.name, "notebook", (task.error or f"it was not executed: {task.status}",), notes=tuple(one.notes)
        )
    again = read_notebook(path)
    if kept is not None:
        _keep(path, kept / one.kept_as)
    cells = compare_notebooks(one.notebook, again, rules)
    failed = _failed_in(one)
    differs: list[str] = []
    if failed != (task.status is not TaskStatus.COMPLETED):
        now = task.error.strip().partition("\n")[0] or str(task.status)
        differs.append("it failed then, and does not now" if failed else f"it did not fail then: {now}")
    return Checked(one.name, "notebook", tuple(differs), cells, cells.reasons, tuple(one.notes))


def _failed_in(one: Executed) -> bool:
    told = one.notebook["metadata"].get("papermill")
    return bool(told.get("exception")) if isinstance(told, dict) else False


def _keep(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    except OSError as error:
        raise refused("write", target, error) from error


# -- sessions ----------------------------------------------------------------------------------------------------------


def _of_session(
    target: str | Path, settings: Settings, kept: Path | None, orchestrator: Orchestrator, options: Options
) -> Rerun:
    session = Session.open(target, settings)
    functions = options.get("functions") or {}
    orchestrator = Orchestrator(replaying(orchestrator.settings, session))
    check_functions(session, functions)
    run = start_again(session, orchestrator, options.get("seed"), options.get("jobs"), functions)

    def compare() -> Reproduction:
        again = Session(run.directory, run.settings)
        checked = compare_sessions(session, again, _rules(options))
        return Reproduction(f"session {session.id}", tuple(checked), kept)

    return Rerun(run, compare)
