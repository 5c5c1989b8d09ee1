"""The loop of a session that began with a prompt (S0), carried on by its run: plan, approve, carry out, verify.

When all tasks have ended, `planning.loop` says what follows; here that is read from disk, written down, and put in
force. Every step is one write: a crash leaves the session before or after it, and the same step is found again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.agents.threads import in_daemon_thread
from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.core.stages import last_round, stage_of
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.planning.breakdown import TaskBreakdown
from orchestrator_nb.planning.goal import load_goal
from orchestrator_nb.planning.loop import Ground, Step, next_step
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.runtime.assignments import Assigner
from orchestrator_nb.runtime.fork import does_the_same
from orchestrator_nb.runtime.preflight import obstacles
from orchestrator_nb.storage.blobs import Blobs

if TYPE_CHECKING:
    from orchestrator_nb.runtime.engine import Engine
    from orchestrator_nb.runtime.runner import Runner

#: Characters of what is told of one gap in the log: all of it is in the verifier's result.
_MAX_GAP = 4_000


def proposal(state: State, blobs: Blobs) -> TaskBreakdown | None:
    """What the session's planner proposed last; None if nothing was proposed yet."""
    if state.proposed is None:
        return None
    return TaskBreakdown.model_validate_json(blobs.get(state.proposed.breakdown))


class Prepared(msgspec.Struct, frozen=True):
    """A step with what it names on disk."""

    step: Step
    plan: e.Artifact | None = None
    breakdown: e.Artifact | None = None
    #: The completed tasks that wait anew.
    again: tuple[str, ...] = ()


class Course:
    """One session's loop."""

    def __init__(self, engine: Engine, registry: Registry, goal: e.GoalSet) -> None:
        self._engine = engine
        self._registry = registry
        self._goal = load_goal(engine.blobs.get(goal.goal))

    def halts(self, state: State) -> str:
        """S0's router halts at a checkpoint: its words, if there is one; else empty."""
        if not self._goal.sequential or not state.counts[TaskStatus.AWAITING_APPROVAL]:
            return ""
        asked = [checkpoint for checkpoint in state.open_checkpoints if not stage_of(checkpoint.task)]
        return f"Checkpoint Reached: {one_line(asked[0].question, 500)}" if asked else ""

    async def prepare(self) -> Prepared:
        """Find out what follows, now that all tasks have ended; what that needs is on disk when this returns."""
        return await in_daemon_thread(self._prepare)

    def go_on(self, prepared: Prepared, runner: Runner) -> tuple[str, str] | None:
        """Write the step down and put its plan in force; or return why the run ends: its reason, and in words."""
        engine, step, now = self._engine, prepared.step, time.monotonic()
        engine.journal.apply(self._told(prepared), now)
        if step.plan is None or prepared.plan is None:
            engine.journal.commit()
            return step.reason, step.message
        accepted = engine.state.accepted
        assert accepted is not None
        event = msgspec.structs.replace(
            accepted,
            revision=accepted.revision + 1,
            plan=prepared.plan,
            title=step.plan.title,
            tasks=len(step.plan),
            round=step.round,
            again=prepared.again,
        )
        engine.journal.record([event], now, step.plan)
        runner.use(*engine.policies(self._registry))
        return None

    def _prepare(self) -> Prepared:
        engine = self._engine
        ground = Ground(
            base=Path(engine.context().base),
            agents=self._registry,
            result_of=lambda name: engine.result_of(engine.state.tasks[name]),
            proposed=proposal(engine.state, engine.blobs),
            missing=self._missing,
        )
        step = next_step(self._goal, engine.state, ground)
        plan = breakdown = None
        again: tuple[str, ...] = ()
        if step.plan is not None:
            plan = engine.keep_plan(step.plan)
            again = self._again(step.plan, step.changed)
        if step.proposal is not None:
            breakdown = engine.blobs.put(step.proposal.model_dump_json(exclude_defaults=True).encode())
        return Prepared(step, plan, breakdown, again)

    def _missing(self, tasks: Sequence[Task]) -> list[str]:
        obstructed = obstacles(tasks, self._engine.context(), self._registry)
        return [f"task '{task.id}': {what}" for task, what in obstructed]

    def _told(self, prepared: Prepared) -> Sequence[e.AnyEvent]:
        """What happened, beside the plan that follows from it."""
        step, state = prepared.step, self._engine.state
        assert state.plan is not None
        told: list[e.AnyEvent] = [e.WarningRaised(warning) for warning in step.warnings]
        if step.gaps:
            gaps = tuple(str(gap)[:_MAX_GAP] for gap in step.gaps)
            event = e.GapsFound(step.verified_by, last_round(state.plan), gaps)
            told += [event] if state.gaps != event else []
        if step.proposal is not None and prepared.breakdown is not None and step.plan is not None:
            plan = step.proposal.plan
            number = step.round or last_round(step.plan)
            told.append(
                e.PlanProposed(step.proposed_by, number, prepared.breakdown, plan.title, len(plan), step.warnings)
            )
        return told

    def _again(self, plan: Plan, changed: frozenset[str]) -> tuple[str, ...]:
        """The completed tasks that run again: those that would do something else now, and what depends on them."""
        ahead = copy(self._engine.state)  # only looked at: as the state will be with the plan in force
        ahead.plan = plan
        assigner = Assigner(self._engine.context(), ahead, self._engine.read)
        again: set[int] = set()
        for name in changed:
            index, task = plan.graph.index[name], ahead.tasks[name]
            moved = msgspec.structs.replace(task, index=index)
            if task.status is TaskStatus.COMPLETED and not does_the_same(assigner, moved, task):
                again |= plan.graph.descendants(index) | {index}
        names = (plan.tasks[index].id for index in sorted(again))
        return tuple(name for name in names if name in ahead.tasks and ahead.tasks[name].status.settled)
