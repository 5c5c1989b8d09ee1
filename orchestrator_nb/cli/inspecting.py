"""Commands that look at whole sessions: sessions, status, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import Part, say, say_json, show_table
from orchestrator_nb.errors import SessionError

if TYPE_CHECKING:
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.runtime.compare import Comparison, TaskComparison
    from orchestrator_nb.runtime.session import Session

#: Sessions and tasks that are listed, unless all are asked for.
_MAX_SESSIONS = 20
_MAX_TASKS = 200


def sessions(
    everything: Annotated[bool, typer.Option("--all", "-a", help="All of them, not only the newest 20.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the sessions, the newest first."""
    from orchestrator_nb.cli.facts import counts, session_facts
    from orchestrator_nb.runtime.session import Session
    from orchestrator_nb.storage.workspace import Workspace

    settings = options.settings()
    directories = Workspace(settings.workspace).sessions()[::-1]
    shown = directories if everything else directories[:_MAX_SESSIONS]
    found: list[Session] = []
    damaged: dict[str, str] = {}
    for directory in shown:
        try:
            found.append(Session(directory, settings))
        except SessionError as error:
            damaged[directory.id] = str(error)
    if as_json:
        broken = [{"session": name, "status": "damaged", "message": message} for name, message in damaged.items()]
        say_json([*map(session_facts, found), *broken])
        return
    if not shown:
        say(f"There are no sessions in {settings.workspace}; 'orchestrate run PLAN' makes one.")
        return
    rows: list[list[Part]] = []
    for session in found:
        state = session.state
        done, total = counts(state).get("completed", 0), len(state.by_index)
        title = state.plan.title if state.plan else ""
        rows.append([session.id, _styled_run(session.status), f"{done:,}/{total:,}", _took(session), title])
    rows += [[session_id, ("damaged", "bold red"), "", "", message] for session_id, message in damaged.items()]
    show_table(["SESSION", "STATUS", "COMPLETED", "TOOK", "TITLE"], rows)
    if len(shown) < len(directories):
        say(f"… and {len(directories) - len(shown)} older ones: orchestrate sessions --all")


def status(
    session: options.Session = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All tasks, also of large plans.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show how a session stands."""
    from orchestrator_nb.cli.facts import agent_facts, session_facts, task_facts
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    if as_json:
        told = [{**task_facts(found.plan, task), **agent_facts(found.state, task)} for task in found.state.by_index]
        say_json({**session_facts(found), "tasks": told})
        return
    _say_head(found)
    tasks = found.state.by_index
    if not everything and len(tasks) > _MAX_TASKS:
        tasks = sorted(tasks, key=lambda task: (_INTEREST.get(task.status, 5), task.index))[:_MAX_TASKS]
    show_table(["", "AGENT", "TASK", "STATUS", "TOOK", "ABOUT"], (_row(found, task) for task in tasks))
    if len(tasks) < len(found.state.by_index):
        say(f"… and {len(found.state.by_index) - len(tasks):,} more: orchestrate status {found.id} --all")
    _say_foot(found)


#: What is listed first of a large plan.
_INTEREST = {
    "failed": 0, "awaiting_approval": 1, "running": 2, "awaiting_review": 2, "retrying": 3, "awaiting_quota": 3,
    "blocked": 4,
}  # fmt: skip


def _say_head(session: Session) -> None:
    state = session.state
    say((state.plan.title if state.plan else "no plan yet", "bold"))
    line: list[Part] = [f"session {session.id}: ", _styled_run(session.status)]
    if state.run and state.run.run > 1:
        line.append(f", run {state.run.run}")
    if holder := session.holder():
        line.append(f", by {holder}")
    if state.parent:
        line.append(f", forked from {state.parent} at {state.fork_task}")
    say(*line)
    for name, value in state.params.items():
        say(f"  {name} = {value}")
    say()


def _say_foot(session: Session) -> None:
    from time import time

    from orchestrator_nb.cli.following import Subject
    from orchestrator_nb.cli.summary import notices, say_summary
    from orchestrator_nb.projections.progress import progress
    from orchestrator_nb.projections.words import count, duration

    say()
    _say_phases(session)
    if session.state.run is None or session.holder() is None:
        say_summary(Subject.of_session(session))
        return
    far = progress(session.state, time())
    left = f", about {duration(round(far.eta))} left" if far.eta else ""
    say((f"{far.settled:,} of {count(far.total, 'task')}", "bold"), f" after {duration(far.elapsed)}{left}")
    for line in notices(session.state):
        say(*line)


def _say_phases(session: Session) -> None:
    """S2's "Progress Dashboard", for plans with phases."""
    from orchestrator_nb.projections.progress import progress

    rows = [
        [
            phase.title,
            f"{phase.completed}/{phase.total} ({phase.percent}%)",
            str(phase.running),
            str(phase.waiting),
            str(phase.blocked),
            str(phase.failed),
        ]
        for phase in progress(session.state, session.state.at).phases
    ]
    if rows:
        show_table(["PHASE", "COMPLETED", "RUNNING", "WAITING", "BLOCKED", "FAILED"], rows)
        say()


def _row(session: Session, task: TaskState) -> list[Part]:
    from time import time

    from orchestrator_nb.cli.facts import took
    from orchestrator_nb.cli.summary import icon
    from orchestrator_nb.core.ids import agent_label
    from orchestrator_nb.projections.quotas import of_task
    from orchestrator_nb.projections.usage import marks

    sign = icon(task.status)
    about = (
        of_task(session.state, task, time())
        or task.error
        or (f"blocked by {task.blocked_by}" if task.blocked_by else "")
        or task.message
    )
    title = session.plan.tasks[task.index].title
    if told := marks(session.state.agent_attempts.get(task.id, ())):
        about = f"{told}; {about or title}" if about or title else told
    name = task.status.replace("_", " ")
    attempts = f" (attempt {task.attempt})" if task.attempt > 1 else ""
    return [sign, agent_label(task.number), task.id, (name + attempts, sign[1]), took(task), about or title]


def _styled_run(status: str) -> Part:
    style = {"completed": "green", "failed": "red", "error": "red", "running": "bright_blue"}.get(status, "yellow")
    return status, style


def _took(session: Session) -> str:
    from time import time

    from orchestrator_nb.cli.facts import elapsed
    from orchestrator_nb.projections.words import duration

    now = time() if session.holder() else None
    return duration(elapsed(session.state, now)) if session.state.run else ""


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A session.", autocompletion=options.completion.sessions)],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.", autocompletion=options.completion.sessions)],
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also the tasks that do not differ.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show how the results differ, line by line.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show two sessions side by side.

    Compared are the parameters, and each task's status, duration, result and outputs.
    """
    from orchestrator_nb.cli.picking import opened
    from orchestrator_nb.runtime.compare import compare as compared
    from orchestrator_nb.runtime.compare import result_difference

    a, b = opened(first), opened(second)
    comparison = compared(a, b)
    if as_json:
        say_json({**_plain(comparison), "differs": [task.task for task in comparison.tasks if task.differs]})
        return
    say(f"A {a.id}: ", _styled_run(comparison.statuses[0]), f"\nB {b.id}: ", _styled_run(comparison.statuses[1]), "\n")
    for name, (left, right) in comparison.params.items():
        say(f"parameter {name}: {left} | {right}")
    tasks = [task for task in comparison.tasks if everything or task.differs]
    if tasks:
        show_table(["TASK", "A", "B", "TOOK A", "TOOK B", "DIFFERENT"], map(_comparison_row, tasks))
    same = sum(1 for task in comparison.tasks if not task.differs)
    say(f"{same:,} of {len(comparison.tasks):,} tasks have the same status, result and outputs.")
    for task in comparison.tasks if diff else ():
        for line in result_difference(a, b, task.task):
            say((line, "green" if line.startswith("+") else "red" if line.startswith("-") else ""))


def _comparison_row(task: TaskComparison) -> list[Part]:
    from orchestrator_nb.projections.words import duration

    took = ["" if seconds is None else duration(seconds) for seconds in task.durations]
    different = (["result"] if task.result == "different" else []) + list(task.outputs)
    return [task.task, *(status or "(none)" for status in task.statuses), *took, ", ".join(different)]


def _plain(comparison: Comparison) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(comparison)
