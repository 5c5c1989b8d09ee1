"""How runs, sessions and plans show themselves: `orchestrator_nb.displays` finds this module by its name."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.jupyter.cells import print_text
from orchestrator_nb.jupyter.environment import Environment, current_cell, environment
from orchestrator_nb.jupyter.gallery import show_gallery
from orchestrator_nb.jupyter.plans import plot_plan, show_plan
from orchestrator_nb.jupyter.view import View, view_of
from orchestrator_nb.planning.goal import load_goal
from orchestrator_nb.planning.sources import is_prompt, plan_from
from orchestrator_nb.runtime.plans import resolve_params
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session

__all__ = [
    "View",
    "batch_started",
    "going_on_in_this_cell",
    "plot_plan",
    "show",
    "show_plan",
    "started",
    "view_of",
    "waited",
]

#: By cell: the execution in which a run was started last, and the run.
_started_in: WeakValueDictionary[str, Run] = WeakValueDictionary()
_executions: dict[str, str] = {}
#: By run: the execution of a cell that shows it already; and whether a headless notebook has shown its end.
_shown_in: WeakKeyDictionary[Run, str] = WeakKeyDictionary()
_shown_end: WeakKeyDictionary[Run, bool] = WeakKeyDictionary()


def show(shown: Run | Session) -> None:
    """Show a run or session: live while there is something to steer, else as what stays of it."""
    execution = current_cell()[1]
    if isinstance(shown, Run) and execution and _shown_in.get(shown) == execution:
        return  # this cell shows it already: `orchestrate(...)` did
    view_of(shown).show_or_settle()


def started(run: Run) -> None:
    """Show a run that a cell just started; in a headless notebook wait for it before."""
    cell, execution = current_cell()
    if cell:
        _started_in[cell], _executions[cell] = run, execution
    match environment():
        case Environment.NOTEBOOK:
            _shown_in[run] = execution
            view_of(run).show()
        case Environment.HEADLESS:
            _wait_until_only_people_can_go_on(run)
            _show_headless(run)
        case Environment.TERMINAL:
            print_text(f"{run!r}. run.show() shows how it stands, run.wait() waits for its end.")


def batch_started(batch: Any) -> None:
    """Show a batch: its run as every other, and below what came of it."""
    execution = current_cell()[1]
    if execution and _shown_in.get(batch.run) == execution:
        return  # this cell shows it already: `batch(...)` did
    if batch.run.done:
        _shown_in[batch.run] = execution
        view_of(batch.run).show_or_settle()
    else:
        started(batch.run)
    show_gallery(batch)


def waited(run: Run) -> None:
    """A cell waited for the run: a headless notebook that has shown it, but not its end, shows that."""
    if environment() is Environment.HEADLESS and _shown_end.get(run) is False:
        _show_headless(run)


def going_on_in_this_cell(plan: Any, params: Mapping[str, Any] | None) -> Run | None:
    """The run of this plan that an earlier execution of this very cell started, if it still goes on.

    Running a cell twice must not do its work twice (row F3); several runs started by one execution are meant.
    """
    cell, execution = current_cell()
    run = _started_in.get(cell) if cell else None
    if run is None or run.done or _executions.get(cell) == execution:
        return None
    if not _is_run_of(run, plan, params):
        return None
    print_text(
        f"The run {run.id} that this cell started still goes on: it is shown again, no second one was started. "
        "Stop it first, or call orchestrate(..., again=True)."
    )
    return run


def _is_run_of(run: Run, plan: Any, params: Mapping[str, Any] | None) -> bool:
    with run.state() as state:
        accepted, goal = state.accepted, state.goal
    if goal is not None or is_prompt(plan):
        kept = run.directory.blobs.get(goal.goal) if goal is not None else b""
        return bool(kept) and is_prompt(plan) and load_goal(kept).request == plan.strip()
    loaded = plan_from(plan)
    if loaded.plan != run.plan or accepted is None:
        return False
    here = Path(accepted.cwd)
    return resolve_params(run.plan, params or {}, base=loaded.base, cwd=here) == accepted.params


def _show_headless(run: Run) -> None:
    _shown_in[run], _shown_end[run] = current_cell()[1], run.done
    view_of(run).show()


def _wait_until_only_people_can_go_on(run: Run) -> None:
    """Wait for the end of the run, or until nothing goes on in it before somebody answers a question."""
    changed = threading.Event()
    remove = run.subscribe(lambda _: changed.set())
    run.on_done(changed.set)
    told = ""
    try:
        while not run.done:
            with run.state() as state:
                if _waits_for_people(state):
                    questions = ", ".join(f"'{checkpoint.task}'" for checkpoint in state.open_checkpoints)
                    print_text(f"The run waits for a person: {questions}. Answer with run.approve(TASK, ANSWER).")
                    return
            if not told and (told := run.waits):
                print_text(told)  # in another terminal: this cell waits, as the kernels end with the run
            changed.wait()
            changed.clear()
    finally:
        remove()


def _waits_for_people(state: State) -> bool:
    busy = (
        TaskStatus.RUNNING,
        TaskStatus.PENDING,
        TaskStatus.RETRYING,
        TaskStatus.AWAITING_QUOTA,
        TaskStatus.AWAITING_REVIEW,
    )
    return bool(state.open_checkpoints) and not any(state.counts[status] for status in busy)
