from __future__ import annotations

from datetime import datetime
from pathlib import PurePath

from orchestrator_nb.projections.going_on import command, kept, moment, waiting, whole

SESSION = PurePath("/work/my runs/s1")


def test_commands_can_be_pasted_into_a_shell() -> None:
    assert command(SESSION, "a", "b") == "orchestrate retry a b --from-failed-cell -s '/work/my runs/s1'"
    assert whole(SESSION, "a") == "orchestrate retry a -s '/work/my runs/s1'"
    assert whole(SESSION, "a", running=False).endswith("&& orchestrate resume '/work/my runs/s1'")


def test_a_kept_kernel_is_told_with_its_time_and_both_ways_on() -> None:
    at = datetime(2026, 11, 21, 17, 45, 10).astimezone().timestamp()
    assert moment(at) == "17:45:10 on 2026-11-21"
    said = kept(SESSION, "a", at)
    assert said.startswith("Its kernel is kept until 17:45:10 on 2026-11-21, if the run does not end before")
    assert command(SESSION, "a") in said
    assert said.endswith(whole(SESSION, "a"))


def test_a_run_that_waits_says_for_how_long() -> None:
    said = waiting(SESSION, {"a": 100.0, "b": 3700.0}, now=40.0)
    assert said.startswith(f"Waiting until {moment(3700.0)} (1h 01m): 2 kernels of failed notebooks kept. Mend")
    assert command(SESSION, "a", "b") in said
    assert "(<0.1s): 1 kernel of" in waiting(SESSION, {"a": 1.0}, now=2.0)
