"""S1 3.2's transcript: batches and agents, each agent's block printed whole when its attempt ends.

Agents work side by side, so a block in S1's form can only be written at the end; the start of each is announced in a
line below its batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections import agent_words
from orchestrator_nb.projections.lines import Lines, executing, failure, title_of
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.words import STATUS_LABELS, duration, some

_THICK = "═" * 59
_THIN = "─" * 59
#: Steps that a block lists: the last ones.
_STEPS = 20


class Transcript:
    """Turns records into the transcript, piece by piece."""

    def __init__(self) -> None:
        self._batch = 0
        #: What the running attempts told so far, by task.
        self._steps: dict[str, list[str]] = {}
        self._lines = Lines()

    def of(self, record: e.Record, state: State) -> str:
        """What `record` adds, without the last newline; often nothing. `state` has taken it in, and may be further."""
        return "\n".join(self._parts(record, state))

    def _parts(self, record: e.Record, state: State) -> Iterator[str]:
        match record.event:
            case e.TaskStarted() as event:
                yield from self._started(event, state)
            case e.TaskProgressed() as event:
                if event.message:
                    self._steps.setdefault(event.task, []).append(one_line(event.message))
            case e.AgentStarted() | e.AgentDenied() | e.AgentSpent() as event:
                if words := agent_words.of(event):
                    self._steps.setdefault(event.task, []).append(words)
            case e.TaskCompleted() as event:
                yield from self._block(event.task, state, _output(event), event.duration)
                yield STATUS_LABELS[TaskStatus.COMPLETED]
            case e.TaskFailed() as event:
                first, *rest = failure(event)
                yield from self._block(event.task, state, "none", event.duration)
                yield "\n".join([f"{STATUS_LABELS[TaskStatus.FAILED]}: {first}", *rest])
            case e.AttemptInterrupted() | e.CheckpointReached() | e.QuotaReached() as event:
                self._steps.pop(event.task, None)
                yield from self._plain(record, state)
            case e.ProcessStarted() | e.SessionCreated():
                pass
            case _:
                yield from self._plain(record, state)

    def _started(self, event: e.TaskStarted, state: State) -> Iterator[str]:
        if event.batch != self._batch:
            self._batch = event.batch
            yield f"\n{_THICK}\n🚀 Batch #{event.batch} ({_reason(event.task, state)})\n{_THICK}\n"
        self._steps[event.task] = []
        yield f"▶️ {_agent(event.task, state)} {executing(event, state)}"

    def _block(self, task_id: str, state: State, output: str, seconds: float) -> Iterator[str]:
        steps = self._steps.pop(task_id, [])[-_STEPS:]
        task = state.tasks.get(task_id)
        spec = state.plan.tasks[task.index] if task is not None and state.plan is not None else None
        title = title_of(state, task_id)
        name = f"{task_id}: {title}" if title != task_id else task_id
        yield f"\n🤖 {_agent(task_id, state)} [{name}]\n{_THIN}"
        yield f"📥 Input: {_input(spec) if spec is not None else 'none'}"
        yield "⚙️ Executing:"
        for number, step in enumerate(steps or [_work(spec)], 1):
            yield f"   {number}. {step}"
        yield f"📤 Output: {output}"
        yield f"⏱️ Duration: {duration(seconds)}"

    def _plain(self, record: e.Record, state: State) -> list[str]:
        return self._lines.of(record, state)


def _agent(task_id: str, state: State) -> str:
    task = state.tasks.get(task_id)
    return agent_label(task.number) if task is not None else "Agent"


def _reason(task_id: str, state: State) -> str:
    """Why the batch could start, told by its first task."""
    task = state.tasks.get(task_id)
    if task is None or not state.graph.parents[task.index]:
        return "No Dependencies"
    parents = [state.by_index[index].id for index in state.graph.parents[task.index]]
    return f"After {some(parents, 3)}"


def _input(spec: Task) -> str:
    parts = [*spec.inputs]
    if spec.upstream:
        parts.append(f"what {some(list(spec.upstream), 5)} left")
    parts += [f"{name} = {_short(value)}" for name, value in spec.parameters.items()]
    return one_line(", ".join(parts)) or "none"


def _work(spec: Task | None) -> str:
    if spec is None:
        return "unknown work"
    command = spec.command if isinstance(spec.command, str) or spec.command is None else " ".join(spec.command)
    return one_line(spec.prompt or command or spec.function or spec.notebook or "", 120) or spec.kind


def _output(event: e.TaskCompleted) -> str:
    parts = [output.path.rpartition("/")[2] for output in event.outputs]
    if event.value is not msgspec.UNSET:
        parts.insert(0, _short(event.value))
    if event.result is not None:
        parts.insert(0, event.result.path)
    return one_line(", ".join(parts)) or "none"


def _short(value: object) -> str:
    return one_line(value if isinstance(value, str) else msgspec.json.encode(value), 120)
