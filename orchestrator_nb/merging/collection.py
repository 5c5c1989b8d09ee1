"""What the tasks left, collected for merging in dependency order, and S1 4.1's checklist of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from orchestrator_nb.core.events import AgentWork, Artifact
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.reports import Report, report_from
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.core.values import unescaped
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.ipynb.scraps import scraps_of
from orchestrator_nb.projections.result_files import is_printed
from orchestrator_nb.projections.text import inline, link, table
from orchestrator_nb.projections.words import count

#: Bytes of an executed notebook that is read for the values in it.
MAX_NOTEBOOK = 256 * 2**20


class Contribution(NamedTuple):
    """What one task brings to the merged document."""

    #: ``Agent-02``.
    agent: str
    task: str
    title: str
    status: TaskStatus = TaskStatus.COMPLETED
    #: A `Report`, a text, another JSON value, or `msgspec.UNSET` for none.
    result: Any = msgspec.UNSET
    #: Whether a text is a program's output rather than Markdown.
    printed: bool = False
    #: The result's file, relative to the document; empty if there is none.
    file: str = ""
    #: Other files that it left: name -> path relative to the document.
    outputs: Mapping[str, str] = {}
    #: Why the result is missing; empty if nothing is.
    missing: str = ""
    #: The coding agent that did it, or tried to last; None for a task of another kind.
    work: AgentWork | None = None
    #: Whether it was done outside, and its result imported.
    by_hand: bool = False
    #: For a table: its parameters, and the values that its notebook recorded.
    parameters: Mapping[str, Any] = {}
    values: Mapping[str, Any] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show and nothing to miss: a task that only did something."""
        return self.result is msgspec.UNSET and not self.outputs and not self.missing


class Collection(NamedTuple):
    """All that is merged."""

    title: str
    #: In dependency order.
    contributions: tuple[Contribution, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Ids of the tasks whose result is missing."""
        return tuple(item.task for item in self.contributions if item.missing)

    @property
    def reports(self) -> list[tuple[str, Report]]:
        """The structured results, each with its agent."""
        return [(item.agent, item.result) for item in self.contributions if isinstance(item.result, Report)]


def collect(state: State, read: Callable[[Artifact], bytes]) -> Collection:
    """Collect what the plan's `merge` asks for. A result that `read` cannot give counts as missing."""
    assert state.plan is not None
    plan = state.plan
    wanted = frozenset(plan.merge.tasks) or frozenset(state.tasks)
    tasks = (state.by_index[index] for index in state.graph.order())
    contributions = [_contribution(state, plan.tasks[task.index], task, read) for task in tasks if task.id in wanted]
    if plan.merge.strategy == "table":
        contributions = [_with_values(item, state.tasks[item.task], plan[item.task], read) for item in contributions]
    return Collection(plan.merge.title or plan.title, tuple(contributions))


def _contribution(state: State, spec: Task, task: TaskState, read: Callable[[Artifact], bytes]) -> Contribution:
    result, printed, file, missing = msgspec.UNSET, False, "", ""
    outputs: dict[str, str] = {}
    if task.status is not TaskStatus.COMPLETED:
        missing = _why_missing(state, task)
    else:
        outputs = {artifact.path.removeprefix(f"outputs/{task.id}/"): artifact.path for artifact in task.outputs}
        try:
            result = _result(task, read)
        except OrchestratorError as error:
            missing = f"its result cannot be read: {error}"
        if result is not msgspec.UNSET:
            printed, file = is_printed(spec, task), f"results/agent-{task.number:02d}-result.md"
    agent = agent_label(task.number)
    work = task.work or _attempted(state, task)
    return Contribution(
        agent, task.id, spec.label, task.status, result, printed, file, outputs, missing, work, bool(task.imported)
    )


def _attempted(state: State, task: TaskState) -> AgentWork | None:
    """Who tried a task that has not completed."""
    attempts = state.agent_attempts.get(task.id)
    if not attempts or (started := attempts[-1].started) is None or task.status is TaskStatus.COMPLETED:
        return None
    if not started.sandbox:  # it changes nothing
        return None
    why = "" if started.sandbox == "bubblewrap" else started.why
    return AgentWork(started.agent, started.level, started.sandbox, why)


def _with_values(item: Contribution, task: TaskState, spec: Task, read: Callable[[Artifact], bytes]) -> Contribution:
    """With what a table says of a task besides: its parameters, and what its notebook recorded."""
    values: dict[str, Any] = {}
    for output in task.outputs if task.status is TaskStatus.COMPLETED else ():
        if output.path.endswith(".ipynb") and output.size <= MAX_NOTEBOOK:
            with suppress(OrchestratorError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                values |= scraps_of(msgspec.json.decode(read(output)))
    return item._replace(parameters=unescaped(spec.parameters), values=values)


def _result(task: TaskState, read: Callable[[Artifact], bytes]) -> Any:
    value = task.value
    if task.result is not None:
        content = read(task.result)
        if task.format not in ("json", "report"):
            return content.decode("utf-8", "replace")
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise OrchestratorError(f"{task.result.path} is no JSON: {error}") from None
    return report_from(value) if task.format == "report" else value


def _why_missing(state: State, task: TaskState) -> str:
    match task.status:
        case TaskStatus.FAILED:
            return f"it failed: {task.error}"
        case TaskStatus.BLOCKED:
            return f"it could not start because '{task.blocked_by}' failed"
        case TaskStatus.SKIPPED:
            return f"it was skipped: {task.error or task.message}" if task.error or task.message else "it was skipped"
        case TaskStatus.CANCELLED:
            return f"it was cancelled: {task.message}" if task.message else "it was cancelled"
    return f"it is {task.status.replace('_', ' ')}"


def checklist(collection: Collection) -> str:
    """S1 4.1's table: which agent was to leave which file, and whether it is there."""
    rows = [(item.agent, _expected(item), _verdict(item)) for item in collection.contributions if not item.is_empty]
    quiet = len(collection.contributions) - len(rows)
    parts = [table(("Agent", "Expected File", "Status"), rows)] if rows else []
    if quiet:
        parts.append(f"{count(quiet, 'more task')} completed and left no result.\n")
    return "\n".join(parts)


def _expected(item: Contribution) -> str:
    if item.file:
        return link(item.file.rpartition("/")[2], item.file)
    if item.outputs:
        return ", ".join(link(name, path) for name, path in item.outputs.items())
    return f"agent-{item.agent.rpartition('-')[2]}-result.md"


def _verdict(item: Contribution) -> str:
    return f"❌ {inline(item.missing, 300)}" if item.missing else "✅"
