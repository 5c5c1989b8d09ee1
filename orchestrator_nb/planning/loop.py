"""S0's loop as a pure question: all tasks have ended, what comes next?

Plan, propose, approve, carry out, verify; a gap begins the next round. Each step is a revision of the session's plan
with one more task (`core.stages`), so that what plans, asks and verifies is run, logged and resumed as any task is. The
answer depends on the log alone: after a crash between two steps the same step is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.limits import Limits
from orchestrator_nb.core.models import Dependency, DependencyKind, OnFailure, Plan, Priority, Task, Work
from orchestrator_nb.core.stages import MAX_GAPS, Stage, in_loop, last_round, planned, stage_of, stages
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.core.values import escaped
from orchestrator_nb.planning.breakdown import Answer, TaskBreakdown, Terms, read_answer
from orchestrator_nb.planning.goal import EXECUTOR_TIMEOUT, Goal
from orchestrator_nb.planning.proposal import APPROVAL_SCHEMA, edited_plan, proposal_text
from orchestrator_nb.planning.request import change_request, planner_request, sent_back
from orchestrator_nb.planning.verdict import MAX_RESULT, Gap, as_text, read_verdict, verifier_request
from orchestrator_nb.projections.text import one_line

#: S0's words for the ends of the loop.
PHASE_COMPLETE, MAX_RETRIES, DEPENDENCY_VIOLATION = "Phase Complete", "Max Retries Exceeded", "Dependency violation"


@dataclass(frozen=True, slots=True)
class Ground:
    """What the loop asks of the session beside its state."""

    #: Where the plan's relative paths begin.
    base: Path
    #: Names of all agents.
    agents: Collection[str]
    #: A completed task's result.
    result_of: Callable[[str], Any]
    #: The breakdown that was proposed last; None before the first.
    proposed: TaskBreakdown | None
    #: What keeps tasks from starting: missing programs, logins; a sentence each.
    missing: Callable[[Sequence[Task]], list[str]] = lambda _: []


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next: a plan to go on with, or, without one, the end and why."""

    plan: Plan | None = None
    #: What is proposed with it, and the task that answered it.
    proposal: TaskBreakdown | None = None
    proposed_by: str = ""
    warnings: tuple[str, ...] = ()
    #: What the verifier `verified_by` found missing.
    gaps: tuple[Gap, ...] = ()
    verified_by: str = ""
    #: The round whose planned tasks are in force with it; 0: those that were.
    round: int = 0
    #: Completed tasks that have to run again unless they would do the same: those that were changed.
    changed: frozenset[str] = frozenset()
    reason: str = "completed"
    message: str = ""


def first_plan(goal: Goal) -> Plan:
    """The plan of a session that begins with a prompt: to ask the planner."""
    ask = _planner(goal, Stage(1, "plan"), planner_request(goal.request, goal.rights))
    return Plan(title=goal.title, tasks=(ask,))


def next_step(goal: Goal, state: State, ground: Ground) -> Step:
    """What comes next, now that every task of the plan has ended."""
    plan = state.plan
    assert plan is not None
    if stuck := next((task for task in state.by_index if not _went_well(task)), None):
        return Step(reason="failed", message=_told(stuck, state))
    number = last_round(plan)
    done = {stage.kind for task in stages(plan) if (stage := stage_of(task.id)) and stage.round == number}
    if done & {"verify", "verify-again"}:
        return _verified(goal, state, ground, number, again="verify-again" in done)
    if state.round == number:
        return _carried_out(goal, state, ground, number)
    if "approve" in done:
        return _approved(goal, state, ground, number)
    return _answered(goal, state, ground, number, again="plan-again" in done)


def _went_well(task: TaskState) -> bool:
    return task.status in (TaskStatus.COMPLETED, TaskStatus.SKIPPED)


def _told(task: TaskState, state: State) -> str:
    """S0's words for what ended the loop."""
    stage = stage_of(task.id)
    if stage is not None and stage.kind == "approve" and task.error_kind == "rejected":
        return f"The plan was rejected: {task.error.removeprefix('Rejected: ')}"
    failed = next((other for other in state.by_index if other.status is TaskStatus.FAILED), task)
    if failed.status is not TaskStatus.FAILED:
        blocked = any(other.status is TaskStatus.BLOCKED for other in state.by_index)
        return DEPENDENCY_VIOLATION if blocked else f"Task '{task.id}' was {task.status}"
    error = one_line(failed.error, 500)
    return error if error.startswith("Task Timeout:") else f"Task Failed: {error}"


# -- planning ----------------------------------------------------------------------------------------------------------


def _answered(goal: Goal, state: State, ground: Ground, number: int, *, again: bool) -> Step:
    """The planner has answered: propose its plan, or send it back once with all that is wrong."""
    assert state.plan is not None
    asked = Stage(number, "plan-again" if again else "plan")
    said = ground.result_of(asked.id)
    earlier = planned(state.plan) if number > 1 else None
    answer = read_answer(said, Terms(goal.rights, ground.base, ground.agents, earlier))
    missing = ground.missing(_new(earlier, answer.breakdown.plan)) if answer.breakdown is not None else []
    if answer.breakdown is None or missing:
        return _sent_back(goal, state, asked, as_text(said), answer, missing)
    breakdown = answer.breakdown.model_copy(update={"plan": _for_router(goal, answer.breakdown.plan)})
    new = {task.id for task in _new(earlier, answer.breakdown.plan)}
    told = (replace(fault, file="", line=0) for fault in answer.warnings if not fault.task or fault.task in new)
    warnings = tuple(str(fault).removeprefix("warning: ") for fault in told)
    if not goal.approval:
        return _in_force(state.plan, breakdown.plan, asked.id, number, breakdown, asked.id, warnings)
    question = proposal_text(breakdown, warnings, None if earlier is None else differences(earlier, breakdown.plan))
    approve = Task(
        id=Stage(number, "approve").id,
        title="Approve the plan" if number == 1 else "Approve the change",
        agent="human",
        prompt=escaped(question),
        parameters={"schema": APPROVAL_SCHEMA},
        dependencies=(Dependency(asked.id, DependencyKind.SEQUENTIAL),),
    )
    return Step(_with(state.plan, approve), breakdown, asked.id, warnings)


def _new(earlier: Plan | None, plan: Plan) -> list[Task]:
    """The tasks of `plan` that are not in an earlier one."""
    different = differences(earlier or Plan(), plan)
    return [task for task in plan.tasks if task.id in different.added or task.id in different.changed]


def _sent_back(goal: Goal, state: State, asked: Stage, said: str, answer: Answer, missing: list[str]) -> Step:
    assert state.plan is not None
    faults = [str(fault) for fault in answer.errors] + missing
    told = "\n".join(faults)
    if asked.kind == "plan-again":
        anew = f"orchestrate fork {state.session} {Stage(1, 'plan').id}"
        where = f"'orchestrate show {asked.id}' shows it, '{anew}' asks anew"
        return Step(reason="failed", message=f"The planner's second answer is no plan either ({where}):\n{told}")
    original = state.plan[asked.id]
    request = original.prompt or str(original.parameters.get("request", ""))
    back = sent_back(request.replace("$$", "$"), said, faults)
    task = _planner(goal, Stage(asked.round, "plan-again"), back, after=asked.id)
    warning = f"the planner's answer is no plan and was sent back: {one_line('; '.join(faults), 500)}"
    return Step(_with(state.plan, task), warnings=(warning,))


def _approved(goal: Goal, state: State, ground: Ground, number: int) -> Step:
    """A person has approved what was proposed, as it was or edited."""
    assert state.plan is not None
    assert ground.proposed is not None
    gate = Stage(number, "approve")
    edited = edited_plan(ground.result_of(gate.id), ground.agents)
    plan = ground.proposed.plan if edited is None else _for_router(goal, edited)
    return _in_force(state.plan, plan, gate.id, number)


def _in_force(  # noqa: PLR0913 - what the step tells besides
    current: Plan,
    plan: Plan,
    gate: str,
    number: int,
    proposal: TaskBreakdown | None = None,
    proposed_by: str = "",
    warnings: tuple[str, ...] = (),
) -> Step:
    """The step that lets the planned tasks begin; those that are as they were stay as they are."""
    different = differences(planned(current), plan)
    changed = frozenset(different.changed)
    own = tuple(_settled(task) for task in stages(current))
    whole = in_loop(own, plan, gate, changed.union(different.added))
    return Step(whole, proposal, proposed_by, warnings, round=number, changed=changed)


def _settled(task: Task) -> Task:
    """A step that is done, without what ties it to planned tasks, which may change."""
    kept = tuple(dependency for dependency in task.dependencies if stage_of(dependency.task))
    return task.model_copy(update={"dependencies": kept})


def _for_router(goal: Goal, plan: Plan) -> Plan:
    """The plan as S0's router carries it out, where that is chosen: in its order, ending at the first failure."""
    if not goal.sequential:
        return plan
    router = {"priority": Priority.P2, "on_failure": OnFailure.FAIL_FAST, "fallback": None}
    tasks = tuple(task.model_copy(update=router) for task in plan.tasks)
    limits = plan.limits.model_copy(update={"max_parallel": 1, "timeout": plan.limits.timeout or EXECUTOR_TIMEOUT})
    return plan.model_copy(update={"tasks": tasks, "limits": Limits(**limits.model_dump())})


# -- verifying ---------------------------------------------------------------------------------------------------------


def _carried_out(goal: Goal, state: State, ground: Ground, number: int) -> Step:
    """The planned tasks are done: spawn the verifier, if there is one."""
    assert state.plan is not None
    if goal.verifier is None:
        return Step(message=PHASE_COMPLETE)
    return Step(_with(state.plan, _verifier(goal, goal.verifier, state, ground, Stage(number, "verify"))))


def _verified(goal: Goal, state: State, ground: Ground, number: int, *, again: bool) -> Step:
    """The verifier has answered: the end, or the next round for what is missing."""
    assert state.plan is not None
    assert goal.verifier is not None
    stage = Stage(number, "verify-again" if again else "verify")
    task = state.tasks[stage.id]
    command = goal.verifier.command is not None
    verdict = read_verdict(ground.result_of(stage.id), task.exit_code, command=command)
    if verdict.faults:
        told = "; ".join(verdict.faults)
        if again or goal.verifier.agent == "" or command:
            return Step(reason="failed", message=f"The verifier's answer is no verdict, so nothing has passed: {told}")
        spec = _verifier(goal, goal.verifier, state, ground, Stage(number, "verify-again"), told)
        return Step(_with(state.plan, spec), warnings=(f"the verifier's answer is no verdict: {one_line(told, 500)}",))
    if verdict.passed:
        return Step(message=PHASE_COMPLETE)
    if number > MAX_GAPS:
        return Step(reason="failed", message=MAX_RETRIES, gaps=verdict.gaps, verified_by=stage.id)
    plan = planned(state.plan)
    results = [f"{name}: {_short(ground.result_of(name))}" for name in (task.id for task in plan.tasks)]
    request = change_request(goal.request, goal.rights, plan, [str(gap) for gap in verdict.gaps], results)
    ask = _planner(goal, Stage(number + 1, "plan"), request, after=stage.id)
    return Step(_with(state.plan, ask), gaps=verdict.gaps, verified_by=stage.id)


def _short(value: Any) -> str:
    return one_line(as_text(value), 400) or "done, without an answer"


def _verifier(goal: Goal, work: Work, state: State, ground: Ground, stage: Stage, wrong: str = "") -> Task:
    """The task that verifies, after all that was planned."""
    assert state.plan is not None
    plan = planned(state.plan)
    kind = DependencyKind.DATA if work.function else DependencyKind.SEQUENTIAL
    fields: dict[str, Any] = {
        "id": stage.id,
        "title": "Verify what was made",
        "dependencies": tuple(Dependency(task.id, kind) for task in plan.tasks),
        "timeout": goal.verifier_timeout,
        **_work_fields(work),
    }
    if work.function:
        results = {task.id: f"${{result.{task.id}}}" for task in plan.tasks}
        fields["parameters"] = {**work.parameters, "request": escaped(goal.request), "results": results}
    elif work.command is not None:
        fields["ok_exit_codes"] = (0, 1)
    elif work.notebook is None:
        results = {task.id: as_text(ground.result_of(task.id))[:MAX_RESULT] for task in plan.tasks}
        asked = verifier_request(goal.request, ground.proposed, plan, results)
        fields["prompt"] = escaped(f"{asked}\nYour earlier answer was no verdict: {wrong}\n" if wrong else asked)
    return Task(**fields)


# -- tasks -------------------------------------------------------------------------------------------------------------


def _planner(goal: Goal, stage: Stage, request: str, after: str = "") -> Task:
    """The task that plans: an attempt like any other."""
    work = goal.planner
    fields: dict[str, Any] = {
        "id": stage.id,
        "title": "Plan"
        if stage == (1, "plan")
        else "Plan again"
        if stage.kind == "plan-again"
        else "Plan what is missing",
        "timeout": goal.planner_timeout,
        "dependencies": (Dependency(after, DependencyKind.SEQUENTIAL),) if after else (),
        **_work_fields(work),
    }
    if work.function:
        fields["parameters"] = {**work.parameters, "request": escaped(request)}
    else:
        fields["prompt"] = escaped(request)
    return Task(**fields)


def _work_fields(work: Work) -> Mapping[str, Any]:
    fields: dict[str, Any] = json.loads(work.model_dump_json(exclude_defaults=True))
    return fields


def _with(plan: Plan, task: Task) -> Plan:
    """`plan` with one more task of the loop's own, before what was planned, or, if it comes after that, at the end."""
    if any(not stage_of(dependency.task) for dependency in task.dependencies):
        return plan.model_copy(update={"tasks": (*plan.tasks, task)})
    own = tuple(_settled(each) for each in stages(plan))
    rest = tuple(each for each in plan.tasks if not stage_of(each.id))
    return plan.model_copy(update={"tasks": (*own, task, *rest)})
