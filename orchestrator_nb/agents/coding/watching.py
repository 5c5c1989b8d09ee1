"""Our own clock on an agent: CLIs wait for ever on a stream that stands still.

Only what carries work counts as a sign of life: not that a request is tried again, not a warning. While a tool runs
it has an allowance of its own.
"""

from __future__ import annotations

from typing import Literal

from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    ErrorSeen,
    Finished,
    PermissionDenied,
    RateLimit,
    Retry,
    ToolCall,
    ToolResult,
    Unknown,
)

#: Why an agent has to be ended: it shows no sign of work, its tool takes too long, it stays after its final event, or
#: it is about to sleep until a limit ends, which can be waited for without it.
Verdict = Literal["", "stalled", "tool_stalled", "lingering", "limited"]

#: Seconds that it may sleep by itself until a limit ends.
LONGEST_SLEEP = 60.0
#: Seconds within which what it wrote to its two outputs may be seen in another order.
_ORDER = 1.0


class Watch:
    """The clock on one process. Times are seconds of one monotonic clock.

    Args:
        stall: Seconds that it may show no sign of work.
        tool_stall: The same while a tool runs.
        linger: Seconds that it may stay after its final event.
        now: When it began.
    """

    def __init__(self, stall: float, tool_stall: float, linger: float, now: float) -> None:
        self._stall, self._tool_stall, self._linger = stall, tool_stall, linger
        self._last = now
        self._tools: dict[str, str] = {}
        self._finished = False
        #: How long it said it would sleep, and when it said so.
        self._sleeps = 0.0
        self._slept_at = 0.0

    def see(self, event: AgentEvent, now: float) -> None:
        """Take note of an event."""
        match event:
            case Retry(reason="rate_limit", delay=delay) if delay is not None and delay > LONGEST_SLEEP:
                self._sleeps, self._slept_at = delay, now
                return
            case Retry() | RateLimit() | ErrorSeen() | Unknown():
                return
            case ToolCall(id=call, tool=tool):
                self._tools[call] = tool
            case ToolResult(id=call) | PermissionDenied(id=call):
                self._tools.pop(call, None)
        if now > self._slept_at + _ORDER:
            self._sleeps = 0.0  # it went on
        self._last = now
        self._finished = isinstance(event, Finished)
        if self._finished:
            self._tools.clear()

    def verdict(self, now: float) -> Verdict:
        """Whether it has to be ended now, and why."""
        silent = now - self._last
        if self._finished:
            return "lingering" if silent > self._linger else ""
        if self._sleeps and now > self._slept_at + _ORDER:
            return "limited"
        if self._tools:
            return "tool_stalled" if silent > max(self._stall, self._tool_stall) else ""
        return "stalled" if silent > self._stall else ""

    def words(self, verdict: Verdict) -> str:
        """For people: why it was ended, and what to do."""
        if verdict == "limited":
            return f"a limit is reached: it was about to sleep for {self._sleeps:.0f} s, and was ended"
        if verdict == "stalled":
            return f"it showed no sign of work for {self._stall:g} s, and was ended (`stall` allows more)"
        tools = ", ".join(dict.fromkeys(self._tools.values()))
        limit = max(self._stall, self._tool_stall)
        return f"its tool {tools} showed no sign of work for {limit:g} s: it was ended (`tool_stall` allows more)"
