"""Histories of sessions: told event by event, or random ones as a real run could have written them.

`tell(plan, event, ...)` tells one. `random_history(random.Random(seed), steps)` makes one, decided by `core.decide`;
`histories()` is a Hypothesis strategy of them. Every record was taken by a real `State`: what is here is legal.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import admit, ending, rule
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.quotas import due, next_look
from orchestrator_nb.core.reports import Finding
from orchestrator_nb.core.reviews import VERDICTS, OrchestratorDecision, ReviewRequest, ReviewResponse
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import WORKING, TaskState, TaskStatus
from orchestrator_nb.policies.admission import admission_for
from orchestrator_nb.policies.quota import QuotaPolicy
from orchestrator_nb.policies.retry import RetryPolicy

#: Text that means something to terminals, Markdown, HTML or shells.
HOSTILE = (
    "# heading\n\n---", "a | b | c\n|---|---|", "```\nfence", "<!-- comment", "</table><script>alert(1)</script>",
    "[link](javascript:alert(1))", "![x](http://evil.example/x.png)", "\x1b[31mred\x1b[0m\x1b]8;;http://x\x07y",
    "\u202eevil\u202c \u200b", "${params.target} $(touch x) `id` %s {{7*7}}", "x\r\ny\rz", "| ✅ Completed |",
    "\x00\x07",
)  # fmt: skip


#: 2025-01-12 14:30:00 UTC, the time of S1's example.
BEGIN = 1736692200.0


class History:
    """The records of one session, with what they name, and the state after them."""

    def __init__(self) -> None:
        self.records: list[e.Record] = []
        self.plans: dict[str, Plan] = {}
        self.contents: dict[str, bytes] = {}
        self.state = State()
        self.at = BEGIN

    def tell(self, *events: e.AnyEvent, after: float = 0.0) -> History:
        """These events happen next, `after` seconds later."""
        self.at += after
        for event in events:
            record = e.Record(len(self.records) + 1, self.at, event)
            self.state.apply(record, self.plan_of(record), now=self.at)
            self.records.append(record)
        return self

    def accept(self, plan: Plan, **params: Any) -> History:
        """This plan is accepted next, with the values of its parameters."""
        artifact = self.store("", plan.model_dump_json(exclude_defaults=True).encode())
        self.plans[artifact.sha256] = plan
        revision = self.state.accepted.revision + 1 if self.state.accepted else 1
        return self.tell(e.PlanAccepted(revision, artifact, plan.title, len(plan), params))

    def read(self, artifact: e.Artifact) -> bytes:
        """The content of an artifact that a record names."""
        return self.contents[artifact.sha256]

    def plan_of(self, record: e.Record) -> Plan | None:
        """The plan that the record puts in force, if it does."""
        return self.plans[record.event.plan.sha256] if isinstance(record.event, e.PlanAccepted) else None

    def replay(self) -> Iterator[tuple[e.Record, State]]:
        """Each record with the state after it (one state, which goes on changing)."""
        state = State()
        for record in self.records:
            state.apply(record, self.plan_of(record))
            yield record, state

    def store(self, path: str, content: bytes) -> e.Artifact:
        """An artifact with this content; a plan or a blob has the hash as its name."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.contents[sha256] = content
        return e.Artifact(path or f"blobs/{sha256}", len(content), sha256)


def tell(plan: dict[str, Any], *events: e.AnyEvent, **params: Any) -> History:
    """A session with this plan in which its first run began and `events` happened."""
    history = History().tell(e.SessionCreated("20250112-143000-abcd", "0.1.0", 1))
    history.accept(Plan.model_validate(plan), **params)
    return history.tell(e.RunStarted(1, 4242, "host")).tell(*events)


def histories(max_steps: int = 60) -> st.SearchStrategy[History]:
    """Histories of up to about `max_steps` decisions."""
    return st.builds(
        lambda seed, steps: random_history(random.Random(seed), steps), st.integers(0, 2**32), st.integers(1, max_steps)
    )


def random_plan(dice: random.Random, most: int = 8) -> Plan:
    """A plan with tasks of all kinds, folders in ids, and titles that nobody should trust."""
    tasks: list[dict[str, Any]] = []
    for number in range(dice.randint(1, most)):
        earlier = [task["id"] for task in tasks]
        task: dict[str, Any] = {
            "id": dice.choice([f"t{number}", f"folder/t{number}"]),
            "title": dice.choice(["", f"Task {number}", dice.choice(HOSTILE)]),
            "dependencies": dice.sample(earlier, min(len(earlier), dice.choice([0, 1, 1, 2]))),
            "on_failure": dice.choice(["block", "block", "skip", "fail_fast", "retry"]),
            "outputs": dice.choice([[], ["plot.png", "data file.csv"]]),
            "phase": dice.choice([None, "p"]),
            **dice.choice(
                [
                    {"function": "m:f"},
                    {"function": "m:f", "isolate": "process"},
                    {"command": ["true", dice.choice(HOSTILE)]},
                    {"agent": "simulated", "prompt": dice.choice(HOSTILE), "parameters": {"duration": 1}},
                ]
            ),
        }
        tasks.append(task)
    return Plan.model_validate(
        {
            "title": dice.choice(["A plan", dice.choice(HOSTILE)]),
            "tasks": tasks,
            "limits": {"max_parallel": dice.randint(1, 3)},
            "phases": [{"id": "p", "max_parallel": 2}],
        }
    )


def random_history(dice: random.Random, steps: int, plan: Plan | None = None) -> History:
    """A session of about `steps` decisions on `plan` (or a random one); it may be in the middle of a run at its end."""
    story = _Story(dice)
    story.tell(e.SessionCreated("20250112-143000-abcd", "0.1.0", 1))
    story.accept(plan or random_plan(dice))
    for _ in range(steps):
        story.step()
    return story.history


class _Story:
    """Tells a history, one random decision after the other."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.history = History()
        self.state = self.history.state
        self.runs = 0

    def tell(self, *events: e.AnyEvent) -> None:
        for event in events:
            self.history.tell(event, after=self.dice.choice([0.0, 0.001, 0.4, 7.0]))

    def accept(self, plan: Plan) -> None:
        self.history.accept(plan, target=self.dice.choice(HOSTILE))

    def step(self) -> None:
        state = self.state
        if state.run is None or state.ended is not None:
            self._between_runs()
        elif rulings := due(state, QuotaPolicy(), self.history.at) or rule(state, RetryPolicy()):
            self.tell(*rulings)
        elif reason := ending(state):
            if reason == "completed" and self.dice.random() < 0.7:
                if self.dice.random() < 0.3:
                    self.tell(e.MergeStarted(1, "model", self.dice.choice(HOSTILE)))
                    self.tell(e.MergeProgressed(1, self.dice.choice(HOSTILE)))
                self.tell(e.ResultsMerged("structured", e.Artifact("final_output.md", 1, "0")))
            self.tell(e.RunEnded(self.runs, reason))  # type: ignore[arg-type]
        elif self.dice.random() < 0.1:
            self._person()
        elif state.running and self.dice.random() < 0.7:
            self._attempt(self._any_at_work())
        else:
            self._admit()

    def _between_runs(self) -> None:
        if self.runs and self.dice.random() < 0.2:
            self.accept(random_plan(self.dice))
        self.runs += 1
        running = [task for task in self.state.by_index if task.status in WORKING]
        self.tell(*(e.AttemptInterrupted(task.id, task.attempt, "crash", crashed=True) for task in running))
        self.tell(e.RunStarted(self.runs, 4242, "host", self.runs > 1))

    def _admit(self) -> None:
        assert self.state.plan is not None
        admission = admission_for(self.state.plan, self.state.plan.limits, cores=4, memory_gb=8)
        batch = self.state.batch + 1
        starts = admit(self.state, admission, self.history.at)
        self.tell(*(e.TaskStarted(task.id, task.attempt + 1, batch, "f", task.fallback) for task in starts))
        if not starts and not self.state.running:
            for checkpoint in self.state.open_checkpoints:
                self._answer(checkpoint.id, checkpoint.subject_sha256)
            self.history.at += 5.0  # whoever waits for a delay has waited, or for a quota
            if (look := next_look(self.state, QuotaPolicy())) is not None:
                self.history.at = max(self.history.at, look)

    def _attempt(self, task: TaskState) -> None:
        """Something happens to a running task."""
        dice = self.dice
        roll = dice.random()
        if task.status is TaskStatus.AWAITING_REVIEW and roll < 0.8:
            self.tell(self._review(task))
        elif task.status is TaskStatus.AWAITING_REVIEW:
            self.tell(e.AttemptInterrupted(task.id, task.attempt, "halted"))
        elif roll < 0.04:
            request = ReviewRequest("r", task.id, task.attempt, dice.choice(HOSTILE), "h", "?", ("ann", "bob"), 9.0)
            self.tell(e.ReviewRequested(task.id, task.attempt, request))
        elif roll < 0.2:
            self.tell(e.ProcessStarted(task.id, task.attempt, dice.randint(2, 32768), dice.randint(1, 10**6)))
        elif roll < 0.3:
            self.tell(self._told(task))
        elif roll < 0.75:
            self.tell(self._completion(task))
        elif roll < 0.9:
            commits = dice.choice([(), ("abc1", "abc2")])
            self.tell(e.TaskFailed(task.id, task.attempt, dice.choice(HOSTILE), "exit_code", 0.5, 1, commits=commits))
        elif roll < 0.92:
            resets_at = self.history.at + dice.choice([1.0, 600.0, 90_000.0])
            vendor = self.state.vendor(task)
            self.tell(e.QuotaReached(task.id, task.attempt, vendor, resets_at, dice.choice(HOSTILE), 1.5))
        elif roll < 0.95:
            checkpoint = f"{task.id}@{task.attempt}"
            self.tell(e.CheckpointReached(checkpoint, task.id, task.attempt, dice.choice(HOSTILE), "hash"))
        else:
            self.tell(e.AttemptInterrupted(task.id, task.attempt, "halted", proven_dead=False, survivors=(77,)))

    def _told(self, task: TaskState) -> e.AnyEvent:
        """What an attempt tells while it runs: its progress, or what its coding agent is, is refused, and uses."""
        dice, name, attempt, text = self.dice, task.id, task.attempt, self.dice.choice(HOSTILE)
        sandbox, cost = dice.choice(["bubblewrap", "uncontained"]), dice.choice([None, 0.25])
        agents: list[e.AnyEvent] = [
            e.AgentStarted(name, attempt, "claude", "edit", sandbox, text, (text,), dice.choice(["", text]), "ann"),
            e.AgentIdentified(name, attempt, text),
            e.AgentDenied(name, attempt, "Bash", text, text, remedy=text, id=dice.choice(["", "call"])),
            e.AgentSpent(name, attempt, dice.randint(0, 999), 1, 1, cost, dice.choice([False, True])),
        ]
        return dice.choice([e.TaskProgressed(name, attempt, text, dice.randint(0, 3), 3), *agents])

    def _completion(self, task: TaskState) -> e.TaskCompleted:
        dice = self.dice
        report = {
            "summary": dice.choice(HOSTILE),
            "findings": [{"message": dice.choice(HOSTILE), "category": "style", "severity": "low", "line": 3}],
        }
        value: Any = msgspec.UNSET
        result, format_ = None, ""
        kind = dice.choice(["none", "value", "text", "json", "report"])
        path = f"results/agent-{task.number:02d}-result"
        if kind == "value":
            value, format_ = dice.choice([1, dice.choice(HOSTILE).replace("\x00", ""), {"n": [1, 2]}, report]), "json"
        elif kind == "text":
            result, format_ = self.history.store(f"{path}.md", dice.choice(HOSTILE).encode()), "text"
        elif kind in ("json", "report"):
            result, format_ = self.history.store(f"{path}.json", json.dumps(report).encode()), kind
        outputs = dice.choice([(), (self.history.store(f"outputs/{task.id}/plot.png", b"png"),)])
        commits, work = dice.choice([((), None), (("abc1", "abc2"), e.AgentWork("claude", "edit", "bubblewrap"))])
        return e.TaskCompleted(
            task.id, task.attempt, dice.choice([0.0, 1.25, 70.0]), value, result, format_, outputs, 0, commits, work
        )

    def _person(self) -> None:
        """Somebody gives a command."""
        dice, state = self.dice, self.state
        task = dice.choice(state.by_index)
        verb = dice.choice(["pause", "stop", "halt", "cancel", "reset", "try", "answer", "warn"])
        if verb == "pause":
            self.tell(e.RunUnpaused("ann") if state.paused else e.RunPaused("ann"))
        elif verb == "stop":
            self.tell(e.StopRequested("ann", dice.choice(HOSTILE)))
        elif verb == "halt":
            running = [task for task in state.by_index if task.status in WORKING]
            self.tell(e.HaltRequested("ann"), *(e.AttemptInterrupted(t.id, t.attempt, "halted") for t in running))
        elif verb == "cancel" and not task.status.settled:
            self.tell(e.TaskCancelled(task.id, "ann", dice.choice(HOSTILE)))
        elif verb == "reset" and task.status.settled and task.settled:
            self.tell(e.TaskReset(task.id, "ann"))
        elif verb == "try" and task.status is TaskStatus.AWAITING_QUOTA:
            self.tell(e.QuotaProbed(task.id, "ann"))
        elif verb == "answer" and state.open_checkpoints:
            checkpoint = state.open_checkpoints[0]
            self._answer(checkpoint.id, checkpoint.subject_sha256)
        elif verb == "warn":
            self.tell(e.WarningRaised(dice.choice(HOSTILE)))

    def _answer(self, checkpoint_id: str, subject: str) -> None:
        task = self.state.tasks.get(self.state.checkpoints[checkpoint_id].task)
        if task is None or task.status is not TaskStatus.AWAITING_APPROVAL:
            return
        if self.dice.random() < 0.7:
            self.tell(e.CheckpointApproved(checkpoint_id, subject, "ann", {"ok": True}))
        else:
            self.tell(e.CheckpointRejected(checkpoint_id, subject, self.dice.choice(HOSTILE), "ann"))

    def _any_at_work(self) -> TaskState:
        return self.dice.choice([task for task in self.state.by_index if task.status in WORKING])

    def _review(self, task: TaskState) -> e.AnyEvent:
        """A review goes on: somebody votes, it is decided, or a person is asked."""
        dice, name, text = self.dice, task.id, self.dice.choice(HOSTILE)
        decided = OrchestratorDecision(dice.choice(["stop", "pause", "warn", "continue"]), text)
        findings = (Finding(text, severity="low", file=text),)
        vote = ReviewResponse("r", "ann", text, dice.choice(VERDICTS), "low", findings, 0.5, text)
        spent = e.AgentSpent(f"{name}/review-ann", task.attempt, 5, 1, 0, None, dice.choice([False, True]))
        return dice.choice(
            [
                e.ReviewVoted(name, task.attempt, vote),
                e.ReviewDecided(name, task.attempt, decided),
                e.SideWorkTold(spent),
                e.CheckpointReached(f"{name}@{task.attempt}", name, task.attempt, text, "hash"),
            ]
        )
