"""Budgets in simulation: 500 random runs with limits, crashes and people who raise, let pass or stop.

What must hold is worked out from the bare records, without the ledger that decided.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.budget_checks import FREE
from orchestrator_nb.core.ledger import RUN, billionths
from orchestrator_nb.core.models import Plan, agent_kind
from orchestrator_nb.core.ports import Assignment, Execution, RunContext
from orchestrator_nb.core.state import State, fold
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.policies.budget import left_for
from orchestrator_nb.policies.retry import RetryPolicy
from orchestrator_nb.runtime.assignments import Assigner
from orchestrator_nb.runtime.journal import Journal
from orchestrator_nb.runtime.nested_spending import last_words, sum_of
from orchestrator_nb.runtime.runner import Runner
from tests.simulation import BLOB, MemoryLog, PromisedExecutor, World, random_plan

RUNS = 500
#: Lives of one session: each resume after a stop or a crash is one.
MOST_LIVES = 25


@dataclass
class Used:
    """One attempt, as the records tell it."""

    kind: str
    tokens: int = 0
    money: int = 0
    priced: bool = True
    reserved: e.Reserved = field(default_factory=e.Reserved)
    runs: bool = True
    #: It was let start in spite of the limits.
    passed: bool = False

    def of(self, thing: str) -> int:
        return self.money if thing == "money" else self.tokens

    def kept(self, thing: str) -> int:
        return billionths(self.reserved.money) if thing == "money" else self.reserved.tokens


class SpendingExecutor(PromisedExecutor):
    """Attempts tell what they use: some of it on the way, the rest at the end."""

    async def execute(self, assignment: Assignment) -> Execution:
        world, task = self.world, assignment.task.id
        assert task not in self.running
        self.running[task] = assignment
        world.check_limits(self.running)
        dice = random.Random(f"{world.seed} {task} {assignment.attempt} usage")
        duration, outcome = world.promise(assignment)
        try:
            if assignment.work.agent:
                tokens = dice.choice([0, 100, 1000, 5000])
                cost = None if dice.random() < 0.05 else dice.choice([0.0, 0.01, 0.1, 0.7])
                for share in (0.4, 1.0):
                    await asyncio.sleep(duration / 2)
                    told = None if cost is None else cost * share
                    spent = e.AgentSpent(task, assignment.attempt, int(tokens * share), 0, 0, told, share == 1.0)
                    world.runner.note(spent)
            elif assignment.work.command:
                await self._nested(assignment, dice)
            else:
                await asyncio.sleep(duration)
            return Execution(outcome, duration)
        finally:
            del self.running[task]

    async def _nested(self, assignment: Assignment, dice: random.Random) -> None:
        """A run within the attempt: an engine of its own, with a log that a crash of the outer one does not take."""
        world, task = self.world, assignment.task.id
        assert isinstance(world, SpendingWorld)
        left = left_for(world.state.ledger, task, world.wall())
        budget = {
            thing: most / 1e9 if thing == "money" else int(most) for thing, most in left.items() if thing != "time"
        }
        plan = Plan.model_validate(
            {
                "tasks": [
                    {"id": f"n{number}", "agent": "claude", "prompt": "do"} for number in range(dice.randint(1, 4))
                ],
                "limits": {"max_parallel": dice.choice([1, 3]), "budget": budget},
            }
        )
        inner = SpendingWorld(dice.randrange(10**6), plan)
        inner.loop, inner.inner = world.loop, True
        world.nested[task, assignment.attempt] = inner
        inner.state = state = State()
        journal = Journal(inner.log, state, lambda records, plan: None, world.wall)  # type: ignore[arg-type]
        begin = [e.SessionCreated("n", "0", 1), e.PlanAccepted(1, BLOB, "n", len(plan))]
        for event in begin:
            journal.record([event], world.loop.time(), plan)
        journal.record([e.RunStarted(1, 1, "h")], world.loop.time())
        context = RunContext(session="n", directory=PurePath("/n"), base=PurePath("/"), cwd=PurePath("/"))
        assigner = Assigner(context, state, lambda artifact: b"")
        inner.runner = Runner(journal, assigner, inner.executor, inner.admission, RetryPolicy(), asks=False)
        person = world.loop.create_task(inner._person(dice, 0))
        try:
            await inner.runner.run()
        finally:
            person.cancel()
            for told in world.left_behind(task, assignment.attempt):
                world.runner.note(told)  # type: ignore[arg-type]


class SpendingWorld(World):
    """A world whose people are asked about budgets."""

    def __init__(self, seed: int, plan: Plan) -> None:
        super().__init__(seed, plan)
        self.executor = SpendingExecutor(self)
        #: The runs within attempts, and whether this is one.
        self.nested: dict[tuple[str, int], SpendingWorld] = {}
        self.inner = False

    def left_behind(self, task: str, attempt: int) -> list[e.AnyEvent]:
        inner = self.nested.get((task, attempt))
        return [] if inner is None else [sum_of(last_words(inner.log.records), task, attempt)]

    async def _person(self, dice: random.Random, verbs: int) -> None:
        while True:
            if self.log.crashed and not self.inner:  # the outer one stops the loop
                asyncio.get_running_loop().stop()
            for asked in self.state.open_checkpoints:
                try:
                    self._answer(dice, asked.id)
                except CommandRefused:
                    continue
            await asyncio.sleep(dice.choice([0.01, 1.0]))

    def _answer(self, dice: random.Random, checkpoint: str) -> None:
        asked = self.state.checkpoints[checkpoint]
        if not asked.budget:
            self.runner.approve(asked.id, asked.subject_sha256)
            return
        least = asked.answer_schema["exclusiveMinimum"]
        choice = dice.random()
        if choice < 0.5:
            answer: Any = round(least * 1.5 + 1) if asked.thing in ("tokens", "attempts") else least * 1.5 + 0.2
            self.runner.approve(asked.id, asked.subject_sha256, answer, "somebody")
        elif choice < 0.7:
            self.runner.approve(asked.id, asked.subject_sha256)
        else:
            self.runner.reject(asked.id, asked.subject_sha256, "too dear")


def random_budget(dice: random.Random, most: int) -> dict[str, Any]:
    budget: dict[str, Any] = {}
    if dice.random() < 0.6:
        budget["money"] = dice.choice([0, 0.05, 0.5, 2.0]) * most
    if dice.random() < 0.4:
        budget["tokens"] = dice.choice([500, 3000]) * most
    if dice.random() < 0.2:
        budget["attempts"] = dice.randint(1, 3 * most)
    if dice.random() < 0.2:
        budget["time"] = dice.choice([0.5, 5.0, 30.0])
    if dice.random() < 0.3:
        budget["reserve"] = {"money": dice.choice([0.0, 0.1]), "tokens": dice.choice([0, 800])}
    return budget


def spending_plan(dice: random.Random) -> Plan:
    data = random_plan(dice, most=15).model_dump(exclude_defaults=True)
    for task in data["tasks"]:
        if dice.random() < 0.7:
            del task["function"]
            task |= {"agent": dice.choice(["claude", "simulated"]), "prompt": "do"}
            if dice.random() < 0.2:
                task["budget"] = random_budget(dice, 1)
        elif dice.random() < 0.6:
            del task["function"]
            task["command"] = "orchestrate run ..."
    data["limits"]["budget"] = {**random_budget(dice, 4), "agents": {"claude": random_budget(dice, 2)}}
    return Plan.model_validate(data)


class Oracle:
    """Follows the records by itself."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.attempts: dict[tuple[str, int], Used] = {}
        self.limits: dict[tuple[str, str], float] = {}
        budget = plan.limits.budget
        told = {RUN: budget, **{f"agent {kind}": own for kind, own in budget.agents.items()}}
        told |= {f"task {task.id}": task.budget for task in plan.tasks if task.budget is not None}
        for scope, limit in told.items():
            for thing in ("money", "tokens", "attempts"):
                if (most := getattr(limit, thing)) is not None:
                    self.limits[scope, thing] = billionths(most) if thing == "money" else most
        self.passes: set[str] = set()
        self.asked: dict[str, e.CheckpointReached] = {}
        #: By limit, at its last start: what ran then.
        self.last: dict[tuple[str, str], list[Used]] = {}

    def of(self, scope: str) -> list[Used]:
        kind, _, name = scope.partition(" ")
        return [
            used
            for (task, _), used in self.attempts.items()
            if kind == RUN or (used.kind == name if kind == "agent" else task == name)
        ]

    def take(self, event: e.AnyEvent) -> None:
        match event:
            case e.TaskStarted():
                self.start(event)
            case e.AgentSpent():
                used = self.attempts[event.task, event.attempt]
                used.tokens = event.input_tokens + event.output_tokens
                used.priced = event.cost is not None
                if event.cost is not None:
                    used.money = billionths(event.cost)
            case e.CheckpointReached() if event.budget:
                self.asked[event.checkpoint] = event
            case e.CheckpointApproved() if event.checkpoint in self.asked and event.answer is None:
                self.passes.add(self.asked[event.checkpoint].task)
            case e.BudgetChanged():
                for thing in ("money", "tokens", "attempts"):
                    if (most := getattr(event, thing)) is not None:
                        self.limits[event.scope, thing] = billionths(most) if thing == "money" else most
            case e.TaskCompleted() | e.TaskFailed() | e.AttemptInterrupted() | e.CheckpointReached():
                if (event.task, event.attempt) in self.attempts:
                    self.attempts[event.task, event.attempt].runs = False

    def start(self, event: e.TaskStarted) -> None:
        spec = self.plan[event.task]
        kind = agent_kind(spec.fallback) if event.fallback and spec.fallback else spec.kind
        mine = self.attempts[event.task, event.attempt] = Used(kind, reserved=event.reserved or e.Reserved())
        mine.passed = event.task in self.passes
        self.passes.discard(event.task)
        if mine.passed:
            return
        scopes = {RUN, f"agent {kind}", f"task {event.task}"}
        for (scope, thing), most in self.limits.items():
            if scope not in scopes:
                continue
            others = [used for used in self.of(scope) if used is not mine]
            if thing == "attempts":
                assert len(others) < most, (event, scope)
                continue
            held = sum(max(used.of(thing), used.kept(thing)) if used.runs else used.of(thing) for used in others)
            if kind in FREE and not mine.kept(thing):
                if held < most:  # what runs within it may use the rest
                    self.last[scope, thing] = [used for used in others if used.runs] + [mine]
                continue
            assert sum(used.of(thing) for used in others) < most, f"{event} started after the limit of {scope}"
            assert held < most
            assert held + mine.kept(thing) <= most, (event, scope, thing)
            self.last[scope, thing] = [used for used in others if used.runs] + [mine]

    def overshoots(self) -> int:
        """How many limits were passed; each by no more than what ran then used beyond its reservations."""
        passed = 0
        for (scope, thing), most in self.limits.items():
            over = sum(used.of(thing) for used in self.of(scope) if not used.passed) - most
            if over > 0 and (scope, thing) in self.last:
                passed += 1
                in_flight = self.last[scope, thing]
                assert over <= sum(max(0, used.of(thing) - used.kept(thing)) for used in in_flight), (scope, thing)
        return passed


def check(world: SpendingWorld) -> int:
    oracle, state = Oracle(world.plan), State()
    for record in world.log.records:
        before = state.ledger
        if isinstance(record.event, e.TaskStarted) and record.event.task not in before.passes:
            for scope, limit in before.limits.items():
                most = limit.most.get("time")
                if most is not None and scope in (RUN, f"agent {state.vendor(state.tasks[record.event.task])}"):
                    assert before.accounts[scope].time(record.at) < most + 1e-6
        state.apply(record, world.plan if isinstance(record.event, e.PlanAccepted) else None)
        oracle.take(record.event)
    ledger, attempts = state.ledger, list(oracle.attempts.values())
    run = ledger.accounts[RUN]
    assert run.attempts == len(attempts)
    assert (run.tokens, run.money) == (sum(used.tokens for used in attempts), sum(used.money for used in attempts))
    assert run.unpriced == sum(not used.priced and used.tokens > 0 for used in attempts if not used.runs)
    kinds = [account for scope, account in ledger.accounts.items() if scope.startswith("agent ")]
    for name in ("attempts", "tokens", "money", "unpriced", "kept_tokens", "kept_money", "running"):
        assert getattr(run, name) == sum(getattr(account, name) for account in kinds), name
    for scope, account in ledger.accounts.items():
        of = oracle.of(scope)
        assert (account.attempts, account.tokens, account.money) == (
            len(of), sum(used.tokens for used in of), sum(used.money for used in of)
        ), scope  # fmt: skip
    if not any(used.runs for used in attempts):
        assert (run.running, run.kept_tokens) == (0, 0)
        assert run.kept_money == 0 or run.unpriced
    live, told = world.state.ledger, fold(world.log.records, lambda _: world.plan).ledger
    if not world.log.crashed:
        assert live.accounts == told.accounts
        assert (live.limits, live.warned, live.passes) == (told.limits, told.warned, told.passes)
    warned = [event for record in world.log.records if isinstance(event := record.event, e.BudgetWarned)]
    changes = sum(isinstance(record.event, e.BudgetChanged) for record in world.log.records)
    for inner in world.nested.values():
        if inner.log.records:
            inner_oracle = Oracle(inner.plan)
            for record in inner.log.records:
                inner_oracle.take(record.event)
            inner_oracle.overshoots()
    assert len(warned) <= len(set(warned)) + changes, "a soft limit is warned of once, and again only if it is changed"
    return oracle.overshoots()


def live(seed: int) -> tuple[SpendingWorld, list[str]]:
    dice = random.Random(seed)
    world = SpendingWorld(seed, spending_plan(dice))
    ends: list[str] = []
    while len(ends) < MOST_LIVES:
        crash_at = dice.randint(1, 25) if dice.random() < 0.4 else None
        world.log = MemoryLog(world.log.records, crash_at, dice.random() < 0.5)
        ends.append(world.live())
        check(world)
        if ends[-1] in ("completed", "failed"):
            break
    return world, ends


@pytest.mark.parametrize("part", range(10))
def test_no_attempt_starts_after_a_limit_and_the_ledger_is_exact(part: int) -> None:
    overshot = asked = crashed = nested = 0
    for seed in range(part * RUNS // 10, (part + 1) * RUNS // 10):
        try:
            world, ends = live(seed)
            overshot += check(world)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        asked += any(checkpoint.budget for checkpoint in world.state.checkpoints.values())
        crashed += "crash" in ends
        nested += any(last_words(inner.log.records) for inner in world.nested.values())
        assert ends[-1] in ("completed", "failed") or len(ends) == MOST_LIVES, (seed, ends)
    assert overshot
    assert asked > 5
    assert crashed > 5
    assert nested > 5
