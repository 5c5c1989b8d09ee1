from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest

from orchestrator_nb.core.events import FORMAT, Record, SessionCreated, TaskCompleted, TaskStarted
from orchestrator_nb.errors import SessionCorrupt, SessionError, StorageError
from orchestrator_nb.storage.log import EventLog
from orchestrator_nb.storage.records import LogFollower, read_records

AT = 1_736_692_200.0


def lines(*bodies: bytes) -> bytes:
    """Records as somebody else might write them, with good checksums."""
    crc, data = 0, b""
    for body in bodies:
        crc = crc32(body, crc)
        data += body + b',"crc":"%08x"}\n' % crc
    return data


def test_missing_log_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*/events\.jsonl: No such file or directory \(ENOENT\)"):
        list(read_records(tmp_path / "events.jsonl"))


def test_empty_log_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    assert list(read_records(path)) == []


def test_tail_is_reported_to_readers(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(b'{"seq":1,"at":1.0,"event":{"type":"task_started","task":"a","attempt":1}') + b'{"se')
    tails: list[int] = []
    assert len(list(read_records(path, tails.append))) == 1
    assert tails == [4]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\n", "record 1 at byte 0 is damaged: it is no record"),
        (b"hello\n", "it is no record"),
        (b'{"seq":1}\n', "its checksum is wrong"),
        (b'{"seq":4,"at":1.0}\n', "it has number 4 where 1 must be"),
        (lines(b'{"seq":2,"at":1.0,"event":{"type":"run_paused"}'), "it has number 2 where 1 must be"),
    ],
)
def test_bad_record_says_where_and_why(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(data)
    with pytest.raises(SessionCorrupt, match=reason) as error:
        list(read_records(path))
    assert f"truncate -s 0 '{path}'" in str(error.value)


@pytest.mark.parametrize(
    "event", [b'{"type":"time_travelled"}', b'{"type":"run_paused","by":7}', b'{"type":"run_paused","by":"\xff"}']
)
def test_intact_record_that_is_not_known_asks_for_an_upgrade(event: bytes, tmp_path: Path) -> None:
    """It is no damage: nobody shall cut it off."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(b'{"seq":1,"at":1.0,"event":{"type":"run_paused"}', b'{"seq":2,"at":1.0,"event":' + event))
    found: list[Record] = []
    with pytest.raises(SessionError, match=r"newer release \(record 2 at byte 66 is intact, but .*upgrade") as error:
        EventLog.open(path, on_record=found.append)
    assert not isinstance(error.value, SessionCorrupt)
    assert len(found) == 1


def test_log_of_a_newer_release_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        log.append([SessionCreated("20250112-143000-ab12c", "9.0", FORMAT + 1)], AT)
    with pytest.raises(SessionError, match=f"its format is {FORMAT + 1}, by orchestrator_nb 9.0.*upgrade"):
        list(read_records(path))


def test_records_larger_than_a_chunk_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    values = ["x" * size for size in (10, 1_000_000, 1, 1_048_000, 500_000, 3)]
    with EventLog.open(path) as log:
        for value in values:
            log.append([TaskCompleted("a", 1, value=value)], AT)
    assert [record.event.value for record in read_records(path)] == values  # type: ignore[union-attr]


def test_large_log_without_lines_is_damage_and_not_a_tail(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(SessionCorrupt, match="bytes without the end of a line"):
        list(read_records(path))


def test_follower_returns_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with LogFollower(path) as follower:
        assert follower.poll() == []
        with EventLog.open(path) as log:
            assert follower.poll() == []
            written = log.append([TaskStarted("a", 1)], AT)
            assert follower.poll() == written
            assert follower.poll() == []
            written = log.append([TaskStarted("b", 1), TaskStarted("c", 1)], AT)
            assert follower.poll() == written
            assert follower.seq == 3


def test_follower_takes_a_log_byte_by_byte(tmp_path: Path) -> None:
    """At no point of a record's being written does it raise, or return what is not whole."""
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        written = log.append([TaskStarted("a", 1), TaskStarted("bb", 1), TaskStarted("ccc", 1)], AT)
    data = path.read_bytes()
    path.unlink()
    found: list[Record] = []
    with LogFollower(path) as follower, path.open("wb", buffering=0) as file:
        for byte in data:
            file.write(bytes([byte]))
            found += follower.poll()
            assert len(found) == path.read_bytes().count(b"\n")
    assert found == written


def test_follower_forgets_a_tail_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with LogFollower(path) as follower:
        path.write_bytes(b'{"seq":1,"at":1.0,"event":{"type":"task_st')
        assert follower.poll() == []
        with EventLog.open(path) as log:
            assert follower.poll() == []
            written = log.append([TaskStarted("a", 1)], AT)
            assert follower.poll() == written


def test_follower_returns_good_records_before_it_raises(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        written = log.append([TaskStarted("a", 1), TaskStarted("b", 1)], AT)
    path.write_bytes(path.read_bytes() + b"damage\n")
    with LogFollower(path) as follower:
        assert follower.poll() == written
        for _ in range(2):
            with pytest.raises(SessionCorrupt, match="record 3 at byte"):
                follower.poll()


def test_follower_of_a_log_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog.open(path) as log:
        log.append([TaskStarted("a", 1)], AT)
    with LogFollower(path) as follower:
        assert len(follower.poll()) == 1
        path.write_bytes(b"")
        with pytest.raises(SessionCorrupt, match="the file has become shorter"):
            follower.poll()


@pytest.mark.parametrize("replaced", [False, True])
def test_follower_of_a_log_that_went_away(replaced: bool, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    with LogFollower(path) as follower:
        assert follower.poll() == []
        path.rename(tmp_path / "moved")
        if replaced:
            path.touch()
        with pytest.raises(StorageError, match=r"cannot follow .*was it moved or deleted"):
            follower.poll()
    follower.close()
