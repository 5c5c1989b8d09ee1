"""A proposed plan as a person reads, edits and approves it: the answer is bound to the hash of exactly this text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_nb.core.changes import PlanDiff
from orchestrator_nb.core.faults import refuse
from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.core.stages import reserved_faults
from orchestrator_nb.planning.breakdown import TaskBreakdown
from orchestrator_nb.planning.documents import Kind
from orchestrator_nb.planning.plan_file import parse_plan
from orchestrator_nb.planning.rights import params_faults, too_many_tasks
from orchestrator_nb.projections.text import code, fence, inline, table
from orchestrator_nb.projections.words import count

#: Form of the answer: an empty object approves the plan as it is; `plan`, in YAML or JSON, takes its place.
APPROVAL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "default": {},
    "properties": {
        "plan": {
            "type": "string",
            "title": "Another plan instead",
            "description": "in YAML or JSON; empty: the plan as it is",
        }
    },
    "additionalProperties": False,
}
#: Bytes of the text, as JSON; beyond it the tasks' prompts are named by their hash alone.
_MAX_TEXT = 600_000


def proposal_text(breakdown: TaskBreakdown, warnings: Sequence[str] = (), diff: PlanDiff | None = None) -> str:
    """The question whether to carry out a plan, in Markdown: with all that it says. `diff` is to an earlier plan."""
    whole = _text(breakdown, warnings, diff, details=True)
    return whole if len(msgspec.json.encode(whole)) <= _MAX_TEXT else _text(breakdown, warnings, diff, details=False)


def _text(breakdown: TaskBreakdown, warnings: Sequence[str], diff: PlanDiff | None, *, details: bool) -> str:
    plan = breakdown.plan
    what = "Carry out this plan" if diff is None else "Change the plan like this"
    parts = [f"{what}? {inline(plan.title)}: {count(len(plan), 'task')}.\n"]
    if breakdown.goal:
        parts.append(f"Goal: {inline(breakdown.goal, 2000)}\n")
    if diff is not None:
        parts.append(f"{fence(str(diff) or 'nothing', 'diff')}")
    parts.append(table(("Task", "Title", "Agent", "After"), [_row(task) for task in plan.tasks]))
    for name, texts in (
        ("Assumptions", breakdown.assumptions),
        ("Implicit requirements", breakdown.implicit_requirements),
        ("Constraints", breakdown.constraints),
        ("Side by side", [breakdown.parallel] if breakdown.parallel else []),
        ("Warnings", warnings),
    ):
        if texts:
            parts.append(f"{name}:\n\n" + "".join(f"- {inline(text, 2000)}\n" for text in texts))
    if details:
        parts += [_details(task) for task in plan.tasks]
    parts.append(f"The whole plan has the SHA-256 {code(plan_hash(plan))}.\n")
    return "\n".join(parts)


def plan_hash(plan: Plan) -> str:
    """Hash of all that a plan says."""
    return hashlib.sha256(plan.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def _row(task: Task) -> tuple[str, ...]:
    level = task.parameters.get("level")
    agent = f"{task.kind} ({level})" if isinstance(level, str) else task.kind
    return inline(task.id), inline(task.label), inline(agent), inline(", ".join(task.upstream)) or "–"


def _details(task: Task) -> str:
    """All of a task but its id: its prompt as it is, the rest as JSON."""
    rest = task.model_dump(mode="json", exclude_defaults=True, exclude={"id", "title", "prompt", "dependencies"})
    parts = [f"{inline(task.id)}:\n"]
    if task.prompt:
        parts.append(fence(task.prompt, "text"))
    if rest != {"agent": task.agent}:
        parts.append(fence(msgspec.json.format(msgspec.json.encode(rest), indent=1).decode(), "json"))
    return "\n".join(parts)


def approval_answer(answer: Any) -> Any:
    """What a person answered, in the form of `APPROVAL_SCHEMA`: nothing, true, a plan as text or as data will do."""
    if isinstance(answer, Mapping) and answer.keys() <= {"plan"}:
        answer = answer.get("plan")
    if answer is None or answer is True or answer == "":
        return {}
    return {"plan": answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)}


def edited_plan(answer: Any, agents: Collection[str] | None = None) -> Plan | None:
    """The plan that a person put in the place of the proposed one; None: the proposed one as it is.

    What a person writes is that person's consent: it is checked like any plan, S0's rule on the order included, and not
    held against what planners may use. Raises `PlanError` with all its faults.

    Args:
        answer: In the form of `APPROVAL_SCHEMA`.
        agents: Names of the agents that there are.
    """
    text = str((answer or {}).get("plan", "")).strip()
    if not text:
        return None
    kind: Kind = "json" if text.startswith("{") else "yaml"
    plan = parse_plan(text, file="edited plan", kind=kind, topology=True, agents=agents).require()
    refuse([*reserved_faults(plan), *too_many_tasks(plan), *params_faults(plan)])
    return plan
