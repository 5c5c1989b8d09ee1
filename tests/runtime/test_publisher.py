"""What is published, and when."""

from __future__ import annotations

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import StorageError
from orchestrator_nb.runtime.publisher import Publisher
from tests.runtime.waiting import until


def record(seq: int) -> e.Record:
    return e.Record(seq, 0.0, e.WarningRaised(f"w{seq}"))


def test_nothing_is_published_before_it_is_synced() -> None:
    publisher = Publisher(State(), None)
    seen: list[int] = []
    publisher.subscribe(lambda records: seen.extend(r.seq for r in records))
    publisher.start()
    publisher.offer([record(1)], None)
    publisher.offer([record(2), record(3)], None)
    publisher.synced(2)
    until(lambda: seen == [1])  # the second batch is not whole on disk
    publisher.synced(3)
    until(lambda: seen == [1, 2, 3])
    with publisher.reading() as state:
        assert state.seq == 3
    publisher.close()


class Projector:
    """Keeps the numbers of the records that it follows, and "writes" them; or fails to."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.followed: list[tuple[int, int]] = []
        self.written: list[tuple[int, int]] = []

    def follow(self, record: e.Record, state: State) -> None:
        self.followed.append((record.seq, state.seq))

    def write(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.written = list(self.followed)


def test_closing_publishes_and_writes_the_rest() -> None:
    projector = Projector()
    publisher = Publisher(State(), projector, 60.0)
    publisher.start()
    publisher.offer([record(1), record(2)], None)
    publisher.synced(2)
    publisher.close()
    assert projector.written == [(1, 1), (2, 2)]  # each with the state that it led to


def test_a_subscriber_can_leave() -> None:
    publisher = Publisher(State(), None)
    seen: list[int] = []
    remove = publisher.subscribe(lambda records: seen.append(len(records)))
    remove()
    remove()
    publisher.start()
    publisher.offer([record(1)], None)
    publisher.synced(1)
    publisher.close()
    assert seen == []


def test_trouble_with_files_is_told_once_and_stops_nothing() -> None:
    publisher = Publisher(State(), Projector(StorageError("no room")), 0.0)
    publisher.start()
    for seq in (1, 2):
        publisher.offer([record(seq)], None)
        publisher.synced(seq)
    publisher.close()
    assert str(publisher.take_trouble()) == "no room"
    assert publisher.take_trouble() is None
    with publisher.reading() as state:
        assert state.seq == 2
