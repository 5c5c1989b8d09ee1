"""What an attempt of a coding agent puts on record: how it was started, its session, refusals, tokens and cost.

These are facts of the session: small, told as they happen, so that a crash loses no more than the last seconds of
what was used. What the agent says and does in full is in the attempt's log.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator_nb.agents.coding.preparing import Checked
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, PermissionDenied, Started, Usage
from orchestrator_nb.core.events import (
    MOST_CHANGES,
    AgentDenied,
    AgentIdentified,
    AgentSpent,
    AgentStarted,
    AgentWork,
    Changed,
)
from orchestrator_nb.core.ports import Assignment, Services
from orchestrator_nb.system.sandbox.policy import Level as Containment
from orchestrator_nb.system.sandbox.probing import Sandbox
from orchestrator_nb.worktrees.changes import Change

#: Seconds between two reports of what is used; each is an event in the log.
INTERVAL = 2.0
#: Refusals that are put on record one by one: an agent may try for ever.
MOST_REFUSALS = 50
#: Characters of what a refused call was to work on, and of why it was refused.
_TARGET, _REASON = 200, 500


@dataclass(frozen=True, slots=True)
class _Spent:
    """Tokens and cost, of one run of the program or of several."""

    tokens_in: int = 0
    output: int = 0
    cached: int = 0
    cost: float | None = 0.0

    def plus(self, usage: Usage) -> _Spent:
        """With this, too."""
        cost = None if self.cost is None or usage.cost is None else self.cost + usage.cost
        return _Spent(
            self.tokens_in + usage.tokens_in, self.output + usage.output_tokens, self.cached + usage.cached_tokens, cost
        )


class Reports:
    """Puts the facts of one attempt on record.

    Args:
        services: Where to.
        assignment: The attempt.
        agent: The name of the coding agent.
        redactor: Takes secrets out.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        services: Services,
        assignment: Assignment,
        agent: str,
        redactor: Redactor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services, self._agent, self._redactor, self._clock = services, agent, redactor, clock
        self._task, self._attempt, self._by = assignment.task.id, assignment.attempt, assignment.answered_by
        #: Who has granted something in this attempt.
        self._granters: dict[str, None] = {}
        #: Reasons of the refusals in the present run that were told, by call; and how many were told in all.
        self._denied: dict[str, str] = {}
        self._refusals = 0
        #: Of the runs of the program that have ended, and what the present one has told since.
        self._ended, self._running = _Spent(), _Spent()
        #: Whether anything was told of what is used, and whether the present run has begun its work.
        self._any = self._began = False
        self._told: AgentSpent | None = None
        self._told_at = float("-inf")

    def started(self, checked: Checked, level: str, granted: str, session: str | None, *, unasked: bool) -> None:
        """Its program is about to be started.

        Args:
            checked: What contains it.
            level: What it may do.
            granted: What it is granted beyond the plan; empty for nothing.
            session: Its session that it goes on with.
            unasked: Whether the last grant is by the task's own list, not by a person.
        """
        box = checked.sandbox
        if granted:
            self._granters["the task's `recovery`" if unasked else self._by] = None
        event = AgentStarted(
            self._task,
            self._attempt,
            self._agent,
            level,
            box.level.label,
            why_of(box),
            box.open(network=checked.options.network),
            self._plain(granted, _REASON),
            ", ".join(filter(None, self._granters)),
            session or "",
        )
        self._services.report(event)

    def see(self, event: AgentEvent, remedy: Callable[[PermissionDenied], str]) -> None:
        """Take note of what the agent did; `remedy` says what would let a refused call through."""
        match event:
            case Started(session=session) if session:
                self._began = True
                self._services.report(AgentIdentified(self._task, self._attempt, session, event.model, event.version))
            case PermissionDenied():
                self._deny(event, remedy)
            case Usage(partial=True):
                self._running, self._any = self._running.plus(event), True
                self.tick()

    def tick(self) -> None:
        """Report what is used, if it is time to."""
        if self._any and self._clock() >= self._told_at + INTERVAL:
            self._tell(final=False)

    def run_ended(
        self, usage: Usage | None, denials: Iterable[PermissionDenied], remedy: Callable[[PermissionDenied], str]
    ) -> None:
        """A run of its program has ended.

        Args:
            usage: What it told at its end, or None; then what it told on the way counts, at an unknown price. One
                that did not even begin has used nothing.
            denials: All refusals that are known now.
            remedy: As in `see`.
        """
        self._ended = self._ended.plus(usage) if usage is not None else self._given_up()
        self._any = self._any or usage is not None
        self._running, self._began = _Spent(), False
        told = Counter(self._denied.values())  # the program's own record may name a call in another way
        for denial in denials:
            told[denial.reason] -= 1
            if told[denial.reason] < 0:
                self._deny(denial, remedy)
        self._denied = {}

    def over(self) -> None:
        """The attempt is over, however it ended."""
        self._ended, self._running, self._began = self._given_up(), _Spent(), False
        if self._any:
            self._tell(final=True)

    def _given_up(self) -> _Spent:
        """With what the present run has told, if it told anything."""
        if not self._began:
            return self._ended
        now = self._running
        return self._ended.plus(Usage(0, now.tokens_in, now.output, now.cached, cost=None))

    def _tell(self, *, final: bool) -> None:
        spent = self._given_up()
        cost = None if spent.cost is None else round(spent.cost, 8)
        event = AgentSpent(self._task, self._attempt, spent.tokens_in, spent.output, spent.cached, cost, final)
        if event != self._told:
            self._services.report(event)
            self._told = event
        self._told_at = self._clock()

    def _deny(self, denial: PermissionDenied, remedy: Callable[[PermissionDenied], str]) -> None:
        key = denial.id or f"{denial.source} {denial.line}"
        new = key not in self._denied
        if new and self._refusals >= MOST_REFUSALS:
            return
        self._refusals += new
        self._denied[key] = denial.reason
        self._services.report(
            AgentDenied(
                self._task,
                self._attempt,
                self._plain(denial.tool, 100),
                self._plain(denial.target, _TARGET),
                self._plain(denial.reason, _REASON),
                denial.source,
                self._plain(remedy(denial), _REASON),
                denial.id[:200],
            )
        )

    def _plain(self, text: str, longest: int) -> str:
        line = " ".join(self._redactor.text(text).split()).encode("utf-8", "replace").decode()
        return line if len(line) <= longest else f"{line[: longest - 1]}…"


def why_of(box: Sandbox) -> str:
    """Why nothing better contains it; for the best there is, what it is."""
    return box.why.removeprefix("uncontained: ")


def work_of(agent: str, level: str, box: Sandbox, changes: Sequence[Change]) -> AgentWork:
    """Who did a task, and what it changed: the same for equal work, whenever and wherever it is done."""
    ordered = sorted(changes, key=lambda change: change.path)
    named = tuple(Changed(_as_text(change.path), change.kind) for change in ordered[:MOST_CHANGES])
    why = "" if box.level is Containment.BUBBLEWRAP else why_of(box)
    return AgentWork(agent, level, box.level.label, why, named, len(ordered) - len(named))


def _as_text(path: str) -> str:
    """A path that may hold bytes that are no UTF-8, as JSON can hold it."""
    return os.fsencode(path).decode("utf-8", "replace")
