"""What coding agents do, as far as it is a fact of the session: small, in the past tense (`core.events`).

What an agent says, reads and prints in full is bulk: that is in its attempt's log.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator_nb.core.event import Event


class AgentStarted(Event, frozen=True, tag="agent_started"):
    """The program of a coding agent is about to be started: for an attempt, or again in it with more rights.

    Other agents that tell what they use (`AgentSpent`) say by this who they are, and leave out what they have not.
    """

    task: str
    attempt: int
    #: claude, codex, gemini, ...
    agent: str
    #: What it may do: read, edit or full; empty for an agent that touches nothing.
    level: str = ""
    #: What contains it (bubblewrap, landlock, or uncontained), how or why no better, and what that leaves open.
    sandbox: str = ""
    why: str = ""
    open: tuple[str, ...] = ()
    #: What it was granted beyond the plan, in words, for this attempt alone; and by whom.
    granted: str = ""
    by: str = ""
    #: Its own session that it goes on with; empty for a new one.
    session: str = ""
    #: It is replayed from a cassette: nothing was started, this is how it was when it was recorded.
    recorded: bool = False


class AgentIdentified(Event, frozen=True, tag="agent_identified"):
    """A coding agent said under which name its session can be gone on with."""

    task: str
    attempt: int
    session: str
    model: str = ""
    version: str = ""


class AgentDenied(Event, frozen=True, tag="agent_denied"):
    """A coding agent was refused something. What follows from it is in the outcome, or in a later `AgentStarted`."""

    task: str
    attempt: int
    tool: str
    #: What it was to work on: a path, a command; as far as it is known, and shortened.
    target: str
    #: Why, in the words of the program or of the system.
    reason: str
    #: Where it was found (`agents.coding.vocabulary.Source`): what is known from `text` alone may be forged.
    source: str = ""
    #: The least that would let it through, in words; empty if nothing that could be granted would.
    remedy: str = ""
    #: Of the call: the same call is told again when a better source confirms it.
    id: str = ""


class AgentSpent(Event, frozen=True, tag="agent_spent"):
    """What an attempt of a coding agent has used so far; each of these takes the place of the one before."""

    task: str
    attempt: int
    #: Tokens read, those from a cache (`cached_tokens`) among them, and written.
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    #: US dollars; None: unknown, which is not 0.
    cost: float | None = None
    #: The attempt has come to its end.
    final: bool = False
    #: The cost is computed from tokens by the plan's prices; the agent did not tell it.
    by_price: bool = False
    #: It was used when the attempt was recorded, and is not used again in this session.
    recorded: bool = False


class Changed(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file that an attempt changed."""

    #: Relative to the top of the tree that the plan works in, with ``/``.
    path: str
    kind: Literal["added", "modified", "deleted", "type", "mode"] = "modified"


class AgentWork(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Who did a task that a coding agent completed, and what it changed: nothing in it tells one run from another."""

    #: claude, codex, gemini, ...
    agent: str
    #: What it might do: read, edit or full.
    level: str
    #: What contained it: bubblewrap, landlock or uncontained.
    sandbox: str
    #: Why no better sandbox did; empty for the best.
    why: str = ""
    #: The files that it changed, by path: the first `MOST_CHANGES`, and how many more there are.
    changes: tuple[Changed, ...] = ()
    more_changes: int = 0


#: Changed files that an event names.
MOST_CHANGES = 200
