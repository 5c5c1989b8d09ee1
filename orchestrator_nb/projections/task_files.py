"""What a task is to do, and how it stands: `agent_tasks/agent-NN.md` (S1 2) and `status/<task_id>.json` (S2)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from orchestrator_nb.core.agent_attempts import AgentAttempt
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Dependency, Task, Work, agent_kind
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.projections.text import clean, code, fence, inline, one_line, table
from orchestrator_nb.projections.usage import attempts_facts
from orchestrator_nb.projections.words import duration, iso

#: Characters of an error that a status file holds; the rest is in the log.
_ERROR = 4000


def json_file(value: Any) -> bytes:
    """`value` as JSON for people: indented, ends with a newline."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def status_json(task: TaskState, attempts: Sequence[AgentAttempt] = ()) -> bytes:
    """`status/<task_id>.json` with S2's fields; `error` and `blocked_by` where there is one.

    Commits are in `commits`, oldest first; `agent_attempts` holds those of a coding agent that are over.
    """
    ended = task.ended_at is not None
    status: dict[str, Any] = {
        "task_id": task.id,
        "status": task.status.value,
        "started_at": iso(task.started_at) if task.started_at is not None else None,
        "completed_at": iso(task.ended_at) if task.ended_at is not None and task.status.settled else None,
        "agent_id": f"agent-{task.number}",
        "outputs_validated": task.status is TaskStatus.COMPLETED,
        "duration_seconds": round(task.duration, 3) if ended and task.duration is not None else None,
        "exit_code": task.exit_code if ended else None,
    }
    if task.error and ended:
        status["error"] = clean(task.error, _ERROR)
    if task.blocked_by:
        status["blocked_by"] = task.blocked_by
    if task.commits:
        status["commits"] = [one_line(commit) for commit in task.commits]
    if over := [attempt for attempt in attempts if attempt.over]:
        status["agent_attempts"] = attempts_facts(over)
    return json_file(status)


# -- what is to be done ------------------------------------------------------------------------------------------------


def agent_file(state: State, task: TaskState) -> str:
    """`agent_tasks/agent-NN.md`: the task as it could be handed to any agent, as known before it starts."""
    assert state.plan is not None
    spec = state.plan.tasks[task.index]
    sections = [
        f"# {agent_label(task.number)}: {inline(spec.label)}\n",
        _facts(spec, rank=state.plan.ranks[task.index]),
        f"## Task\n\n{_work(spec)}",
        _values(state, spec),
        _inputs(spec),
        _outputs(spec),
        _dependencies(state, spec),
        f"## Success criteria\n\n{_criteria(spec)}",
    ]
    if spec.fallback is not None:
        kind = inline(agent_kind(spec.fallback))
        sections.append(f"## Fallback\n\nOnce its attempts have failed (agent: {kind}):\n\n{_work(spec.fallback)}")
    return "\n".join(section for section in sections if section)


def _facts(spec: Task, rank: int) -> str:
    facts = {
        "Task": code(spec.id),
        "Agent": inline(spec.kind),
        "Role": inline(spec.role or ""),
        "Phase": inline(spec.phase or ""),
        "Priority": f"P{rank}",
        "Time limit": duration(spec.timeout) if spec.timeout else "",
        "Runs in": code(spec.cwd or ""),
    }
    return "".join(f"- {name}: {fact}\n" for name, fact in facts.items() if fact)


def _work(work: Work) -> str:
    parts: list[str] = []
    if work.prompt is not None:
        parts.append(fence(work.prompt, "text"))
    if isinstance(work.command, str):
        parts.append(fence(work.command, "sh"))
    elif work.command is not None:
        parts.append(fence(json.dumps(work.command, ensure_ascii=False), "json"))
    if work.function is not None:
        parts.append(f"Call the Python function {code(work.function)}.\n")
    if work.notebook is not None:
        parts.append(f"Run the notebook {code(work.notebook)}.\n")
    if work.parameters:
        parts.append(f"With\n\n{fence(json.dumps(work.parameters, indent=2, ensure_ascii=False), 'json')}")
    return "\n".join(parts) or "Nothing is to be done.\n"


def _values(state: State, spec: Task) -> str:
    """The plan's parameters that the task names, and where what its prompt takes from other tasks will be."""
    rows: list[tuple[str, str]] = []
    if state.params:
        named = spec.model_dump_json()
        rows += [
            (code(f"${{params.{name}}}"), code(json.dumps(value, ensure_ascii=False), 500))
            for name, value in state.params.items()
            if f"${{params.{name}}}" in named or f"ORCH_PARAM_{name}" in named
        ]
    for found in dict.fromkeys(_OF_OTHERS.findall(spec.prompt or "")):
        reference, kind, name, file = found
        if kind == "output":
            rows.append((code(reference), code(f"outputs/{name}/{file}", 500)))
        elif name in state.tasks:
            rows.append((code(reference), f"in {code(f'results/agent-{state.tasks[name].number:02d}-result.md')}"))
    return f"## Values\n\n{table(('Name', 'Value'), rows)}" if rows else ""


#: What a prompt takes from other tasks: all of it, its kind, the task, and the name of the file or value.
_OF_OTHERS = re.compile(r"(\$\{(result|value|output)\.([^:}]+)(?::([^}]*))?\})")


def _inputs(spec: Task) -> str:
    rows = [(code(name), code(path, 500)) for name, path in spec.inputs.items()]
    rows += [("", code(path, 500)) for path in spec.files]
    return f"## Inputs\n\n{table(('Name', 'File'), rows)}" if rows else ""


def _outputs(spec: Task) -> str:
    if not spec.outputs:
        return ""
    return f"## Outputs\n\nTo be left in `$ORCH_OUTPUTS`:\n\n{_items(code(path, 500) for path in spec.outputs)}"


def _dependencies(state: State, spec: Task) -> str:
    return f"## Dependencies\n\n{_items(_dependency(state, d) for d in spec.dependencies)}" if spec.dependencies else ""


def _dependency(state: State, dependency: Dependency) -> str:
    task = state.tasks.get(dependency.task)
    agent = f"{agent_label(task.number)}, " if task is not None else ""
    return f"{agent}{code(dependency.task)} ({dependency.kind})"


def _criteria(spec: Task) -> str:
    criteria = ["It ends without an error."]
    if spec.command is not None:
        criteria = [f"The exit code is {' or '.join(map(str, spec.ok_exit_codes))}."]
    if spec.outputs:
        criteria.append("All outputs exist.")
    if spec.result is not None:
        criteria.append(f"The result can be read as {spec.result.format} from {code(spec.result.source)}.")
    checks = [check if isinstance(check, str) else " ".join(check) for check in spec.checks]
    return _items([*criteria, *(f"{code(check, 500)} exits with 0." for check in checks)])


def _items(items: Iterable[str]) -> str:
    return "".join(f"- {item}\n" for item in items)
