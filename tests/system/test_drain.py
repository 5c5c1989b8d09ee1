"""Output into a log: all of it, or its head and its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.system._drain import TAIL, Drain


def drained(path: Path, cap: int, *pieces: bytes) -> Drain:
    drain = Drain(os.fsencode(path), cap)
    for piece in pieces:
        for at in range(0, len(piece), 1 << 15):
            os.write(drain.writer, piece[at : at + (1 << 15)])
            assert drain.pump() > 0
    os.close(drain.writer)
    drain.finish()
    return drain


@pytest.mark.parametrize("size", [0, 1, 4096, 65_536, 100_000, 3_000_000])
def test_output_below_the_cap_is_kept_as_it_is(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    drain = drained(tmp_path / "log", 1 << 30, data)
    assert (tmp_path / "log").read_bytes() == data
    assert (drain.lost, drain.error) == (0, 0)


@pytest.mark.parametrize("over", [0, 1, TAIL - 1, TAIL, TAIL + 1, 3 * TAIL, 3 * TAIL + 12_345])
def test_output_above_the_cap_keeps_head_and_end_and_says_what_is_missing(tmp_path: Path, over: int) -> None:
    cap = 100_000
    data = os.urandom(cap + over)
    drain = drained(tmp_path / "log", cap, data)
    log = (tmp_path / "log").read_bytes()
    assert drain.lost == max(0, over - TAIL)
    assert log.startswith(data[:cap])
    assert log.endswith(data[max(cap, len(data) - TAIL) :])
    marker = b"\n[orchestrator: the log is full; %d bytes of output are left out here]\n" % drain.lost
    assert len(log) == cap + min(over, TAIL) + (len(marker) if drain.lost else 0)
    assert (marker in log) == bool(drain.lost)


def test_a_log_is_continued_not_overwritten(tmp_path: Path) -> None:
    drained(tmp_path / "log", 100, b"first\n")
    assert drained(tmp_path / "log", 100, b"second\n").offset == 6
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"


def test_a_full_disk_loses_output_and_nothing_else() -> None:
    drain = drained(Path("/dev/full"), 1 << 30, b"x" * 200_000)
    assert drain.lost == 200_000
    assert os.strerror(drain.error) == "No space left on device"


def test_a_link_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Drain(os.fsencode(tmp_path / "log"), 100)
    assert not (tmp_path / "elsewhere").exists()
