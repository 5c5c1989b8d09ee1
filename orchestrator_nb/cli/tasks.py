"""Commands that look at one task: show, explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import Part, say, say_json

if TYPE_CHECKING:
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.runtime.session import Session

#: Characters of a result that `show` prints.
_MAX_RESULT = 4000


def show(task: options.Task, session: options.OfSession = None, as_json: options.Json = False) -> None:
    """Show one task and what it left."""
    from orchestrator_nb.cli.facts import result_facts, task_facts
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    state = found.task(task)
    facts = {"session": found.id, **task_facts(found.plan, state), **result_facts(found, state)}
    if as_json:
        say_json(facts)
        return
    for line in _story(found, state, facts):
        say(*line)


def _story(session: Session, task: TaskState, facts: dict[str, object]) -> list[list[Part]]:
    from orchestrator_nb.cli.summary import icon
    from orchestrator_nb.core.ids import agent_label
    from orchestrator_nb.projections.text import clean, one_line
    from orchestrator_nb.projections.words import duration, some, timestamp

    spec = session.plan.tasks[task.index]
    sign, style = icon(task.status)
    work = spec.prompt or spec.command or spec.function or spec.notebook or ""
    rows: dict[str, str] = {
        "Agent": f"{agent_label(task.number)} ({spec.kind})",
        "Work": one_line(work if isinstance(work, str) else " ".join(work), 300),
        "After": some(list(spec.upstream)),
        "Attempt": str(task.attempt or ""),
        "Started": f"{timestamp(task.started_at)} UTC" if task.started_at else "",
        "Took": duration(task.duration) if task.duration is not None else "",
        "Exit code": "" if task.exit_code is None else str(task.exit_code),
        "Error": task.error,
        "Blocked by": task.blocked_by,
        "Taken from": task.reused_from,
        "Log": str(facts["log"] or ""),
        "Result": str(facts["result"] or ""),
    }
    name = task.status.replace("_", " ")
    lines: list[list[Part]] = [
        [(task.id, "bold"), f"  {spec.title}" if spec.title else ""],
        [f"{sign} ", (name, style)],
    ]
    lines += [[(f"{name + ':':<12}", "dim"), value] for name, value in rows.items() if value]
    lines += [[("Output:     ", "dim"), str(session.path / output.path)] for output in task.outputs]
    if task.status == "completed" and (value := session.result_of(task.id)) not in (None, ""):
        lines += [[""], [clean(_as_text(value), _MAX_RESULT).rstrip()]]
    return lines


def _as_text(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def explain(task: options.Task, session: options.OfSession = None, as_json: options.Json = False) -> None:
    """Say why a task has not started."""
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    explanation = found.explain(task)
    if as_json:
        say_json(explanation)
    else:
        for sentence in explanation.sentences:
            say(sentence)
