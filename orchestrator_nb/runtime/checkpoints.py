"""What a person's answer to a checkpoint must be for it to count."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator_nb.agents.human import answer_for
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core import events as e
from orchestrator_nb.core.stages import stage_of
from orchestrator_nb.core.state import CheckpointState, State
from orchestrator_nb.errors import AgentError, CommandRefused, PlanError


def open_checkpoint(state: State, checkpoint_id: str, subject_sha256: str) -> CheckpointState:
    """The open checkpoint of this id (or of the task of this id), if it is still what was shown.

    Raises `CommandRefused` if there is none, if it was answered already, or if the hash differs.
    """
    checkpoint = state.checkpoints.get(checkpoint_id)
    if checkpoint is None and (task := state.tasks.get(checkpoint_id)) is not None and task.checkpoint:
        checkpoint = state.checkpoints[task.checkpoint]
    if checkpoint is None:
        known = ", ".join(c.id for c in state.open_checkpoints) or "none"
        raise CommandRefused(f"no checkpoint '{checkpoint_id}'; open ones: {known}")
    if checkpoint.approved is not None:
        verdict = "approved" if checkpoint.approved else "rejected"
        raise CommandRefused(f"checkpoint '{checkpoint.id}' was {verdict} already" + _by(checkpoint.by))
    if not state.is_open(checkpoint):
        raise CommandRefused(f"task '{checkpoint.task}' does not wait for an answer any more")
    if subject_sha256 and checkpoint.subject_sha256 != subject_sha256:
        raise CommandRefused(f"checkpoint '{checkpoint.id}' is not what was shown: look at it again, then answer")
    return checkpoint


def fitting_answer(checkpoint: CheckpointState, answer: Any) -> Any:
    """`answer` as the checkpoint's JSON Schema wants it. Raises `CommandRefused` if it does not fit.

    Where there is none, the schema's default is the answer. The answer to a proposed plan may be another plan: then
    that has to be one.
    """
    if not checkpoint.answer_schema:
        return answer
    if answer is None:
        answer = checkpoint.answer_schema.get("default")
    try:
        if not is_plan_approval(checkpoint):
            return answer_for(checkpoint.answer_schema, answer)
        from orchestrator_nb.planning.proposal import approval_answer, edited_plan

        answer = answer_for(checkpoint.answer_schema, approval_answer(answer))
        edited_plan(answer, Registry())
        return answer
    except (AgentError, PlanError) as error:
        raise CommandRefused(str(error)) from None


def is_plan_approval(checkpoint: CheckpointState) -> bool:
    """Whether it asks for the approval of a proposed plan."""
    stage = stage_of(checkpoint.task)
    return stage is not None and stage.kind == "approve" and not checkpoint.budget


def plan_to_approve(state: State) -> CheckpointState | None:
    """The open question whether to carry out a proposed plan, if there is one."""
    if state.goal is None:
        return None
    return next((checkpoint for checkpoint in state.open_checkpoints if is_plan_approval(checkpoint)), None)


def approval(checkpoint: CheckpointState, answer: Any, by: str) -> list[e.AnyEvent]:
    """The events of a yes. To a question about a budget a number is the new limit."""
    approved: list[e.AnyEvent] = [e.CheckpointApproved(checkpoint.id, checkpoint.subject_sha256, by, answer)]
    if checkpoint.budget and answer is not None:
        changed = e.BudgetChanged(checkpoint.budget, by=by)
        most = answer if checkpoint.thing in ("money", "time") else round(answer)
        approved.append(msgspec.structs.replace(changed, **{checkpoint.thing: most}))
    return approved


def rejection(checkpoint: CheckpointState, reason: str, by: str, *, live: bool = True) -> list[e.AnyEvent]:
    """The events of a no. To a question about a budget it ends a `live` run."""
    rejected: list[e.AnyEvent] = [e.CheckpointRejected(checkpoint.id, checkpoint.subject_sha256, reason, by)]
    if checkpoint.budget and live:
        rejected.append(e.StopRequested(by, reason or "the budget is used up"))
    return rejected


def _by(who: str) -> str:
    return f" by {who}" if who else ""
