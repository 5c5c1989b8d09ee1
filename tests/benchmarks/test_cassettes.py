"""The benchmark runs and says what it measured; its time is no test, what it replays is."""

from __future__ import annotations

from tests.benchmarks.cassettes import main


def test_a_replay_opens_no_connection_and_gives_the_same_bytes() -> None:
    (line,) = main(["--tasks", "20", "--reps", "1"])
    assert (line["tasks"], line["connections"], line["same_bytes"]) == (20, 0, True)
    assert line["ratio"] > 0
