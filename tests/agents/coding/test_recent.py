from __future__ import annotations

from orchestrator_nb.agents.coding.recent import Recent


def test_the_oldest_entries_are_forgotten() -> None:
    recent: Recent[int] = Recent(kept=3)
    for number in range(5):
        recent[str(number)] = number
    assert [recent.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]


def test_an_entry_that_is_set_again_is_new() -> None:
    recent: Recent[int] = Recent(kept=2)
    recent["a"], recent["b"], recent["a"], recent["c"] = 1, 2, 3, 4
    assert [recent.get(key) for key in "abc"] == [3, None, 4]
