from __future__ import annotations

from orchestrator_nb.agents.coding.vocabulary import (
    ErrorSeen,
    Finished,
    PermissionDenied,
    RateLimit,
    Retry,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from orchestrator_nb.agents.coding.watching import Watch


def watch() -> Watch:
    return Watch(stall=10, tool_stall=60, linger=3, now=0)


def test_only_work_is_a_sign_of_life() -> None:
    clock = watch()
    clock.see(Started(1, "s"), 1)
    for now in range(2, 12):
        clock.see(Retry(now, now), now)
        clock.see(ErrorSeen(now, "network", "Reconnecting..."), now)
        clock.see(Unknown(now), now)
    assert clock.verdict(11) == ""
    assert clock.verdict(11.1) == "stalled"
    clock.see(Text(30, "x", partial=True), 12)
    assert clock.verdict(21) == ""


def test_a_running_tool_has_its_own_allowance_until_it_ends() -> None:
    clock = watch()
    clock.see(ToolCall(1, "a", "Bash"), 0)
    clock.see(ToolCall(2, "b", "Read"), 1)
    assert clock.verdict(61) == ""
    assert clock.verdict(61.1) == "tool_stalled"
    assert "its tool Bash, Read showed no sign of work for 60 s" in clock.words("tool_stalled")
    clock.see(ToolResult(3, "a", ok=True), 2)
    clock.see(PermissionDenied(4, "Read", "/x", "no", "mode", "event", "b"), 3)
    assert clock.verdict(13.1) == "stalled"


def test_a_tool_is_not_given_less_than_anything_else() -> None:
    clock = Watch(stall=10, tool_stall=1, linger=3, now=0)
    clock.see(ToolCall(1, "a", "Bash"), 0)
    assert clock.verdict(9) == ""


def test_who_is_about_to_sleep_until_a_limit_ends_is_ended() -> None:
    clock = watch()
    clock.see(Retry(1, 1, delay=30.0, reason="rate_limit"), 1)
    clock.see(Retry(2, 2, delay=3600.0, reason="server"), 1)
    assert clock.verdict(1) == ""
    clock.see(Retry(3, 3, delay=3600.0, reason="rate_limit"), 2)
    clock.see(RateLimit(4), 2)
    clock.see(Text(1, "written before, and read after"), 2.5)
    assert clock.verdict(2.9) == ""
    assert clock.verdict(3.1) == "limited"
    assert clock.words("limited") == "a limit is reached: it was about to sleep for 3600 s, and was ended"
    clock.see(Text(5, "it went on"), 4)
    assert clock.verdict(4) == ""


def test_who_has_finished_may_stay_a_little_and_begin_again() -> None:
    clock = watch()
    clock.see(ToolCall(1, "a", "Bash"), 0)
    clock.see(Finished(2, ok=True), 1)
    assert clock.verdict(4) == ""
    assert clock.verdict(4.1) == "lingering"
    clock.see(Text(3, "something went on behind it"), 4)
    assert clock.verdict(14) == ""
