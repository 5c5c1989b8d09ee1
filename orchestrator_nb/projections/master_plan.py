"""`master_plan.md`: the plan with S1's status table and execution log, for whoever opens the session's directory."""

from __future__ import annotations

import json

from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.projections.execution_log import ExecutionLog
from orchestrator_nb.projections.text import code, inline, table
from orchestrator_nb.projections.usage import by_agent
from orchestrator_nb.projections.words import STATUS_LABELS, approve_command, count, duration, some, timestamp

_COLUMNS = ("Agent", "Task", "Title", "Priority", "Status", "Dependencies", "Duration", "Attempts")
#: Dependencies that a row names.
_NAMED = 8


class StatusTable:
    """S1's status table. A row is written anew only after its task has changed (`touch`)."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._rows: list[bytes] = []
        self._stale: set[int] = set()

    def accept(self, plan: Plan) -> None:
        """Start over with the tasks of `plan`."""
        self._names = [inline(task.id) for task in plan.tasks]
        self._rows = [b""] * len(plan)
        self._stale = set(range(len(plan)))

    def touch(self, index: int) -> None:
        """The task at this position has changed."""
        self._stale.add(index)

    def markdown(self, state: State) -> bytes:
        """The table, as UTF-8: with all its icons that is a fraction of the text's size in memory."""
        assert state.plan is not None
        for index in self._stale:
            self._rows[index] = self._row(state.plan, state.by_index[index]).encode()
        self._stale.clear()
        return b"".join([table(_COLUMNS, ()).encode(), *self._rows])

    def _row(self, plan: Plan, task: TaskState) -> str:
        index, names = task.index, self._names
        title = plan.tasks[index].title
        parents = plan.graph.parents[index]
        behind = some([names[parent] for parent in parents[:_NAMED]], _NAMED, len(parents)) if parents else "–"
        spent = duration(task.duration) if task.duration is not None and task.status.settled else "–"
        return (
            f"| {agent_label(task.number)} | {names[index]} | {inline(title) if title else names[index]} "
            f"| P{plan.ranks[index]} | {STATUS_LABELS[task.status]} | {behind} | {spent} | {task.attempt} |\n"
        )


def master_plan(state: State, status_table: StatusTable, log: ExecutionLog) -> bytes:
    """The whole document."""
    parts = [f"# {inline(state.plan.title if state.plan else 'Untitled plan')}\n\n"]
    if state.plan and state.plan.description:
        parts.append(f"{inline(state.plan.description, 2000)}\n\n")
    parts += [f"- {fact}\n" for fact in _facts(state)]
    status = b"\n## Status\n\n" + status_table.markdown(state) if state.plan else b""
    return b"".join(["".join(parts).encode(), status, b"\n## Execution Log\n", log.markdown().encode()])


def _facts(state: State) -> list[str]:
    """What is known of the session, a line each."""
    forked = f", forked from {code(state.parent)} at {code(state.fork_task)}" if state.parent else ""
    facts = [
        f"Session: {code(state.session)}{forked}",
        f"Created: {timestamp(state.created_at)} UTC",
        f"Run status: {state.status}",
    ]
    if accepted := state.accepted:
        source = f", from {code(accepted.source)}" if accepted.source else ""
        tasks = count(accepted.tasks, "task")
        facts.append(f"Plan: [revision {accepted.revision}](artifacts/plan.json), {tasks}{source}")
        facts += [f"Parameter {code(name)}: {code(_value(value))}" for name, value in accepted.params.items()]
    counts = [f"{STATUS_LABELS[status]} {number:,}" for status, number in state.counts.items() if number]
    if counts:
        facts.append(f"Tasks: {', '.join(counts)}")
    for agent, usage in by_agent(state, over=True).items():
        facts.append(f"Used by {inline(agent)}: {inline(str(usage))}")
    for checkpoint in state.open_checkpoints[:_NAMED]:
        answer = code(approve_command(checkpoint.id, checkpoint.answer_schema))
        facts.append(f"Checkpoint Reached: {inline(checkpoint.question, 500)} Answer with {answer}.")
    if state.merged:
        facts.append(f"Result: [{state.merged.document.path}]({state.merged.document.path})")
    return facts


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
