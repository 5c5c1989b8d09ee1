"""The engine in a simulated world: a clock that jumps, attempts that are only promised, a log in memory that crashes.

Everything that decides is real (`Runner`, `Journal`, the core, the policies); a seed decides everything else, so a
failing seed is a failing test that anybody can run again.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.ports import Assignment, Checkpoint, Execution, Failure, Outcome, RunContext, Success, Timeout
from orchestrator_nb.core.state import State, fold
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.policies.admission import Admission, admission_for
from orchestrator_nb.policies.retry import RetryPolicy
from orchestrator_nb.runtime.assignments import Assigner
from orchestrator_nb.runtime.journal import Journal
from orchestrator_nb.runtime.runner import Runner

#: Simulated seconds within which every run must be over.
LONGEST = 1e5

BLOB = e.Artifact("blobs/0", 1, "0")


class Crash(BaseException):
    """The process was killed here. No handler of the engine's may stop it."""


class Deadlock(AssertionError):  # noqa: N818 - the established name
    """The engine waits, and nothing will ever wake it."""


class _JumpingSelector(selectors.BaseSelector):
    """Nothing ever happens outside: instead of waiting, time moves on."""

    def __init__(self) -> None:
        self.loop: SimulatedLoop | None = None
        self._map: dict[Any, Any] = {}

    def select(self, timeout: float | None = None) -> list[Any]:
        assert self.loop is not None
        if timeout is None:
            raise Deadlock("nothing is scheduled and nothing is ready")
        if self.loop.now > LONGEST:
            raise Deadlock("the run does not come to an end")
        self.loop.now += max(0.0, timeout)
        self.loop.turns += 1
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, -1, events, data)
        self._map[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._map.pop(fileobj)  # type: ignore[no-any-return]

    def get_map(self) -> dict[Any, Any]:
        return self._map


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer. It has no thread and no file descriptor to wait for."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        self.now = 1000.0
        #: How often it looked for something to do.
        self.turns = 0
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self.now


class MemoryLog:
    """A log that may be killed before or after any of its writes."""

    def __init__(self, records: Sequence[e.Record] = (), crash_at: int | None = None, after: bool = False) -> None:
        self.records = list(records)
        self.crash_at = crash_at
        self.after = after
        self.crashed = False
        self.writes = 0

    @property
    def seq(self) -> int:
        return len(self.records)

    def write(self, bodies: Sequence[bytes]) -> None:
        self.writes += 1
        if self.crashed:
            raise Crash
        crash = self.crashed = self.writes == self.crash_at
        if crash and not self.after:
            raise Crash
        self.records += [msgspec.json.decode(body + b"}", type=e.Record) for body in bodies]
        if crash:
            raise Crash


class PromisedExecutor:
    """Every attempt takes as long, and ends as, the seed says: by task and by how often it failed before."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: dict[str, Assignment] = {}

    async def execute(self, assignment: Assignment) -> Execution:
        task = assignment.task.id
        assert task not in self.running, f"{task} runs twice at once"
        self.running[task] = assignment
        self.world.effects.append((task, assignment.attempt))
        self.world.check_limits(self.running)
        try:
            duration, outcome = self.world.promise(assignment)
            await asyncio.sleep(duration)
            return Execution(outcome, duration)
        finally:
            del self.running[task]


class World:
    """One seed's plan, promises, verbs and crashes."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.seed = seed
        self.plan = plan
        self.log = MemoryLog()
        #: Every attempt that began to have effects: (task, attempt).
        self.effects: list[tuple[str, int]] = []
        self.admission: Admission = admission_for(plan, plan.limits, cores=4, memory_gb=8)
        self.executor = PromisedExecutor(self)
        self.runs = 0
        #: The wall clock, if it is another than `wall`; and the monotonic time at which the last life ended.
        self.clock: Callable[[], float] | None = None
        self.end = 0.0
        #: What the wall clock is ahead of the monotonic clock, which begins anew with each life.
        self.ahead = 0.0
        #: By vendor, when its usage limit is met: from and to, by the wall clock.
        self.limits: dict[str, list[tuple[float, float]]] = {}
        #: Whether asyncio looks closer, and the names of its tasks that a life left behind.
        self.debug = False
        self.left: list[str] = []

    def promise(self, assignment: Assignment) -> tuple[float, Outcome]:
        """What the attempt will come to: decided by the seed, the task and its failures so far."""
        task = self.state.tasks[assignment.task.id]
        dice = random.Random(f"{self.seed} {task.id} {task.failures} {assignment.answered}")
        duration = dice.choice([0.0, 0.0, 0.01, 1.0, 7.5])
        wall = self.wall()
        for begin, end in self.limits.get(self.state.vendor(task), ()):
            if begin <= wall < end:
                return min(duration, 1.0), Failure("usage limit reached", "rate_limit", transient=True, resets_at=end)
        roll = dice.random()
        if roll < 0.70:
            return duration, Success(dice.choice([None, 1, "text", {"n": 2}]))
        if roll < 0.85:
            return duration, Failure("broken", transient=dice.random() < 0.5)
        if roll < 0.92:
            return duration, Timeout(duration)
        if not assignment.answered:
            return duration, Checkpoint("Go on?")
        return duration, Success("approved")

    def left_behind(self, task: str, attempt: int) -> list[e.AnyEvent]:
        """What is told of an attempt that a crash has interrupted, before that is ruled on."""
        return []

    def check_limits(self, running: dict[str, Assignment]) -> None:
        assert len(running) <= self.admission.max_parallel
        used: dict[str, float] = {}
        for task in running:
            for name, amount in self.state.tasks[task].demand:
                used[name] = used.get(name, 0.0) + amount
        for name, amount in used.items():
            alone = sum(1 for task in running if name in dict(self.state.tasks[task].demand)) == 1
            assert alone or amount <= self.admission.limit(name), f"too much of {name}: {amount}"

    def wall(self) -> float:
        """The wall clock."""
        return self.ahead + self.loop.now

    # -- one process's life --------------------------------------------------------------------------------------------

    def live(self, verbs: int = 0) -> str:
        """Start (or resume) as a new process and run until the end or the crash; why it ended."""
        self.runs += 1
        self.executor.running = {}
        self.state = fold(self.log.records, lambda _: self.plan) if self.log.records else State()
        self.loop = loop = SimulatedLoop()
        clock = self.clock or self.wall
        journal = Journal(self.log, self.state, lambda records, plan: None, clock)  # type: ignore[arg-type]
        loop.set_debug(self.debug)
        loop.set_exception_handler(_stop_on_crash)
        main = loop.create_task(self._main(journal, verbs))
        try:
            return loop.run_until_complete(main)
        except (Crash, RuntimeError, Deadlock):
            if not self.log.crashed:
                raise
            return "crash"
        finally:
            self.end = loop.now
            self.ahead += loop.now
            self.left = [task.get_name() for task in asyncio.all_tasks(loop) if not task.cancelling()]
            _bury(loop)

    async def _main(self, journal: Journal, verbs: int) -> str:
        loop = asyncio.get_running_loop()
        if self.state.plan is None:
            journal.record([e.SessionCreated("s", "0", 1)], loop.time())
            journal.record([e.PlanAccepted(1, BLOB, "t", len(self.plan))], loop.time(), self.plan)
        interrupted: list[e.AnyEvent] = []
        for task in self.state.by_index:
            if task.status is TaskStatus.RUNNING:
                ruling = e.AttemptInterrupted(task.id, task.attempt, "crash", crashed=False)
                interrupted += [*self.left_behind(task.id, task.attempt), ruling]
        journal.record([*interrupted, e.RunStarted(self.runs, 1, "h", self.runs > 1)], loop.time())
        context = RunContext(session="s", directory=PurePath("/s"), base=PurePath("/"), cwd=PurePath("/"))
        assigner = Assigner(context, self.state, lambda artifact: b"")
        self.runner = Runner(journal, assigner, self.executor, self.admission, RetryPolicy())
        person = loop.create_task(self._person(random.Random(f"{self.seed} {self.runs}"), verbs))
        person.add_done_callback(lambda done: done.cancelled() or done.result())
        try:
            reason = await self.runner.run()
        finally:
            person.cancel()
        journal.record([e.RunEnded(self.runs, reason)], loop.time())  # type: ignore[arg-type]
        return reason

    async def _person(self, dice: random.Random, verbs: int) -> None:
        """Answers every checkpoint; before that, gives a few commands at random moments."""
        from orchestrator_nb.errors import CommandRefused

        for _ in range(verbs):
            await asyncio.sleep(dice.choice([0.0, 0.005, 0.5, 3.0]))
            task = dice.choice(self.state.by_index).id
            verb = dice.choice(["pause", "unpause", "cancel", "retry", "stop", "halt", "approve", "reject"])
            try:
                if verb in ("cancel", "retry"):
                    getattr(self.runner, verb)(task)
                elif verb == "approve":
                    self.runner.approve(task, "")
                elif verb == "reject":
                    self.runner.reject(task, "", "no")
                else:
                    getattr(self.runner, verb)()
            except CommandRefused:
                continue
        while True:
            if self.log.crashed:  # in a worker, whose task keeps what it raised
                asyncio.get_running_loop().stop()
            if self.state.paused:
                self.runner.unpause()
            for checkpoint in self.state.open_checkpoints:
                self.runner.approve(checkpoint.id, checkpoint.subject_sha256)
            await asyncio.sleep(1.0)


def _stop_on_crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Whatever a callback raises ends the life: a crash as a crash, anything else as a failing test."""
    loop.stop()
    if not isinstance(context.get("exception"), Crash):
        raise AssertionError(context["message"]) from context.get("exception")


def _bury(loop: SimulatedLoop) -> None:
    """What a killed process leaves of its coroutines: nothing."""
    loop.set_exception_handler(lambda loop, context: None)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.now = 0.0
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def random_limits(dice: random.Random) -> dict[str, list[tuple[float, float]]]:
    """When each of a few vendors' usage limits is met: at most four times."""
    found: dict[str, list[tuple[float, float]]] = {}
    for vendor in ("function", "shell"):
        now, windows = 1000.0, []
        for _ in range(dice.randint(0, 4)):
            begin = now + dice.choice([0.0, 0.5, 3.0, 20.0])
            now = begin + dice.choice([0.5, 2.0, 60.0, 4000.0])
            windows.append((begin, now))
        found[vendor] = windows
    return found


def random_plan(dice: random.Random, most: int = 20, *, vendors: bool = False) -> Plan:
    """A plan of every feature that matters to deciding; its tasks are of one vendor, or of two."""
    size = dice.randint(1, most)
    tasks: list[dict[str, Any]] = []
    for number in range(size):
        earlier = [f"t{i}" for i in range(number)]
        upstream: list[Any] = dice.sample(earlier, min(len(earlier), dice.choice([0, 0, 1, 1, 2, 3])))
        if earlier and dice.random() < 0.1:
            upstream = [*upstream, {"task": "shared", "kind": "resource"}]
        task: dict[str, Any] = {"id": f"t{number}", "function": "m:f", "dependencies": upstream}
        task["on_failure"] = dice.choice(["block", "block", "block", "skip", "fail_fast", "retry", "fallback"])
        if task["on_failure"] == "fallback":
            task["fallback"] = {"function": "m:g"}
        if dice.random() < 0.3:
            task["retry"] = {"attempts": dice.randint(1, 4), "delay": dice.choice([0, 1, 5]), "when": "any"}
        if dice.random() < 0.3:
            task["join"] = dice.choice(["one_success", "none_failed_min_one_success", "all_done"])
        if dice.random() < 0.3:
            task["resources"] = {"cpu": dice.choice([1, 2, 9]), "locks": dice.sample(["x", "y"], dice.randint(0, 2))}
        if dice.random() < 0.3:
            task["phase"] = "p"
        if dice.random() < 0.2:
            task["priority"] = dice.choice(["P0", "P3"])
        if vendors and dice.random() < 0.5:
            task["command"] = task.pop("function")
        tasks.append(task)
    limits = {"max_parallel": dice.choice([1, 2, 4, 10]), "cpu": 4}
    phases = [{"id": "p", "max_parallel": dice.randint(1, 3)}]
    return Plan.model_validate({"tasks": tasks, "limits": limits, "phases": phases})
