"""What coding agents have used: tokens, US dollars and time, of a task, of a kind of agent, of a run.

What is not known is not 0: a sum says of how many attempts it knows, and is told as "at least" where that is not all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator_nb.core.agent_attempts import AgentAttempt
from orchestrator_nb.core.events import AgentSpent
from orchestrator_nb.core.state import State


@dataclass(frozen=True, slots=True)
class TotalUsage:
    """What some attempts have used together."""

    attempts: int = 0
    #: Of so many attempts the tokens are known, the price, and the time.
    counted: int = 0
    priced: int = 0
    timed: int = 0
    #: Tokens read, those from a cache (`cached_tokens`) among them, and written.
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    #: US dollars, and seconds: of those attempts of which they are known.
    known_cost: float = 0.0
    known_seconds: float = 0.0
    #: So many attempts were replayed from a recording: they have used nothing.
    replayed: int = 0

    @property
    def cost(self) -> float | None:
        """US dollars; None if the price of any attempt is unknown."""
        return self.known_cost if self.priced == self.attempts else None

    @property
    def seconds(self) -> float | None:
        """Of all attempts, one after the other; None if any is not over, or unknown."""
        return self.known_seconds if self.timed == self.attempts else None

    def __str__(self) -> str:
        """For people: ``1,234 tokens in, 56 out, 0.2500 $``; empty for no attempts."""
        if not self.attempts:
            return ""
        replayed = f" ({self.replayed} of {self.attempts} attempts replayed)" if self.replayed else ""
        return f"{self.tokens_in_words}, {self.cost_in_words}{replayed}"

    @property
    def tokens_in_words(self) -> str:
        """``1,234 tokens in, 56 out``, ``at least 1,234 tokens in, 56 out``, ``tokens unknown``."""
        if not self.counted:
            return "tokens unknown"
        least = "" if self.counted == self.attempts else "at least "
        return f"{least}{self.input_tokens:,} tokens in, {self.output_tokens:,} out"

    @property
    def cost_in_words(self) -> str:
        """``0.2500 $``, ``at least 0.2500 $``, ``cost unknown``."""
        if not self.priced:
            return "cost unknown"
        return f"{'' if self.priced == self.attempts else 'at least '}{dollars(self.known_cost)}"

    @property
    def short(self) -> str:
        """For a table: ``12k in, 678 out, 0.25 $``."""
        if not self.counted:
            return "unknown"
        least = "" if self.counted == self.attempts else "≥ "
        price = (
            f"{'' if self.priced == self.attempts else '≥ '}{self.known_cost:,.2f} $" if self.priced else "cost unknown"
        )
        return f"{least}{_compact(self.input_tokens)} in, {_compact(self.output_tokens)} out, {price}"

    def facts(self) -> dict[str, Any]:
        """As JSON: `cost` and `seconds` are null where they are not wholly known."""
        return {**asdict(self), "cost": self.cost, "seconds": self.seconds}


def dollars(cost: float | None) -> str:
    """``0.2500 $``, or ``unknown``, which is not 0."""
    return "unknown" if cost is None else f"{cost:,.4f} $"


def _compact(number: int) -> str:
    """``678``, ``1.2k``, ``35k``, ``1.3M``."""
    for unit, sign in ((1_000_000, "M"), (1000, "k")):
        if number >= unit:
            return f"{number / unit:.1f}{sign}" if number < 10 * unit else f"{number / unit:,.0f}{sign}"
    return str(number)


def spent(event: AgentSpent) -> TotalUsage:
    """What one attempt has used so far; one that is replayed uses nothing."""
    if event.recorded:
        return TotalUsage(attempts=1, counted=1, priced=1, replayed=1)
    return TotalUsage(
        attempts=1,
        counted=1,
        priced=event.cost is not None,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cached_tokens=event.cached_tokens,
        known_cost=event.cost or 0.0,
    )


def used(attempts: Iterable[AgentAttempt]) -> TotalUsage:
    """What these attempts have used together."""
    number = counted = priced = timed = tokens_in = tokens_out = cached = replayed = 0
    cost = seconds = 0.0
    for attempt in attempts:
        number += 1
        if attempt.seconds is not None:
            timed += 1
            seconds += attempt.seconds
        if attempt.recorded:  # known: nothing
            replayed, counted, priced = replayed + 1, counted + 1, priced + 1
        elif (told := attempt.spent) is not None:
            counted += 1
            tokens_in += told.input_tokens
            tokens_out += told.output_tokens
            cached += told.cached_tokens
            if told.cost is not None:
                priced += 1
                cost += told.cost
    return TotalUsage(number, counted, priced, timed, tokens_in, tokens_out, cached, cost, seconds, replayed)


def of_run(state: State) -> TotalUsage:
    """What the whole session has used, over all its runs."""
    return used(attempt for attempts in state.agent_attempts.values() for attempt in attempts)


def by_agent(state: State, *, over: bool = False) -> dict[str, TotalUsage]:
    """The same by kind of agent, in the order in which they were first started; of attempts that are `over` alone."""
    groups: dict[str, list[AgentAttempt]] = {}
    for attempts in state.agent_attempts.values():
        for attempt in attempts:
            if attempt.over or not over:
                groups.setdefault(attempt.agent or "unknown", []).append(attempt)
    return {agent: used(attempts) for agent, attempts in groups.items()}


def by_task(state: State) -> dict[str, list[AgentAttempt]]:
    """The attempts by task: those of the plan in its order, then those of tasks that it has dropped."""
    known = {task.id: attempts for task in state.by_index if (attempts := state.agent_attempts.get(task.id))}
    return known | state.agent_attempts


def of_task(state: State, task: str) -> TotalUsage:
    """What all attempts of a task have used."""
    return used(state.agent_attempts.get(task, ()))


def line(state: State) -> str:
    """All of it in one line, agent by agent; empty until a coding agent has told what it uses, or is over."""
    kinds = by_agent(state)
    whole = of_run(state)
    if not whole.counted and not any(attempt.over for told in state.agent_attempts.values() for attempt in told):
        return ""
    parts = [f"{agent}: {usage}" for agent, usage in kinds.items()]
    return "; ".join(parts if len(kinds) < 2 else [f"All agents: {whole}", *parts])


# -- what an agent was, and was refused --------------------------------------------------------------------------------


def label(attempt: AgentAttempt) -> str:
    """How it runs: ``claude, level edit, bubblewrap``; what is not contained says so loudest."""
    started = attempt.started
    if started is None:
        return ""
    if started.recorded:
        return f"{started.agent}, replayed"
    if not started.sandbox:
        return started.agent
    sandbox = "⚠ uncontained" if started.sandbox == "uncontained" else started.sandbox
    return f"{started.agent}, level {started.level}, {sandbox}"


def marks(attempts: Sequence[AgentAttempt]) -> str:
    """What people should see at a glance of a task's last attempt: ``uncontained``, ``2 refused``; mostly empty."""
    if not attempts:
        return ""
    last = attempts[-1]
    told = ["⚠ uncontained"] if last.started is not None and last.started.sandbox == "uncontained" else []
    told = ["replayed"] if last.recorded else told
    told += [f"{len(last.denials)} refused"] if last.denials else []
    return ", ".join(told)


def attempts_facts(attempts: Iterable[AgentAttempt]) -> list[dict[str, Any]]:
    """Each attempt as JSON."""
    return [
        {
            "attempt": attempt.attempt,
            "agent": attempt.agent or None,
            "level": attempt.started.level if attempt.started else None,
            "sandbox": attempt.started.sandbox if attempt.started else None,
            "replayed": attempt.recorded,
            "why": attempt.started.why if attempt.started else None,
            "open": list(attempt.started.open) if attempt.started else [],
            "granted": (attempt.started.granted or None) if attempt.started else None,
            "granted_by": (attempt.started.by or None) if attempt.started else None,
            "sessions": list(attempt.sessions),
            "model": attempt.model or None,
            "denials": [
                {
                    "tool": denial.tool,
                    "target": denial.target,
                    "reason": denial.reason,
                    "source": denial.source,
                    "remedy": denial.remedy or None,
                }
                for denial in attempt.denials
            ],
            "over": attempt.over,
            "usage": used([attempt]).facts(),
        }
        for attempt in attempts
    ]
