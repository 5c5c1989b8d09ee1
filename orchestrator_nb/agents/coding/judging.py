"""How a run of a coding agent ended: judged from its events, its exit code and its standard error together.

Never by the exit code alone: claude and gemini exit with 0 when they are interrupted, all three after a refusal.
A run succeeded if its final event is good and its exit code in order; refusals are told beside (whether a task fails
for one depends on its outputs and checks, which are not known here).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from orchestrator_nb.agents.coding import failures
from orchestrator_nb.agents.coding.cli import CodingCli
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    ErrorSeen,
    Finished,
    Kind,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    ToolResult,
    Unknown,
    Usage,
)
from orchestrator_nb.agents.coding.watching import LONGEST_SLEEP

#: `succeeded`: a good final event; `failed`: a bad one, or the CLI refused to start; `interrupted`: a signal ended it
#: before its final event; `incomplete`: it ended, or had to be ended for lack of time, without one.
State = Literal["succeeded", "failed", "interrupted", "incomplete"]

#: Who ended the process: itself, a stop of ours, our clock, or we because it stayed after its final event.
Ended = Literal["itself", "stopped", "timeout", "lingering"]

#: Exit codes by which a shell, a sandbox or a program tells that SIGINT, SIGKILL or SIGTERM ended it.
_SIGNALS = (130, 137, 143)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one run when it has ended."""

    state: State
    #: Class of the error that ended it; empty if it succeeded.
    error: Kind = ""
    #: What went wrong, and what to do about it; empty if it succeeded.
    message: str = ""
    #: Trying again later may help.
    transient: bool = False
    #: Each refused call once, from the best source.
    denials: tuple[PermissionDenied, ...] = ()
    #: Of this run; None if the stream tells none, or only totals of a session whose earlier ones aren't known.
    usage: Usage | None = None
    #: The session's totals so far, to be handed to the judge of the next run of the same session.
    totals: Usage | None = None
    #: None if it never said its name.
    session: str | None = None
    #: The agent's last words.
    text: str = ""
    turns: int = 0
    #: Requests that the CLI tried again.
    retries: int = 0
    #: The usage limit that was told of, if any: what to wait for if `error` is `rate_limit` (`failures.reset_time`).
    limit: RateLimit | None = None
    #: Lines that no rule covers.
    unknown: int = 0


class Judge:
    """Sees the events of one run, and sums them up at its end.

    Args:
        cli: Whose run it is.
        resumed: Whether the run goes on with a session.
        before: The session's totals before it, if known (`Summary.totals` of the run before).
    """

    def __init__(self, cli: CodingCli, *, resumed: bool = False, before: Usage | None = None) -> None:
        self._cli = cli
        self._resumed = resumed
        self._before = before
        self._session: str | None = None
        self._final: Finished | None = None
        self._trouble: Kind = ""
        self._text = ""
        self._usage: Usage | None = None
        self._limit: RateLimit | None = None
        self._denials: dict[object, PermissionDenied] = {}
        self._retries = 0
        self._unknown = 0

    def see(self, event: AgentEvent) -> None:
        """Take note of one event."""
        match event:
            case Text(text=text, partial=False) if text:
                self._text, self._trouble = text, ""
            case ToolResult():
                self._trouble = ""
            case Unknown():
                self._unknown += 1
            case PermissionDenied():
                self._deny(event)
            case Retry():
                self._retries += 1
                self._trouble = event.reason
                if self._limit is None and event.reason == "rate_limit" and (event.delay or 0.0) > LONGEST_SLEEP:
                    self._limit = RateLimit(event.line, None, f"it tries again in {event.delay:.0f} s")
            case ErrorSeen(transient=True) | ErrorSeen(kind="auth"):
                self._trouble = event.kind
            case Started():
                self._session = event.session or self._session
            case Usage(partial=False):
                self._usage = _added(self._usage, event)
            case RateLimit():
                self._limit = event
            case Finished():
                self._final = event

    def recall(self, events: Iterable[AgentEvent]) -> None:
        """Take note of what the CLI's own record holds (`CodingCli.recorded`).

        Of a refusal that the streams told as well, under another id, the record's telling is kept: it knows more.
        """
        told = dict(self._denials)
        for event in events:
            if isinstance(event, PermissionDenied):
                same = (key for key, denial in told.items() if denial.reason == event.reason)
                if (key := next(same, None)) is not None:
                    del told[key], self._denials[key]
            self.see(event)

    def _deny(self, denial: PermissionDenied) -> None:
        key: object = denial.id or (denial.source, denial.line)
        known = self._denials.get(key)
        if known is None or known.source == "text":
            self._denials[key] = denial

    def summary(self, code: int, errors: str = "", ended: Ended = "itself") -> Summary:
        """How the run ended.

        Args:
            code: The exit code, or minus the number of the signal that ended the process.
            errors: The end of its standard error.
            ended: Who ended the process.
        """
        state = self._state(code, ended)
        kind, said = self._why(state, code, errors, ended)
        usage, totals = self._usages()
        remedy = failures.REMEDIES.get(kind, "")
        return Summary(
            state=state,
            error=kind,
            message=" -- ".join(part for part in (said.strip()[-2000:], remedy) if part),
            transient=kind in failures.TRANSIENT,
            denials=tuple(self._denials.values()),
            usage=usage,
            totals=totals,
            session=self._session,
            text=self._final.text if self._final and self._final.ok and self._final.text else self._text,
            turns=self._final.turns if self._final else 0,
            retries=self._retries,
            limit=self._limit,
            unknown=self._unknown,
        )

    def _state(self, code: int, ended: Ended) -> State:
        final = self._final
        if final and final.ok and (code == 0 or ended == "lingering"):
            return "succeeded"
        if final and not final.ok and final.kind != "interrupted":
            return "failed"
        if ended == "timeout":
            return "incomplete"
        if ended == "stopped" or code < 0 or code in _SIGNALS or (final and final.kind == "interrupted"):
            return "interrupted"
        return "failed" if final or (code and self._session is None) else "incomplete"

    def _why(self, state: State, code: int, errors: str, ended: Ended) -> tuple[Kind, str]:
        final = self._final
        if state == "succeeded":
            return "", ""
        if state == "interrupted":
            return "interrupted", "it was interrupted"
        if final and not final.ok:
            return final.kind or "other", final.text
        if final:
            return "other", f"its final event was good, but it ended with exit code {code}"
        lead = "it ran out of time without a final event" if ended == "timeout" else ""
        if self._trouble:
            return self._trouble, lead or "it ended without a final event while trying again"
        kind, said = (None if ended == "timeout" else self._cli.failure(code, errors)) or ("other", "")
        return kind, said or lead or f"it ended with exit code {code} and without a final event"

    def _usages(self) -> tuple[Usage | None, Usage | None]:
        """The usage of this run, and the session's totals."""
        seen, before = self._usage, self._before
        if seen is None:
            return None, before
        if not self._resumed:
            ours = msgspec.structs.replace(seen, cumulative=False, cost_cumulative=False)
            return ours, ours
        if seen.cumulative and before is None:
            return None, seen
        known = before or Usage(0)
        tokens = {name: getattr(seen, name) for name in _TOKENS}
        run, session = dict(tokens), dict(tokens)
        for name in _TOKENS:
            if seen.cumulative:
                run[name] = max(0, tokens[name] - getattr(known, name))
            else:
                session[name] += getattr(known, name)
        cost, total = seen.cost, seen.cost
        if seen.cost is not None:
            earlier = before.cost if before else None
            if seen.cost_cumulative and (earlier is None or seen.cost >= earlier):
                cost = None if earlier is None else seen.cost - earlier
            else:
                total = None if earlier is None else earlier + seen.cost
        told = msgspec.structs.replace(seen, cumulative=False, cost_cumulative=False)
        replaced = msgspec.structs.replace
        return replaced(told, **run, cost=cost), replaced(told, **session, cost=total)


def _added(before: Usage | None, now: Usage) -> Usage:
    """What one run has used after two of its final events: claude has more than one if work went on behind it."""
    if before is None:
        return now
    tokens = {name: getattr(now, name) + (0 if now.cumulative else getattr(before, name)) for name in _TOKENS}
    cost = now.cost
    if cost is not None and not now.cost_cumulative:
        cost = None if before.cost is None else before.cost + cost
    return msgspec.structs.replace(now, **tokens, cost=cost)


_TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cache_write_tokens")


def judge(  # noqa: PLR0913
    cli: CodingCli,
    events: Iterable[AgentEvent],
    code: int,
    errors: str = "",
    ended: Ended = "itself",
    *,
    resumed: bool = False,
    before: Usage | None = None,
) -> Summary:
    """`Judge` for events that are all at hand."""
    seen = Judge(cli, resumed=resumed, before=before)
    for event in events:
        seen.see(event)
    return seen.summary(code, errors, ended)
