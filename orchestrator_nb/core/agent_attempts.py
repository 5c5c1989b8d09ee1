"""What is known of the attempts of coding agents: folded from their events, kept whatever becomes of the task.

What an attempt used was used, also if the task is reset, fails, or is dropped by a new plan.
"""

from __future__ import annotations

import msgspec

from orchestrator_nb.core import events as e


class AgentAttempt(msgspec.Struct):
    """One attempt of a task by a coding agent. Read it anywhere; only `core.state` writes it."""

    attempt: int
    #: The latest start of its program in this attempt; None if that is not told.
    started: e.AgentStarted | None = None
    #: The names of its own sessions, the last one last.
    sessions: list[str] = []
    model: str = ""
    #: Each refused call once.
    denials: list[e.AgentDenied] = []
    #: What it has used so far; None: unknown.
    spent: e.AgentSpent | None = None
    #: Whether it is over, and how many seconds it took, where that is known.
    over: bool = False
    seconds: float | None = None

    @property
    def recorded(self) -> bool:
        """Whether it is replayed from a recording, and so uses nothing."""
        told = self.started or self.spent
        return told is not None and told.recorded

    @property
    def agent(self) -> str:
        """claude, codex, gemini, ...; empty if that is not told."""
        return self.started.agent if self.started is not None else ""


def take(
    attempts: list[AgentAttempt], event: e.AgentStarted | e.AgentIdentified | e.AgentDenied | e.AgentSpent
) -> None:
    """Take in what an attempt told; `attempts` are those of its task, the last one last."""
    if not attempts or attempts[-1].attempt != event.attempt:
        attempts.append(AgentAttempt(event.attempt))
    attempt = attempts[-1]
    match event:
        case e.AgentStarted():
            attempt.started = event
        case e.AgentIdentified():
            attempt.model = event.model
            if event.session not in attempt.sessions:
                attempt.sessions.append(event.session)
        case e.AgentSpent():
            attempt.spent = event
        case e.AgentDenied():
            same = [place for place, known in enumerate(attempt.denials) if event.id and known.id == event.id]
            if same:
                attempt.denials[same[0]] = event
            else:
                attempt.denials.append(event)


def end(attempts: list[AgentAttempt], attempt: int, seconds: float | None) -> None:
    """Note that an attempt is over, if it is one of these."""
    if attempts[-1].attempt == attempt:
        attempts[-1].over, attempts[-1].seconds = True, seconds
