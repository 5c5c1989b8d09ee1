"""Commands that look at one task: show, explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import Part, say, say_json

if TYPE_CHECKING:
    from orchestrator_nb.core.tasks import TaskState
    from orchestrator_nb.runtime.session import Session

#: Refusals that `show` prints.
_MAX_REFUSALS = 5
#: Characters of a result that `show` prints.
_MAX_RESULT = 4000


def show(task: options.Task, session: options.OfSession = None, as_json: options.Json = False) -> None:
    """Show one task and what it left."""
    from orchestrator_nb.cli.facts import agent_facts, result_facts, task_facts
    from orchestrator_nb.cli.picking import opened

    found = opened(session)
    state = found.task(task)
    facts = {
        "session": found.id,
        **task_facts(found.plan, state),
        **result_facts(found, state),
        **agent_facts(found.state, state),
    }
    if as_json:
        say_json(facts)
        return
    for line in _story(found, state, facts):
        say(*line)


def _story(session: Session, task: TaskState, facts: dict[str, object]) -> list[list[Part]]:
    from orchestrator_nb.cli.summary import icon
    from orchestrator_nb.core.ids import agent_label
    from orchestrator_nb.projections.text import clean, one_line
    from orchestrator_nb.projections.words import approve_command, duration, some, timestamp

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
        "Imported": f"by {task.imported}" if task.imported else "",
        **_agent_rows(session, task),
        "Log": str(facts["log"] or ""),
        "Result": str(facts["result"] or ""),
    }
    name = task.status.replace("_", " ")
    lines: list[list[Part]] = [
        [(task.id, "bold"), f"  {spec.title}" if spec.title else ""],
        [f"{sign} ", (name, style)],
    ]
    lines += [[(f"{name + ':':<12}", "dim"), value] for name, value in rows.items() if value]
    lines += [[("Review:     ", "dim"), line] for line in _review(session, task)]
    lines += [[("Output:     ", "dim"), str(session.path / output.path)] for output in task.outputs]
    if task.status == "awaiting_approval":
        asked = session.state.checkpoints[task.checkpoint]
        answer = approve_command(asked.id, asked.answer_schema)
        lines += [[""], [clean(asked.question).rstrip()], [""], [f"Answer with: {answer}"]]
    if task.status == "completed" and (value := session.result_of(task.id)) not in (None, ""):
        lines += [[""], [clean(_as_text(value), _MAX_RESULT).rstrip()]]
    return lines


def _agent_rows(session: Session, task: TaskState) -> dict[str, str]:
    """What is told of a task's coding agent."""
    from orchestrator_nb.projections import agent_words
    from orchestrator_nb.projections.usage import used
    from orchestrator_nb.projections.words import some

    rows: dict[str, str] = {}
    if attempts := session.state.agent_attempts.get(task.id):
        last = attempts[-1]
        rows["How"] = agent_words.started(last.started, over=last.over) if last.started is not None else ""
        rows["Session"] = ", ".join(last.sessions)
        rows["Refused"] = "; ".join(agent_words.denial(each) for each in last.denials[:_MAX_REFUSALS])
        rows["Used"] = str(used(attempts))
    if task.work is not None:
        named = [f"{change.path} ({change.kind})" for change in task.work.changes]
        rows["Changed"] = some(named, 10, len(named) + task.work.more_changes)
    rows["Commits"] = some([commit[:12] for commit in task.commits])
    return rows


def _review(session: Session, task: TaskState) -> list[str]:
    """Who said what of its work, and what followed."""
    from orchestrator_nb.core.reviews import votes_text
    from orchestrator_nb.projections.text import one_line

    review = session.state.reviews.get(task.id)
    if review is None:
        return []
    decision = review.decision
    ruling = [f"{decision.ruling}: {decision.reason}"] if decision else ["not decided yet"]
    return ruling + [one_line(line.removeprefix("- "), 500) for line in votes_text(review.votes).splitlines()]


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
