"""The pace at which pages are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator_nb.jupyter.comm import LiveComm
from orchestrator_nb.jupyter.updates import INTERVAL, MOST, Updates


class Part:
    """Sends `messages` at each flush, and notes when."""

    most = 1

    def __init__(self, messages: int = 1) -> None:
        self.sent_at = 0.0
        self.messages = messages
        self.times: list[float] = []

    def flush(self) -> None:
        LiveComm.sent += self.messages
        self.times.append(time.monotonic())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def keep_due(updates: Updates, parts: list[Part], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for part in parts:
            updates.due(part)
        time.sleep(0.001)


def busiest(parts: list[Part]) -> int:
    """The most messages in a second."""
    times = [moment for part in parts for moment in part.times for _ in range(part.messages)]
    return max(sum(start <= moment < start + 1 for moment in times) for start in times)


def test_a_first_change_goes_out_at_once_and_more_go_together() -> None:
    updates, part = Updates(), Part()
    began = time.monotonic()
    keep_due(updates, [part], 0.55)
    assert part.times[0] - began < INTERVAL
    gaps = [later - earlier for earlier, later in zip(part.times, part.times[1:], strict=False)]
    assert min(gaps) >= INTERVAL * 0.99
    assert len(part.times) >= 3


def test_what_is_due_is_sent_even_when_nothing_follows() -> None:
    updates, part = Updates(), Part()
    updates.due(part)
    until(lambda: len(part.times) == 1)
    updates.due(part)
    until(lambda: len(part.times) == 2)


def test_all_parts_together_keep_the_rate_and_none_starves() -> None:
    updates, parts = Updates(), [Part(), Part(), Part(2), Part(), Part()]
    keep_due(updates, parts, 2.0)
    assert busiest(parts) <= MOST + 1  # nobody knows what a part sends at its first turn
    assert min(len(part.times) for part in parts) >= 2


def test_a_part_that_sends_much_waits_until_there_is_room_and_starves_nobody() -> None:
    updates, parts = Updates(), [Part(14), Part(), Part(), Part(), Part()]
    updates.due(parts[0])
    until(lambda: len(parts[0].times) == 1)
    keep_due(updates, parts, 4.0)
    assert busiest(parts) <= MOST
    assert min(len(part.times) for part in parts) >= 3


def test_a_part_that_says_how_much_it_sends_waits_at_its_first_turn() -> None:
    updates, parts = Updates(), [*(Part(3) for _ in range(4)), Part(14)]
    parts[-1].most = 14
    keep_due(updates, parts, 2.0)
    until(lambda: bool(parts[-1].times))
    assert busiest(parts) <= MOST + 2


def test_a_call_may_be_for_later() -> None:
    updates = Updates()
    told: list[str] = []
    updates.call(lambda: told.append("later"), after=0.2)
    updates.call(lambda: told.append("now"))
    until(lambda: len(told) == 2)
    assert told == ["now", "later"]


def test_a_delayed_turn_is_brought_forward_by_a_change() -> None:
    updates, part = Updates(), Part()
    updates.due(part, after=30)
    updates.due(part)
    until(lambda: len(part.times) == 1)


def test_calls_run_in_the_thread_and_trouble_does_not_end_it(caplog: object) -> None:
    updates = Updates()
    threads: list[threading.Thread] = []
    updates.call(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    updates.call(lambda: threads.append(threading.current_thread()))
    until(lambda: bool(threads))
    assert threads[0].name == "orchestrator_nb views"
    assert threads[0].daemon


def test_a_forgotten_part_is_not_called() -> None:
    updates, part, other = Updates(), Part(), Part()
    updates.due(part, after=0.2)
    updates.forget(part)
    updates.due(other, after=0.3)
    until(lambda: bool(other.times))
    assert not part.times


class Envelope:
    """Notes what went into it."""

    def __init__(self) -> None:
        self.open = False
        self.turns: list[list[Enveloped]] = []

    def __enter__(self) -> None:
        self.open = True
        self.turns.append([])

    def __exit__(self, *_: object) -> None:
        self.open = False
        LiveComm.sent += 1


class Enveloped(Part):
    def __init__(self, envelope: Envelope, fails: bool = False) -> None:
        super().__init__(0)
        self.envelope, self.fails = envelope, fails

    def flush(self) -> None:
        assert self.envelope.open
        self.envelope.turns[-1].append(self)
        super().flush()
        if self.fails:
            raise RuntimeError("it could not be drawn")


def test_parts_with_one_envelope_that_are_due_go_together_and_one_in_trouble_keeps_none_back(caplog: object) -> None:
    updates, envelope = Updates(), Envelope()
    parts, alone = [Enveloped(envelope, fails=True), Enveloped(envelope), Enveloped(envelope)], Part()
    late = Enveloped(envelope)

    def all_due() -> None:
        for part in (*parts, alone):
            updates.due(part)
        updates.due(late, after=0.3)

    updates.call(all_due)
    until(lambda: bool(late.times and alone.times))
    assert [set(turn) for turn in envelope.turns] == [set(parts), {late}]


def test_a_part_that_sends_much_goes_by_itself() -> None:
    updates, envelope = Updates(), Envelope()
    light, other, heavy = Enveloped(envelope), Enveloped(envelope), Enveloped(envelope)
    heavy.most = 3
    updates.due(light, heavy, other, after=0.05)
    until(lambda: bool(light.times and other.times and heavy.times))
    assert sorted(map(len, envelope.turns)) == [1, 2]
    assert [heavy] in envelope.turns
