"""Magics: ``%load_ext orchestrator_nb`` makes plans, runs and sessions commands of the notebook.

    %%plan NAME               the cell is a plan in YAML
    %%task ID --after A,B     the cell becomes a task: Python, a shell's commands, or a question
    %orchestrate PLAN -p a=1  start a plan; run = %orchestrate PLAN keeps the run
    %status  %graph           how a session stands
    %stop  %halt  %resume     steer it

Each one has ``--help`` and completion. They are short for what `orchestrate`, `Run` and `Session` do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from orchestrator_nb import displays
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.ids import is_identifier
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.params import named
from orchestrator_nb.core.tasks import SETTLED, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.cells import Output, print_text
from orchestrator_nb.jupyter.magics_completion import matcher
from orchestrator_nb.jupyter.magics_parsing import Options, Parser, argument, magic
from orchestrator_nb.jupyter.magics_tasks import LANGUAGES, put_task
from orchestrator_nb.jupyter.pictures import graph_png
from orchestrator_nb.jupyter.subject import Subject
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.planning.loaded import LoadedPlan
from orchestrator_nb.planning.plan_file import parse_plan
from orchestrator_nb.planning.sources import SUFFIXES, is_prompt, plan_from
from orchestrator_nb.projections.progress import progress
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.words import count, duration
from orchestrator_nb.runtime.orchestrator import orchestrate
from orchestrator_nb.runtime.plans import resolve_params
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import load_settings
from orchestrator_nb.storage.workspace import Workspace

#: Tasks that `%status` names of each kind.
_NAMED = 10

_SESSION = argument(
    "session",
    nargs="?",
    metavar="SESSION",
    offers="sessions",
    help="A session's id, the beginning of one, or its directory. Left out: the newest that this kernel "
    "is running, else the latest.",
)
_REASON = argument("-r", "--reason", default="", metavar="TEXT", help="Why, for the log.")
_JOBS = argument("-j", "--jobs", type=int, metavar="N", help="Tasks running at once; 1 is one after the other.")
_OUTPUT = argument(
    "-o", "--output", metavar="DIR", offers="folders", help="Put the results into this directory too, at the end."
)


class Magics:
    """The magics of one shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    # -- plans ---------------------------------------------------------------------------------------------------------

    @magic("cell", argument("name", nargs="?", default="plan", metavar="NAME", help="Its variable; 'plan' by itself."))
    def plan(self, options: Options, cell: str) -> Plan:
        """Make the cell a plan: YAML, as in a plan file.

        It becomes the variable NAME, and is shown. All faults are named with their lines of the cell. Functions of the
        notebook are written as ':name'.
        """
        self._refuse_bad_name(options.name)
        # The magic is the first line of the cell.
        loaded = parse_plan(f"\n{cell}", file="cell", base=Path.cwd(), agents=Registry())
        plan = loaded.require()
        self.shell.user_ns[options.name] = plan
        return plan

    @magic(
        "cell",
        argument("id", metavar="ID", offers="tasks", help="The task's id; running the cell again replaces the task."),
        argument("--plan", default="plan", metavar="NAME", offers="builders", help="Variable of the PlanBuilder; made "
                 "where there is none."),
        argument("-l", "--lang", choices=tuple(LANGUAGES), default="python", help="What the cell is written in."),
        argument("-a", "--after", default="", metavar="A,B", offers="tasks", help="Ids of the tasks it comes after."),
        argument("-t", "--title", metavar="TEXT", help="One line for people."),
        argument("--timeout", type=float, metavar="SECONDS", help="Longest time that an attempt may take."),
        argument("--outputs", default="", metavar="FILE,FILE", help="Files that it leaves in $ORCH_OUTPUTS."),
        argument("--agent", default="human", metavar="KIND", help="Who gets a prompt (markdown, text); human by "
                 "itself."),
    )  # fmt: skip
    def task(self, options: Options, cell: str) -> None:
        """Make the cell a task of a plan.

        python: runs in a process of its own, now as after a resume. It sees the results of the tasks it comes after,
        and the plan's parameters, as variables of their names (T-01 is T_01), not the notebook's own variables; and
        'context' with .outputs (a folder), .progress(text, done, total). Its last expression is the result.
        bash, sh: the same values are variables of the environment; what it prints is the result.
        markdown, text: a prompt for --agent, in which ${result.ID} and ${params.NAME} are put in.
        """
        self._refuse_bad_name(options.plan)
        builder = self.shell.user_ns.get(options.plan, PlanBuilder(options.plan.replace("_", " ").capitalize()))
        if not isinstance(builder, PlanBuilder):
            raise UsageError(
                f"%%task: '{options.plan}' is a {type(builder).__name__}, to which no task can be added: "
                "give another name with --plan"
            )
        keys = {"title": options.title, "timeout": options.timeout, "outputs": _listed(options.outputs)}
        given = {key: value for key, value in keys.items() if value}
        again = options.id in builder.tasks
        put_task(builder, options.id, cell, options.lang, options.agent, {"after": _listed(options.after), **given})
        self.shell.user_ns[options.plan] = builder
        done = "is replaced in" if again else "is added to"
        print_text(f"'{options.id}' {done} {options.plan} ({count(len(builder), 'task')}): %orchestrate {options.plan}")

    @magic(
        "line",
        argument("plan", metavar="PLAN", offers="plans", help="A plan file, a folder of tasks, or a variable."),
        argument("-p", "--param", action="append", default=[], metavar="NAME=VALUE", offers="params",
                 help="Value of a parameter of the plan; may be repeated."),
        _JOBS,
        _OUTPUT,
        argument("--again", action="store_true", help="Start a second run while the cell's first one goes on."),
        argument("-n", "--dry-run", action="store_true", help="Check and show the plan, and run nothing."),
    )  # fmt: skip
    def orchestrate(self, options: Options, _: str) -> Run | Plan:
        """Start a plan and show its run, as the function of this name does.

        'run = %orchestrate PLAN' keeps the run. A PLAN in quotes, of several words, is a prompt.
        """
        if is_prompt(options.plan) and not options.dry_run:
            given = named(options.param)
            return orchestrate(options.plan, given, jobs=options.jobs, output=options.output, again=options.again)
        loaded = self._loaded(options.plan)
        plan, values = loaded.require(), named(options.param)
        if options.dry_run:
            print_text(_preview(resolve_params(plan, values, base=loaded.base, cwd=Path.cwd())))
            return plan
        functions = self._functions(plan) if not loaded.functions else None
        return orchestrate(
            loaded, values, jobs=options.jobs, output=options.output, functions=functions, again=options.again
        )

    # -- sessions ------------------------------------------------------------------------------------------------------

    @magic("line", _SESSION)
    def status(self, options: Options, _: str) -> None:
        """Say how a session stands: how far it is, what runs, what failed, what it asks."""
        print_text("\n".join(_standing(self._view(options.session).subject)))

    @magic(
        "line",
        argument("target", nargs="?", metavar="PLAN|SESSION", offers="plans and sessions", help="A plan file, a "
                 "variable with a plan, or a session. Left out: the newest session that this kernel is running, else "
                 "the latest."),
    )  # fmt: skip
    def graph(self, options: Options, _: str) -> None:
        """Draw the graph of a plan, or of a session with the status of its tasks: live while it runs."""
        if options.target is not None and self._is_plan(options.target):
            _draw(self._loaded(options.target).require())
        else:
            self._view(options.target).show("graph")

    @magic("line", _SESSION, _REASON)
    def stop(self, options: Options, _: str) -> None:
        """End a run when its running tasks have ended. It can be resumed."""
        self._tell(options.session, "stop", reason=options.reason)

    @magic("line", _SESSION, _REASON)
    def halt(self, options: Options, _: str) -> None:
        """End a run and its running tasks at once. It can be resumed."""
        self._tell(options.session, "halt", reason=options.reason)

    @magic(
        "line",
        _SESSION,
        argument("--accept-changes", action="store_true", help="Go on with the plan as its file is now."),
        _JOBS,
        _OUTPUT,
    )
    def resume(self, options: Options, _: str) -> Run | None:
        """Go on with a session: what has completed stays, the rest runs. Of a run that goes on it lifts the pause.

        'run = %resume' keeps the run.
        """
        found = self._found(options.session)
        if isinstance(found, Run) or found.holder() is not None:
            self._tell(str(found.path), "resume")
            return found if isinstance(found, Run) else None
        functions = self._functions(found.plan)
        return found.resume(
            accept_changes=options.accept_changes, jobs=options.jobs, output=options.output, functions=functions
        )

    # -- what is meant -------------------------------------------------------------------------------------------------

    def _found(self, session: str | None) -> Run | Session:
        """The session of this name; else the newest that this kernel runs; else the latest of the workspace."""
        settings = load_settings(Path.cwd(), os.environ)
        if session is None:
            for directory in reversed(Workspace(settings.workspace).sessions()):
                if (run := Run.of_session(directory.path)) is not None:
                    return run
        found = Session.open(session, settings)
        return Run.of_session(found.path) or found

    def _view(self, session: str | None) -> Any:
        return displays.front_end().view_of(self._found(session))

    def _tell(self, session: str | None, verb: Any, **fields: Any) -> None:
        subject = self._view(session).subject
        print_text(f"session {subject.id}: {subject.tell(verb, **fields)}")

    def _is_plan(self, name: str) -> bool:
        """Whether it can be a plan only, and no session."""
        path = Path(name)
        folder = path.is_dir() and not (path / "events.jsonl").is_file()
        return isinstance(self.shell.user_ns.get(name), Plan | PlanBuilder) or name.endswith(SUFFIXES) or folder

    def _loaded(self, name: str) -> LoadedPlan:
        """The plan in a variable, else in a file or folder. Raises `PlanError`."""
        value = self.shell.user_ns.get(name)
        if not isinstance(value, Plan | PlanBuilder):
            if is_identifier(name) and not Path(name).exists():
                what = f"is a {type(value).__name__}" if name in self.shell.user_ns else "is no variable"
                raise OrchestratorError(f"'{name}' {what}, and no file or folder of this name holds a plan")
            value = name
        return plan_from(value, agents=Registry())

    def _functions(self, plan: Plan) -> dict[str, Callable[..., Any]]:
        """The notebook's functions that the plan calls as ``:name``."""
        work = [work for task in plan.tasks for work in (task, task.fallback) if work is not None]
        names = {each.function[1:] for each in work if each.function and each.function.startswith(":")}
        found = {name: self.shell.user_ns.get(name) for name in names}
        return {f":{name}": getattr(value, "function", value) for name, value in found.items() if callable(value)}

    def _refuse_bad_name(self, name: str) -> None:
        if not is_identifier(name):
            raise UsageError(f"'{name}' cannot be a variable: write a name like my_plan")


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _preview(params: Mapping[str, Any]) -> str:
    values = [f"  {name} = {one_line(str(value))}" for name, value in params.items()]
    return "\n".join(["Nothing is run. The plan, with these values of its parameters:", *values])


def _standing(subject: Subject) -> Iterator[str]:
    """How a session stands, in lines."""
    status = subject.status
    with subject.reading() as state:
        far = progress(state, time.time())
        title = one_line(state.plan.title) if state.plan is not None else "no plan yet"
        counts = ", ".join(f"{number:,} {name.value.replace('_', ' ')}" for name, number in far.counts.items())
        yield f"session {subject.id} ({title}): {status}, {duration(far.elapsed)}"
        yield f"  {far.settled:,} of {count(far.total, 'task')} ended{f': {counts}' if counts else ''}"
        for kind in (TaskStatus.RUNNING, TaskStatus.FAILED):
            tasks = [task for task in state.by_index if task.status is kind]
            for task in tasks[:_NAMED]:
                error = f": {one_line(task.error, 200)}" if kind is TaskStatus.FAILED else ""
                yield f"  {kind.value}: {task.id}{error}"
            if len(tasks) > _NAMED:
                yield f"  … and {len(tasks) - _NAMED:,} more {kind.value}"
        for checkpoint in state.open_checkpoints:
            yield f"  asks: {one_line(checkpoint.question)} - run.approve({checkpoint.task!r}, ANSWER)"
        left = any(number for kind, number in state.counts.items() if kind not in SETTLED)
    if left and not subject.live:
        yield "  %resume goes on with it"


def _draw(plan: Plan) -> None:
    """The graph as a picture; as text (Mermaid) where none can be shown."""
    from orchestrator_nb.projections.diagrams import mermaid
    from orchestrator_nb.projections.layout import GraphView

    Output().show({"image/png": graph_png(GraphView.of_plan(plan)), "text/plain": mermaid(GraphView.of_plan(plan))})


# -- loading -----------------------------------------------------------------------------------------------------------


class _Loaded:
    """What was put into a shell, and what it had before."""

    def __init__(self, shell: Any) -> None:
        magics = Magics(shell)
        own = [value for value in vars(Magics).values() if hasattr(value, "parser")]
        known = shell.magics_manager.magics
        self.before = {(kind, each.__name__): known[kind].get(each.__name__) for each in own for kind in each.kinds}
        for kind, name in self.before:
            shell.register_magic_function(getattr(magics, name), kind, name)
        parsers: dict[str, Parser] = {each.__name__: each.parser for each in own}
        self.matcher = matcher(parsers, shell.user_ns)
        shell.Completer.custom_matchers.append(self.matcher)

    def unload(self, shell: Any) -> None:
        for (kind, name), earlier in self.before.items():
            known = shell.magics_manager.magics[kind]
            if earlier is None:
                known.pop(name, None)
            else:
                known[name] = earlier
        shell.Completer.custom_matchers.remove(self.matcher)


_loaded: dict[int, _Loaded] = {}


def load(shell: Any) -> None:
    """Put the magics into an IPython shell."""
    if id(shell) not in _loaded:
        _loaded[id(shell)] = _Loaded(shell)


def unload(shell: Any) -> None:
    """Take them out again."""
    if (loaded := _loaded.pop(id(shell), None)) is not None:
        loaded.unload(shell)
