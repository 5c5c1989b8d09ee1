"""What a run and a session on disk can both be asked: for a task, a table, the story, a timeline, another try."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from orchestrator_nb import displays
from orchestrator_nb.core.analysis import plan_priorities
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.projections.lines import Lines
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.usage import TotalUsage, of_run, of_task
from orchestrator_nb.runtime.task_view import Source, TaskView, Text
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.storage.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from orchestrator_nb.runtime.run import Run

#: Lines of a run's story that are told: the latest.
MAX_LINES = 10_000


class Explored(Source, Protocol):
    """What is needed to answer: a `Run`, or a `Session`."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    def _is_running(self) -> bool:
        """Whether anybody runs it."""

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """The functions that were handed in."""


class Explorable:
    """Base of `Run` and `Session`."""

    @property
    def view(self) -> Any:
        """It as a notebook shows it (`jupyter.view.View`), and its parts: `run.view.graph`, ..."""
        return displays.front_end().view_of(self)

    def show(self) -> None:
        """Show it: live in a notebook while there is something to steer, else as what stays; as text in a terminal."""
        displays.front_end().show(self)

    def _ipython_display_(self) -> None:
        self.show()

    def __getitem__(self: Explored, task_id: str) -> TaskView:
        """``run["T-03"]``: one task. Raises `UnknownTask`, a `KeyError` that names the nearest id."""
        return TaskView(self, task_id)

    def __contains__(self: Explored, task_id: object) -> bool:
        """``"T-03" in run``: whether the plan has such a task."""
        with self._reading() as state:
            return task_id in state.tasks

    def _ipython_key_completions_(self: Explored) -> list[str]:
        with self._reading() as state:
            return [task.id for task in state.by_index]

    @property
    def log(self: Explored) -> str:
        """What happened, line by line, in local time; of a long story the latest 10,000 lines, and a line that says so.

        >>> print(run.log)  # doctest: +SKIP
        [14:30:00] Code review: 3 tasks
        [14:30:00] Run 1 started
        ...
        """
        lines = Lines(datetime.now().astimezone().tzinfo)  # type: ignore[arg-type]
        told: deque[str] = deque(maxlen=MAX_LINES)
        number = 0
        with self._reading() as held:
            state = held  # only titles are read of it, which may be done while it goes on
        for record in read_records(self.directory.log_path):
            new = lines.of(record, state)
            number += len(new)
            told.extend(new)
        earlier = [f"… [{number - len(told):,} earlier lines]"] if number > len(told) else []
        return Text("\n".join([*earlier, *told]))

    @property
    def usage(self: Explored) -> TotalUsage:
        """What coding agents have used in all its attempts: tokens, US dollars (None: unknown), seconds.

        >>> print(run.usage)  # doctest: +SKIP
        1,234 tokens in, 56 out, at least 0.2500 $
        """
        with self._reading() as state:
            return of_run(state)

    def to_frame(self: Explored) -> pd.DataFrame:
        """The tasks as a pandas DataFrame, a row each in plan order, with the id as index.

        Times are in UTC, durations in seconds (of the last attempt); tokens and cost (US dollars) are those of coding
        agents in all attempts, and missing where they are not wholly known. Raises `OrchestratorError` without pandas.

        >>> run.to_frame().groupby("agent").duration.sum()  # doctest: +SKIP
        """
        try:
            import pandas as pd
        except ImportError:
            raise OrchestratorError("to_frame() needs pandas: pip install pandas") from None
        with self._reading() as state:
            rows = _rows(state)
        frame = pd.DataFrame(rows, columns=["id", *_COLUMNS]).set_index("id")
        for name in ("started", "ended"):
            frame[name] = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
        frame["status"] = pd.Categorical(frame["status"], categories=[status.value for status in TaskStatus])
        whole = dict.fromkeys(("exit_code", "input_tokens", "output_tokens"), "Int64")
        return frame.astype({"duration": "float64", "cost": "float64", **whole})

    def timeline(self: Explored, ax: Axes | None = None, *, theme: Literal["light", "dark"] = "light") -> Figure:
        """A Gantt chart of all attempts, with the chain of tasks that determined the end (the critical path).

        Args:
            ax: Axes to draw into; a new figure when left out.
            theme: `light` or `dark`.

        Raises:
            CommandRefused: No task was started yet.
        """
        from orchestrator_nb.projections.timeline import timeline
        from orchestrator_nb.projections.timeline_figure import draw, figure

        with self._reading() as state:
            plan, session = state.plan, state.session
        now = time.time() if self._is_running() else None
        told = timeline(read_records(self.directory.log_path), plan, now) if plan is not None else None
        if told is None or not told.lanes:
            raise CommandRefused(f"no task of session {session} was started yet: there is no timeline to draw")
        if ax is None:
            return figure(told, theme)
        drawn = draw(ax, told, theme).get_figure(root=True)
        assert drawn is not None
        return drawn

    def rerun(
        self: Explored,
        task_id: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        jobs: int | None = None,
        output: str | Path | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Run:
        """Try a task again in a new session, with other parameters: it, and what depends on it, runs anew.

        What else has completed is taken over with its results, where its fingerprint is unchanged. Functions that were
        handed to this run are handed on; those of a session on disk have to be handed in again.

        Args:
            task_id: The task.
            parameters: Put over the task's own `parameters`, name by name.
            params: Values of the plan's parameters; those of this session hold where none is given.
            jobs: Tasks running at once.
            output: Directory into which the results are put when the run ends.
            functions: Callables for functions that are referred to as ``:name``.

        Raises:
            CommandRefused: There is no such task, or this session is still being run: its unfinished tasks would run
                in both.
            PlanError: The plan makes no sense with these parameters.
            ParameterError: A value of `params` is unknown or of the wrong type.
            AgentError: The task's agent does not take these parameters.

        >>> again = run.rerun("T-03", {"threshold": 0.7}).wait()  # doctest: +SKIP
        >>> compare(run, again)  # doctest: +SKIP
        """
        from orchestrator_nb.runtime.orchestrator import Orchestrator

        TaskView(self, task_id)
        if self._is_running():
            raise CommandRefused(
                f"session {self.directory.id} is still being run, and its unfinished tasks would run in both: "
                "wait() until it is over, or stop() it first"
            )
        return Orchestrator(self.settings).fork(
            self.directory.path,
            task_id,
            params,
            parameters=parameters,
            jobs=jobs,
            output=output,
            functions={**self.functions(), **(functions or {})},
        )


_COLUMNS = ("title", "agent", "phase", "priority", "status", "attempts", "started", "ended", "duration", "exit_code",
            "error", "blocked_by", "taken_over_from", "depends_on", "input_tokens", "output_tokens",
            "cost")  # fmt: skip


def _rows(state: State) -> list[tuple[Any, ...]]:
    """A row a task, as `_COLUMNS` says."""
    if state.plan is None:
        return []
    return [
        (
            task.id,
            one_line(spec.label),
            spec.kind,
            spec.phase,
            priority.value,
            task.status.value,
            task.attempt,
            task.started_at,
            task.ended_at,
            task.duration,
            task.exit_code,
            one_line(task.error, 1000),
            task.blocked_by,
            task.reused_from,
            spec.upstream,
            *_used(state, task.id),
        )
        for task, spec, priority in zip(state.by_index, state.plan.tasks, plan_priorities(state.plan), strict=True)
    ]


def _used(state: State, task_id: str) -> tuple[int | None, int | None, float | None]:
    """Tokens and cost of a task's coding agent, as far as they are wholly known."""
    usage = of_task(state, task_id)
    if not usage.attempts or usage.counted < usage.attempts:
        return None, None, usage.cost if usage.attempts else None
    return usage.input_tokens, usage.output_tokens, usage.cost
