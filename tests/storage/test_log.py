from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from orchestrator_nb.core.events import Record, RunPaused, TaskCompleted, TaskStarted, WarningRaised
from orchestrator_nb.errors import OrchestratorError, SessionLocked, StorageError
from orchestrator_nb.storage.log import EventLog, read_records
from orchestrator_nb.storage.records import MAX_RECORD

AT = 1_736_692_200.125


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()


def test_appended_events_are_numbered_returned_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        first = log.append([TaskStarted("a", 1), TaskCompleted("a", 1, value={"n": [1, None]})], AT)
        second = log.append((WarningRaised("ü\n"),), AT + 1)
        assert [record.seq for record in first + second] == [1, 2, 3]
        assert log.seq == 3
    assert list(read_records(path)) == first + second
    assert second == [Record(3, AT + 1, WarningRaised("ü\n"))]


def test_log_is_one_json_object_a_line_with_the_checksum_last(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        log.append([TaskStarted("a", 1)], AT)
        log.append([RunPaused()], AT)
    first, second = path.read_text().splitlines()
    body = '{"seq":1,"at":1736692200.125,"event":{"type":"task_started","task":"a","attempt":1}'
    crc = crc32(body.encode())
    assert first == f'{body},"crc":"{crc:08x}"}}'
    body = '{"seq":2,"at":1736692200.125,"event":{"type":"run_paused"}'
    assert second == f'{body},"crc":"{crc32(body.encode(), crc):08x}"}}'


def test_reopened_log_goes_on_and_tells_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        written = log.append([TaskStarted(f"t{number}", 1) for number in range(5)], AT)
    found: list[Record] = []
    with EventLog.open(path, on_record=found.append) as log:
        assert (log.seq, log.synced_seq, log.dropped) == (5, 5, 0)
        assert found == written
        written += log.append([TaskStarted("last", 1)], AT)
    assert list(read_records(path)) == written


def test_unterminated_last_record_is_dropped_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        log.append([TaskStarted("a", 1)], AT)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":2,"at":17')
    with EventLog.open(path) as log:
        assert (log.seq, log.dropped) == (1, 16)
    assert path.read_bytes() == whole


def test_no_events_write_nothing(tmp_path: Path) -> None:
    with EventLog.open(tmp_path / "events.jsonl") as log:
        assert log.append([], AT) == []
        assert log.seq == 0
        log.sync()
    assert (tmp_path / "events.jsonl").read_bytes() == b""


def test_group_commit_tells_what_is_safe_without_being_asked(tmp_path: Path) -> None:
    synced: list[int] = []
    with EventLog.open(tmp_path / "events.jsonl", on_synced=synced.append) as log:
        log.append([TaskStarted("a", 1)], AT)
        assert eventually(lambda: log.synced_seq == 1)
        log.append([TaskStarted("b", 1), TaskStarted("c", 1)], AT)
        assert eventually(lambda: log.synced_seq == 3)
    assert synced == [1, 3]


def test_sync_returns_when_all_that_was_appended_is_safe(tmp_path: Path) -> None:
    synced: list[int] = []
    with EventLog.open(tmp_path / "events.jsonl", on_synced=synced.append, sync_interval=600) as log:
        log.append([TaskStarted("a", 1)], AT)
        assert log.synced_seq == 0
        log.sync()
        assert log.synced_seq == 1
        log.sync()
        assert synced == [1]
        log.append([TaskStarted("b", 1)], AT)
        assert log.synced_seq == 1
    assert synced == [1, 2], "closing syncs"


def test_strict_log_is_safe_when_append_returns(tmp_path: Path) -> None:
    synced: list[int] = []
    log = EventLog.open(tmp_path / "e", on_synced=synced.append, durability="strict", sync_interval=600)
    for number in range(3):
        log.append([TaskStarted(f"t{number}", 1)], AT)
        assert log.synced_seq == number + 1
    log.close()
    assert synced == [1, 2, 3]


@pytest.mark.parametrize(
    "value", [object(), {1: object()}, "\ud800", "x" * MAX_RECORD], ids=["object", "nested", "surrogate", "large"]
)
def test_event_that_cannot_be_written_leaves_the_log_alive(value: object, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        with pytest.raises(OrchestratorError, match="a TaskCompleted event") as error:
            log.append([TaskStarted("a", 1), TaskCompleted("a", 1, value=value)], AT)
        assert not isinstance(error.value, StorageError)
        assert (log.seq, path.read_bytes()) == (0, b"")
        log.append([TaskStarted("a", 2)], AT)
    assert [record.seq for record in read_records(path)] == [1]


def test_closed_log_refuses(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path / "events.jsonl")
    log.close()
    log.close()
    with pytest.raises(StorageError, match="is closed"):
        log.append([TaskStarted("a", 1)], AT)
    with pytest.raises(StorageError, match="is closed"):
        log.sync()


def test_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path), pytest.raises(SessionLocked, match=str(path)):
        EventLog.open(path)
    EventLog.open(path).close()


@pytest.mark.parametrize("place", ["missing/events.jsonl", "directory", "link"])
def test_log_that_cannot_be_opened(place: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(StorageError, match=f"cannot open {tmp_path / place}: "):
        EventLog.open(tmp_path / place)
    assert not (tmp_path / "elsewhere").exists()


def test_error_of_who_is_told_the_records_ends_the_opening(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        log.append([TaskStarted("a", 1)], AT)

    def refuse(record: Record) -> None:
        raise ValueError(record.seq)

    with pytest.raises(ValueError, match="1"):
        EventLog.open(path, on_record=refuse)
    EventLog.open(path).close()  # it is not locked


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_listener_that_raises_ends_the_log(tmp_path: Path) -> None:
    """Nothing would be synced any more: better no log than one that only seems to be safe."""

    def listener(seq: int) -> None:
        raise RuntimeError(seq)

    log = EventLog.open(tmp_path / "events.jsonl", on_synced=listener)
    log.append([TaskStarted("a", 1)], AT)

    def refused() -> bool:
        try:
            log.append([TaskStarted("b", 1)], AT)
        except StorageError as error:
            return "group commit has stopped" in str(error)
        return False

    assert eventually(refused)
    log.close()


def test_log_can_be_closed_by_who_is_told_that_it_died(tmp_path: Path) -> None:
    closed = threading.Event()

    def close(error: StorageError) -> None:
        log.close()
        closed.set()

    path = tmp_path / "events.jsonl"
    log = EventLog.open(path, on_failed=close)
    path.unlink()
    log.append([TaskStarted("a", 1)], AT)
    assert closed.wait(5)
