"""Batches: one notebook, many rows of parameters, each a task of a plan that the engine runs like every other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast
from weakref import WeakValueDictionary

from orchestrator_nb import displays
from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.values import escaped, unescaped
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.headless.checking import checked, notebook_at
from orchestrator_nb.headless.folder import Folder
from orchestrator_nb.headless.gathering import Gathering
from orchestrator_nb.headless.grid import Row, plain, rows_of
from orchestrator_nb.headless.index import gallery
from orchestrator_nb.headless.naming import names_of
from orchestrator_nb.headless.results import columns_of, record_of
from orchestrator_nb.ipynb.seeding import environment, seed_of
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.planning.handles import TaskOptions
from orchestrator_nb.projections.words import count
from orchestrator_nb.runtime.companions import BATCH_MARK as MARK
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.storage.workspace import SessionDir

if TYPE_CHECKING:
    import pandas as pd

#: Units in which memory is given, in bytes.
_UNITS = {"": 10**9, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Limited(TypedDict, total=False):
    """What limits the runs of a batch."""

    #: Runs at once; as many as there are cores when left out.
    jobs: int
    #: How often a failed run is tried again, after 5 s, 10 s, ...
    retries: int
    #: Failed runs after which no other one starts; no limit when left out.
    max_failures: int
    #: The same as ``max_failures=1``.
    fail_fast: bool
    #: Seconds that one notebook may take, and each of its cells.
    timeout: float
    cell_timeout: float
    #: How long the kernel of a failed notebook is kept, as ``"1h"`` or in seconds: once the cell is mended,
    #: ``batch.run.retry(NAME, from_failed_cell=True)`` goes on in it. The batch is not over before no kernel is kept;
    #: as many are kept at once as there may be runs. Not when left out.
    keep_kernel_on_error: str | float
    #: Memory that one kernel with its processes may use: ``"500MB"``, ``"2GB"``, or a number of gigabytes.
    memory: str | float
    #: What the random numbers of each run are seeded with (`ipynb.seeding`).
    seed: int


class Options(Limited, total=False):
    """Options of a batch beside its parameters."""

    #: Folder for the executed notebooks and the tables; NOTEBOOK-runs in the current directory when left out.
    output: str | Path
    #: Template of the notebooks' names (`headless.naming`).
    name: str
    #: Go on with the batch that the folder holds, if it holds one: what has completed with the same notebook and
    #: parameters is kept, what failed or was not started is run.
    resume: bool
    #: Start anew in a folder that holds something already; what has the same name is replaced.
    force: bool


def batch(
    notebook: str | Path,
    *,
    grid: Mapping[str, Any] | None = None,
    rows: Any = None,
    params: Mapping[str, Any] | None = None,
    show: bool = True,
    **options: Unpack[Options],
) -> Batch:
    """Run `notebook` once for each row of parameters, and return the `Batch` at once.

    In a notebook the cell shows the batch live, and when it has ended each run's last picture and a table of results.
    Headless (papermill, nbconvert) it waits for the end. In a script it returns at once: ``batch(...).wait()``.

    Args:
        notebook: Its path.
        grid: By parameter, the values that it takes: a list, or text such as ``"1..50"`` (`headless.grid`). There is a
            run for each combination.
        rows: A table with a row a run: the path of a CSV, JSON, YAML or Parquet file, a list of mappings, a mapping of
            lists, or a DataFrame. With `grid`, each row is run with each combination.
        params: Values that are the same in all runs.
        show: False for neither display nor waiting.
        options: As in `Options`.

    Raises:
        ParameterError: With all that is wrong with the parameters of all rows, before any kernel starts.
        CommandRefused: The output folder holds another batch.
        OrchestratorError: There is no such notebook, or an option makes no sense.

    >>> batch("model.ipynb", grid={"x": range(1, 51), "model": ["a", "b"]}, jobs=2).wait().results  # doctest: +SKIP
    """
    constant = {name: plain(value) for name, value in (params or {}).items()}
    started = start(notebook, grid=grid, rows=rows, params=constant, **options)
    if show and displays.in_ipython():
        displays.front_end().batch_started(started)
    return started


def start(
    notebook: str | Path,
    *,
    grid: Mapping[str, Any] | None = None,
    rows: Any = None,
    params: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Batch:
    """As `batch`, without showing anything. Text in `params` is read in the type of its parameter, but for that which
    is `ipynb.given.Text`; `settings` are those found when left out.
    """
    path = notebook_at(notebook)
    folder = Folder(Path(options.get("output") or f"{path.stem}-runs"))
    orchestrator = Orchestrator(settings)
    going_on, force = bool(options.get("resume")), bool(options.get("force"))
    if going_on and force:
        raise CommandRefused("to go on (resume) and to start anew (force) exclude each other")
    earlier = folder.earlier() if going_on else None
    before = Session.open(earlier, orchestrator.settings).plan if earlier is not None else None
    runs, options = asked_for(path, before, grid, rows, params, options)
    plan = plan_of(path, runs, options)
    if earlier is None:
        folder.check_free(path, runs, force=force or going_on)
        folder.claim(session="", notebook=str(path))
        run = orchestrator.run(plan)
    elif (running := _batches.get(earlier)) is not None and not running.run.done:
        return _the_same(running, plan.build())
    else:
        run = orchestrator.go_on(earlier, plan)
    _mark(run, folder, path)
    return Batch(run, folder, str(path))


def asked_for(
    path: Path, before: Plan | None, grid: Mapping[str, Any] | None, rows: Any, params: Any, options: Options
) -> tuple[dict[str, Row], Options]:
    """The rows by their names, checked, and the options; those of the plan `before` where nothing else is given.

    Raises `ParameterError` with all that is wrong, and `CommandRefused` for names that collide.
    """
    if before is not None and grid is None and rows is None and not params:
        return {task.id: unescaped(task.parameters) for task in before.tasks}, {**options_of(before), **options}
    table = checked(path, rows_of(grid, rows, params))
    return dict(zip(names_of(table, options.get("name"), path.stem), table, strict=True)), options


#: The batches of this process, by their sessions' directories.
_batches: WeakValueDictionary[Path, Batch] = WeakValueDictionary()


def _the_same(running: Batch, plan: Plan) -> Batch:
    """The batch that goes on already, if it is what was asked for: a cell that is run twice starts nothing twice."""
    if differences(running.run.plan, plan):
        raise CommandRefused(
            f"session {running.id} is still being run with other rows or options: wait() until it is over, or stop() it"
        )
    return running


def _mark(run: Run, folder: Folder, notebook: Path) -> None:
    """Let the session and the folder know of each other."""
    run.directory.root.write_atomic(
        MARK, json.dumps({"output": str(folder.path), "notebook": str(notebook)}), sync=True
    )
    folder.claim(session=str(run.path), notebook=str(notebook))


def _mark_of(session: SessionDir) -> tuple[Folder, str]:
    """The folder and the notebook of a session that is a batch."""
    try:
        mark = json.loads(session.root.read_bytes(MARK, 2**20))
        return Folder(Path(mark["output"])), str(mark["notebook"])
    except (OrchestratorError, ValueError, KeyError, TypeError) as error:
        raise OrchestratorError(f"session {session.id} is no batch of notebooks, or {MARK} in it is damaged") from error


def plan_of(notebook: Path, rows: Mapping[str, Row], options: Limited | None = None) -> PlanBuilder:
    """The plan of a batch: a task for each of the `rows`, which are checked already, by its name.

    Raises `PlanError`, `ParameterError` or `OrchestratorError` for options that make no sense.
    """
    given: Limited = options or {}
    limits = {"max_parallel": given.get("jobs") or len(os.sched_getaffinity(0)), "max_failures": _max_failures(given)}
    plan = PlanBuilder(f"{notebook.stem}: {count(len(rows), 'run')}", limits=limits, merge="table")
    task: TaskOptions = {}
    if given.get("timeout") is not None:
        task["timeout"] = float(given["timeout"])
    if given.get("cell_timeout") is not None:
        task["cell_timeout"] = float(given["cell_timeout"])
    if given.get("keep_kernel_on_error") is not None:
        task["keep_kernel_on_error"] = given["keep_kernel_on_error"]
    if given.get("retries"):
        task["retry"] = given["retries"] + 1
    if given.get("memory") is not None:
        task["resources"] = {"memory_gb": memory_gb(given["memory"])}
    if given.get("seed") is not None:
        task["env"] = environment(given["seed"])
        seed_of(task["env"])  # raises for one that is none
    path = escaped(str(notebook))
    for name, row in rows.items():
        task["id"] = name
        plan.notebook(path, escaped(row), **task)
    return plan


def options_of(plan: Plan) -> Limited:
    """The options with which the plan of a batch was made."""
    task = plan.tasks[0]
    given: dict[str, Any] = {
        "jobs": plan.limits.max_parallel,
        "max_failures": plan.limits.max_failures,
        "timeout": task.timeout,
        "cell_timeout": task.cell_timeout,
        "keep_kernel_on_error": task.keep_kernel_on_error,
        "retries": task.retry.attempts - 1 if task.retry else None,
        "seed": seed_of(task.env),
        "memory": task.resources.memory_gb if task.resources else None,
    }
    return cast("Limited", {name: value for name, value in given.items() if value is not None})


def _max_failures(options: Limited) -> int | None:
    number = options.get("max_failures")
    if options.get("fail_fast"):
        if number not in (None, 1):
            raise OrchestratorError(f"fail_fast means max_failures=1, not {number}: give one of the two")
        return 1
    return number


def memory_gb(given: str | float) -> float:
    """Gigabytes (10^9 bytes) in ``500MB``, ``2 GB``, ``2``. Raises `OrchestratorError`."""
    text = str(given).strip().upper().removesuffix("B").rstrip()
    unit = text[-1:] if text[-1:] in _UNITS else ""
    try:
        value = float(text.removesuffix(unit)) * _UNITS[unit] / 10**9
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise OrchestratorError(f"memory {given!r}: write 500MB, 2GB, or a number of gigabytes")
    return value


# -- the batch ---------------------------------------------------------------------------------------------------------


class Batch:
    """A batch that runs, or has run. It goes on in the background; wait with `wait()`, or with ``await``."""

    def __init__(self, run: Run, folder: Folder, notebook: str) -> None:
        #: The run of its plan: everything that a `Run` can be asked and told.
        self.run = run
        self._folder = folder
        self._gathering = Gathering(run, folder, notebook)
        run.companion = self
        _batches[run.path] = self

    @classmethod
    def of_run(cls, run: Run) -> Batch:
        """The batch whose session `run` goes on with. Raises `OrchestratorError` if it is none."""
        return run.companion if isinstance(run.companion, cls) else cls.going_on(run.directory)(run)

    @classmethod
    def going_on(cls, session: SessionDir) -> Callable[[Run], Batch]:
        """What makes a batch of a run that goes on with this `session`. Raises `OrchestratorError` if it is none."""
        folder, notebook = _mark_of(session)
        return lambda run: cls(run, folder, notebook)

    def __repr__(self) -> str:
        with self.run.state() as state:
            done = sum(number for status, number in state.counts.items() if status.settled)
            return f"<Batch {self.run.id} {self.status}: {done} of {count(len(state.tasks), 'run')} in {self.output}>"

    @property
    def output(self) -> Path:
        """The folder with the executed notebooks; `index.html`, `results.csv` and `final_output.md` come at the end."""
        return self._folder.path

    @property
    def id(self) -> str:
        """The session's id."""
        return self.run.id

    @property
    def status(self) -> str:
        """As that of its `run`."""
        return self.run.status

    @property
    def done(self) -> bool:
        """Whether it is over, and the folder complete."""
        return self.run.done and self._gathering.done

    def complete(self, timeout: float | None = None) -> None:
        """Wait until the folder is complete. Raises as `wait`."""
        self._gathering.wait(timeout)

    def wait(self, timeout: float | None = None) -> Batch:
        """Wait until it is over and the folder complete, and return it.

        Ctrl-C once stops it, twice halts it; in a notebook an interrupt only ends the waiting. Raises `TimeoutError`
        after `timeout` seconds, and what broke the run or the folder if something did (`StorageError`). A notebook that
        failed is no such error: look at `status` and `failed`.
        """
        self.run.wait(timeout)
        return self

    def __await__(self) -> Generator[Any, None, Batch]:
        """``await batch``: wait in any asyncio loop."""
        return self._wait_async().__await__()

    async def _wait_async(self) -> Batch:
        await self.run
        return self

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` in some thread once it is over and the folder complete."""
        self._gathering.on_done(callback)

    # -- what came of it -----------------------------------------------------------------------------------------------

    @property
    def results(self) -> list[dict[str, Any]]:
        """A row a run, as it stands: its parameters, status, duration in seconds, recorded values, files, error.

        The columns are those of `results.csv`, the values JSON; paths are relative to `output`.
        """
        results = self._gathering.results()
        columns = columns_of(results)
        return [record_of(result, columns) for result in results]

    @property
    def failed(self) -> list[str]:
        """The names of the runs that failed; ``batch.run[name]`` has all about one."""
        return [row["run"] for row in self.results if row["status"] == "failed"]

    def to_frame(self) -> pd.DataFrame:
        """`results` as a pandas DataFrame, with the run's name as index. Raises `OrchestratorError` without pandas."""
        try:
            import pandas as pd
        except ImportError:
            raise OrchestratorError("to_frame() needs pandas: pip install pandas") from None
        rows = self.results
        return pd.DataFrame(rows, columns=list(rows[0])).set_index("run")

    def gallery(self) -> dict[str, str]:
        """Each run's last picture and the table of results, as ``text/html`` and ``text/plain``."""
        return gallery(self._gathering.results(), self._folder.read, os.path.relpath(self.output))

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def stop(self, by: str = "", reason: str = "") -> None:
        """No further notebook starts; it ends when the running ones have. Resumable."""
        self.run.stop(by, reason)

    def halt(self, by: str = "", reason: str = "") -> None:
        """Emergency: running notebooks are ended too. Resumable."""
        self.run.halt(by, reason)

    def _ipython_display_(self) -> None:
        displays.front_end().batch_started(self)
