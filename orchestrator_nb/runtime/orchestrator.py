"""`Orchestrator` and `orchestrate`: from a plan to a run, from a session to its continuation or its fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator_nb import __version__, displays
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core import events as e
from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.errors import AgentError, ParameterError, PlanChanged
from orchestrator_nb.planning.loaded import LoadedPlan
from orchestrator_nb.planning.sources import is_prompt, plan_from
from orchestrator_nb.runtime.budgets import change
from orchestrator_nb.runtime.companions import companion_of
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.fork import carry_goal, reuse, stale_by_fingerprint, with_parameters
from orchestrator_nb.runtime.nesting import enter
from orchestrator_nb.runtime.plans import resolve_params
from orchestrator_nb.runtime.preflight import preflight
from orchestrator_nb.runtime.recovery import reconcile
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session, who
from orchestrator_nb.storage.settings import Settings, load_settings
from orchestrator_nb.storage.workspace import Workspace
from orchestrator_nb.system.loop import submit

if TYPE_CHECKING:
    from orchestrator_nb.runtime.asking import Who

Functions = Mapping[str, Callable[..., Any]]


class Orchestrator:
    """Starts, continues and forks runs, with one set of settings."""

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        """`settings` as found (pyproject.toml, ORCH_* variables) when left out; `overrides` are single settings."""
        self.settings = settings or load_settings(Path.cwd(), os.environ, **overrides)

    def run(  # noqa: PLR0913 - options of a run
        self,
        plan: Any,
        params: Mapping[str, Any] | None = None,
        *,
        jobs: int | None = None,
        output: str | Path | None = None,
        cwd: str | Path | None = None,
        functions: Functions | None = None,
        budget: Any = None,
        **asking: Any,
    ) -> Run:
        """Start a new session of `plan` and return its run at once.

        Args:
            plan: A `Plan`, a builder, or a path: a string that ends in .yaml, .yml or .json, or names a folder of
                Markdown tasks. Any other string with white space in it is a prompt, as for `ask`.
            params: Values of the plan's parameters.
            jobs: Tasks running at once; 1 is S0's sequential mode.
            output: Directory into which the results are put when the run ends, visibly.
            cwd: Where commands run and given paths begin; the current directory when left out.
            functions: Callables for functions that are referred to as ``:name``.
            budget: What the run may use in all, over the plan's `limits.budget`: a number of US dollars, or
                ``5$, 2M tokens, 2h, 40 attempts``.
            asking: For a prompt: `planner`, `verifier`, `approval`, `allow`, as for `ask`.

        Raises:
            PlanError: The plan has faults; all of them are named. Or `budget` is none.
            ParameterError: A parameter is unknown, missing or of the wrong type.
            OrchestratorError: Something that a task needs is missing.
        """
        if is_prompt(plan):
            if params:
                raise ParameterError("a prompt has no parameters: say it in the prompt")
            return self.ask(plan, jobs=jobs, output=output, cwd=cwd, functions=functions, budget=budget, **asking)
        if asking:
            raise TypeError(f"{', '.join(map(repr, asking))} is for prompts: '{plan}' is a plan")
        loaded = self._checked(plan)
        accepted_plan = loaded.require()
        here = Path(cwd or Path.cwd()).resolve()
        values = resolve_params(accepted_plan, params or {}, base=loaded.base, cwd=here)
        functions = {**loaded.functions, **(functions or {})}
        engine = self._begin(functions)
        with _discarded_on_error(engine):
            engine.accept(accepted_plan, values, base=loaded.base, cwd=here, source=loaded.source)
            _budgeted(engine, budget)
            preflight(engine.state, engine.context(), engine.registry)
        return self._go(engine, jobs, output, [str(fault).replace("warning: ", "", 1) for fault in loaded.warnings])

    def ask(  # noqa: PLR0913 - what one can say beside a prompt
        self,
        request: str,
        *,
        planner: Who | None = None,
        verifier: Who | None = None,
        approval: bool = True,
        allow: Iterable[str] = (),
        jobs: int | None = None,
        output: str | Path | None = None,
        cwd: str | Path | None = None,
        functions: Functions | None = None,
        budget: Any = None,
    ) -> Run:
        """Start a session that is to reach what `request` asks for, and return its run at once.

        A planner makes a plan of it, which is shown, and carried out when it was approved (`Run.approve`, by the
        checkpoint ``planning/1-approve``); a verifier judges what was made; what it finds missing is planned, approved
        and carried out as a change of the plan, twice at most (S0).

        Args:
            request: What is to be reached, in words.
            planner: A kind of agent (``claude``), ``function:module:name``, a mapping with an agent and its
                `parameters`, or a function that is given the planner's prompt as `request`; the setting `planner`.
            verifier: The same, also ``command:TEXT``, ``notebook:PATH`` and ``none``; a function is given `request`
                and `results`, a notebook records `passed` and `gaps`. The setting `verifier`, else the planner, if it
                is an agent.
            approval: False to carry out each plan unasked.
            allow: What the plans may use, beside agents of the planner's kind: ``agent:codex``, ``command:pytest -q``,
                ``function:module:name``, ``notebook:PATH``, ``level:full``, ``directory:DIR``, ``env:NAME``,
                ``sandbox:none``, ``address:URL`` (of a model's API).
            jobs: Tasks running at once; 1 is S0's router, which ends at the first task that fails or asks.
            output: As for `run`.
            cwd: Where the plans' paths begin, and where commands run; the current directory when left out.
            functions: As for `run`.
            budget: As for `run`: of the planner, of all tasks, and of the verifier together.

        Raises:
            OrchestratorError: The request is empty, or nobody can plan or verify.
            ParameterError: A word of `allow` means nothing.
        """
        from orchestrator_nb.planning.loop import first_plan
        from orchestrator_nb.runtime.asking import goal_of

        here = Path(cwd or Path.cwd()).resolve()
        asked = goal_of(
            request,
            self.settings,
            here,
            planner=planner,
            verifier=verifier,
            allow=allow,
            approval=approval,
            sequential=jobs == 1,
        )
        engine = self._begin({**asked.functions, **(functions or {})})
        with _discarded_on_error(engine):
            kept = engine.blobs.put(asked.goal.model_dump_json(exclude_defaults=True).encode())
            engine.record(e.GoalSet(kept, asked.goal.title, asked.goal.sequential))
            engine.accept(first_plan(asked.goal), {}, base=here, cwd=here)
            _budgeted(engine, budget)
            try:
                preflight(engine.state, engine.context(), engine.registry)
            except AgentError as error:
                raise AgentError(f"{error}\nWho plans is said by --planner, or by the setting `planner`.") from None
        return self._go(engine, jobs, output)

    def prepare(self, plan: Any, params: Mapping[str, Any] | None = None, *, cwd: str | Path | None = None) -> Session:
        """Make a new session of `plan` and start nothing: to work on its `agent_tasks/` by hand.

        `Session.import_results` takes results in, `resume` runs the rest. Arguments and what is raised are as for
        `run`, but for what a task needs on this machine, which is not asked.
        """
        loaded = self._checked(plan)
        here = Path(cwd or Path.cwd()).resolve()
        values = resolve_params(loaded.require(), params or {}, base=loaded.base, cwd=here)
        engine = self._begin(loaded.functions)
        with _discarded_on_error(engine):
            engine.accept(loaded.require(), values, base=loaded.base, cwd=here, source=loaded.source)
        engine.release()
        return Session.open(engine.directory.path, self.settings)

    def resume(
        self,
        session: str | Path | None = None,
        *,
        accept_changes: bool = False,
        jobs: int | None = None,
        output: str | Path | None = None,
        functions: Functions | None = None,
        budget: Any = None,
    ) -> Run:
        """Go on with a session: finished tasks stay finished, interrupted ones run again; a batch's folder is filled.

        Raises `PlanChanged` with the difference if the plan's file is not what the session was started with, unless
        `accept_changes`; `SessionLocked` if somebody is running it. A `budget` (as for `run`) is that of
        all runs of the session together, from now on.
        """
        found = Session.open(session, self.settings)
        _ = found.plan  # a session that never got one cannot go on
        changed = self.changed_plan(found)
        if changed is not None and not accept_changes:
            raise PlanChanged(
                f"the plan {found.state.accepted and found.state.accepted.source} has changed since session "
                f"{found.id} was started:\n{differences(found.plan, changed.require())}\n"
                "Resume with --accept-changes to go on with the new plan: changed tasks, and what depends on them, "
                "run again."
            )
        companion = companion_of(found.directory)
        engine = Engine(found.directory, self.settings, functions or {})
        with _released_on_error(engine):
            if changed is not None:
                self._accept_changes(engine, changed)
            _budgeted(engine, budget)
            preflight(engine.state, engine.context(), engine.registry)
        run = self._go(engine, jobs, output, budgeted=budget is not None)
        if companion is not None:
            run.companion = companion(run)
        return run

    def go_on(self, session: str | Path, plan: Any, *, jobs: int | None = None) -> Run:
        """Go on with a session under `plan`, whatever its plan was before.

        What has completed stays so where its fingerprint, computed anew with files and code as they are now, is the
        recorded one; everything else runs, but what a person cancelled. Raises what `run` and `resume` do.
        """
        found = Session.open(session, self.settings)
        _ = found.plan
        loaded = self._checked(plan)
        engine = Engine(found.directory, self.settings, loaded.functions)
        with _released_on_error(engine):
            engine.record(*reconcile(engine.state, engine.directory))  # nothing of the old plan runs on
            if differences(found.plan, loaded.require()):
                here = Path.cwd()
                values = resolve_params(loaded.require(), {}, base=loaded.base, cwd=here)
                engine.accept(loaded.require(), values, base=loaded.base, cwd=here, source=loaded.source)
            stale = stale_by_fingerprint(engine)
            failed = [task.id for task in engine.state.by_index if task.status is TaskStatus.FAILED]
            engine.record(*(e.TaskReset(name, "resume") for name in [*stale, *failed]))
            preflight(engine.state, engine.context(), engine.registry)
        return self._go(engine, jobs, None)

    def changed_plan(self, session: Session) -> LoadedPlan | None:
        """The plan as its file says now, if that differs from what the session holds; None if it does not."""
        accepted = session.state.accepted
        if accepted is None or not accepted.source or not Path(accepted.source).exists():
            return None
        loaded = self._checked(accepted.source)
        return loaded if differences(session.plan, loaded.require()) else None

    def stale_tasks(self, session: State, loaded: LoadedPlan) -> set[str]:
        """The tasks that a changed plan lets wait anew: those that differ, and what depends on them.

        All of them where the values of the parameters differ.
        """
        old, new = session.plan, loaded.require()
        assert old is not None
        assert session.accepted is not None
        if self._new_values(session, loaded) != session.accepted.params:
            return {task.id for task in new.tasks}
        before = {task.id: task for task in old.tasks}
        stale = {i for i, task in enumerate(new.tasks) if task.id in before and before[task.id] != task}
        for index in list(stale):
            stale |= new.graph.descendants(index)
        return {new.tasks[index].id for index in stale}

    def _new_values(self, session: State, loaded: LoadedPlan) -> dict[str, Any]:
        new, accepted = loaded.require(), session.accepted
        assert accepted is not None
        earlier = {name: value for name, value in accepted.params.items() if name in new.params}
        return resolve_params(new, {}, base=loaded.base, cwd=Path(accepted.cwd), earlier=earlier)

    def _accept_changes(self, engine: Engine, loaded: LoadedPlan) -> None:
        """Put the new plan in force; what it changed, and what depends on that, waits anew."""
        accepted = engine.state.accepted
        assert accepted is not None
        again = self.stale_tasks(engine.state, loaded)
        values = self._new_values(engine.state, loaded)
        engine.record(*reconcile(engine.state, engine.directory))  # nothing of the old plan runs on
        engine.accept(
            loaded.require(), values, base=loaded.base, cwd=Path(accepted.cwd), source=loaded.source, again=again
        )

    def fork(  # noqa: PLR0913 - options of a run
        self,
        session: str | Path | None,
        task: str,
        params: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        jobs: int | None = None,
        output: str | Path | None = None,
        functions: Functions | None = None,
    ) -> Run:
        """Start a new session from an old one in which `task`, and what depends on it, runs again.

        Finished tasks whose fingerprint is unchanged are taken over with their results; lineage is in the log. A
        session that began with a prompt is verified again; forked at ``planning/1-plan`` it is planned again.
        `params` are values of the plan's parameters, `parameters` are put over the task's own, name by name.
        Raises `CommandRefused` for an unknown task, `ParameterError` for bad `params`, `PlanError` or `AgentError` for
        bad `parameters`.
        """
        parent = Session.open(session, self.settings)
        parent.task(task)
        plan = parent.plan
        accepted = parent.state.accepted
        assert accepted is not None
        source = accepted.source
        if parameters:
            plan = with_parameters(plan, task, parameters, Registry())
            source = f"session {parent.id} with other parameters for {task}"  # the file says something else
        base, cwd = Path(accepted.base), Path(accepted.cwd)
        values = resolve_params(plan, params or {}, base=base, cwd=Path.cwd(), earlier=accepted.params)
        engine = self._begin(functions or {}, parent.id, task)
        with _discarded_on_error(engine):
            number = 0
            if parent.state.goal is not None:
                plan, number = carry_goal(engine, parent, plan, task)
            engine.accept(plan, values, base=base, cwd=cwd, source=source, round=number)
            reuse(engine, parent, task, engine.context())
            preflight(engine.state, engine.context(), engine.registry)
        return self._go(engine, jobs, output)

    def _checked(self, plan: Any) -> LoadedPlan:
        loaded = plan_from(plan, agents=Registry())
        loaded.require()
        return loaded

    def _begin(self, functions: Functions, parent: str = "", fork_task: str = "") -> Engine:
        """A new session, empty but for its first event."""
        directory = Workspace(self.settings.workspace.absolute()).new_session()
        engine = Engine(directory, self.settings, functions)
        engine.record(e.SessionCreated(directory.id, __version__, e.FORMAT, parent, fork_task))
        return engine

    def _go(
        self,
        engine: Engine,
        jobs: int | None,
        output: str | Path | None,
        warnings: Sequence[str] = (),
        *,
        budgeted: bool = False,
    ) -> Run:
        target = Path(output).absolute() if output is not None else None
        enter(engine, os.environ, limited=budgeted or engine.state.run is None)
        engine.publish()
        return Run(engine, submit(engine.main(jobs, target, warnings)))


def _budgeted(engine: Engine, budget: Any) -> None:
    """Put the budget in force that whoever starts the run gives."""
    if budget is not None:
        assert engine.state.plan is not None
        engine.record(change(engine.state.plan, budget, who()))


@contextmanager
def _discarded_on_error(engine: Engine) -> Iterator[None]:
    """A session that cannot even start leaves nothing behind."""
    try:
        yield
    except BaseException:
        engine.discard()
        raise


@contextmanager
def _released_on_error(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.release()
        raise


def orchestrate(plan: Any, params: Mapping[str, Any] | None = None, *, show: bool = True, **options: Any) -> Run:
    """Start `plan` and return its `Run`, shown as where the code runs allows.

    In a notebook that somebody looks at, the cell returns at once and holds the live view. In a headless one
    (papermill, nbconvert) it waits until the run is over, or waits for people only, and holds what a reader needs. In
    a terminal and in a script it returns at once.

    Args:
        plan: As for `Orchestrator.run`: also a prompt.
        params: Values of the plan's parameters.
        show: False for neither display nor waiting.
        options: As for `Orchestrator.run`; settings `record`, `replay` and `refresh`: the directory of a cassette into
            which the agents' attempts are recorded or from which they are replayed, and tasks that are recorded anew
            in a replay, comma-separated; and `again=True` starts a second run from a cell whose first one still goes
            on, where else that one is shown again.

    Raises:
        OrchestratorError: As `Orchestrator.run`.

    >>> run = orchestrate("pipelines/code_review.yaml", params={"target": "src"})  # doctest: +SKIP
    >>> run.wait().result  # doctest: +SKIP
    """
    again = options.pop("again", False)
    orchestrator = Orchestrator(**{name: options.pop(name, None) for name in ("record", "replay", "refresh")})
    if not (show and displays.in_ipython()):
        return orchestrator.run(plan, params, **options)
    front_end = displays.front_end()
    if not again and (earlier := front_end.going_on_in_this_cell(plan, params)) is not None:
        run: Run = earlier
    else:
        run = orchestrator.run(plan, params, **options)
    front_end.started(run)
    return run
