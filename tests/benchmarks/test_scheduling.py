"""The benchmark runs and says what it measured; its figures are no test."""

from __future__ import annotations

from tests.benchmarks.scheduling import growth, main, memory, shape


def test_it_runs_every_shape() -> None:
    lines = list(main(["--size", "0.01", "--reps", "1"]))
    assert [line["shape"] for line in lines] == ["independent", "layered", "chain", "diamond"]
    assert all(isinstance(line["ratio"], float) and line["ratio"] > 0 for line in lines)


def test_growth_and_memory() -> None:
    assert growth("layered", 100, 200, 1)["tasks"] == [100, 200]
    assert memory(100)["tasks"] == 100


def test_the_shapes_are_what_they_are_called() -> None:
    assert shape("chain", 3) == [[], [0], [1]]
    assert shape("diamond", 4) == [[], [0], [0], [1, 2]]
    layered = shape("layered", 1000)
    assert all(len(parents) == 3 for parents in layered[10:])
    assert not any(layered[:10])
