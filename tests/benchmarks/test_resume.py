"""The benchmark runs and says what it measured; its figures are no test."""

from __future__ import annotations

from tests.benchmarks.resume import main


def test_it_runs() -> None:
    [line] = main(["--size", "100", "--reps", "1"])
    assert line["tasks"] == 100
    assert isinstance(line["cpu_s"], float)
