"""Output into a log: all of it, or its head and its end, without secrets."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator_nb.system._drain import TAIL, Drain
from orchestrator_nb.system._redacting import BEGINNING, MARK, Redacting


def drained(path: Path, cap: int, *pieces: bytes, secrets: Sequence[bytes] = ()) -> Drain:
    drain = Drain(os.fsencode(path), cap, secrets)
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


# -- secrets -----------------------------------------------------------------------------------------------------------

SECRET = b"sk-very-secret-value"


def test_row_H5_what_is_written_never_holds_a_secret_at_any_instant(tmp_path: Path) -> None:
    """Whoever kills the reaper finds no more in the log than what is there now."""
    drain = Drain(os.fsencode(tmp_path / "log"), 1 << 30, [SECRET])
    text = b"the key is " + SECRET + b", not sk-very-open, and " + SECRET + SECRET[:-1]
    for byte in text:
        os.write(drain.writer, bytes([byte]))
        assert drain.pump() == 1
        assert b"sk-very-s" not in (tmp_path / "log").read_bytes()
    os.close(drain.writer)
    drain.finish()
    assert (tmp_path / "log").read_bytes() == b"the key is %s, not sk-very-open, and %s%s" % (MARK, MARK, MARK)


@pytest.mark.parametrize("place", [0, 5, (1 << 15) - 7, (1 << 15) - 1, 1 << 15, 3 * (1 << 18) - 3])
def test_row_H5_secrets_are_found_wherever_a_chunk_ends(tmp_path: Path, place: int) -> None:
    noise = random.Random(place).randbytes(1 << 20)
    drained(tmp_path / "log", 1 << 30, noise[:place] + SECRET + noise[place:], secrets=[SECRET])
    assert (tmp_path / "log").read_bytes() == noise[:place] + MARK + noise[place:]


def test_row_H5_the_head_the_tail_and_what_is_between_hold_no_secret(tmp_path: Path) -> None:
    drain = drained(tmp_path / "log", 1000, SECRET * (3 * TAIL // len(SECRET)), secrets=[SECRET])
    log = (tmp_path / "log").read_bytes()
    assert drain.lost
    assert SECRET[:BEGINNING] not in log
    assert log.startswith(MARK)


def redacted_whole(text: bytes, secrets: Sequence[bytes]) -> bytes:
    """From left to right, the longest first: what redacting has to give however the text comes."""
    kept, at = b"", 0
    while at < len(text):
        found = max((secret for secret in secrets if text.startswith(secret, at)), key=len, default=b"")
        kept += MARK if found else text[at : at + 1]
        at += len(found) or 1
    return kept


@pytest.mark.parametrize("seed", range(300))
def test_row_H5_secrets_that_overlap_and_begin_alike(seed: int) -> None:
    """Texts of two letters, in which all of that happens."""
    chance = random.Random(seed)
    secrets = [bytes(chance.choices(b"ab", k=chance.randint(8, 12))) for _ in range(chance.randint(1, 4))]
    text = b"".join(chance.choice([*secrets, b"a", b"b", b"ab", b"-"]) for _ in range(40)) + b"-"
    redacting, kept, rest = Redacting(secrets), b"", text
    while rest:
        size = chance.randint(1, 9)
        kept += redacting.feed(memoryview(rest[:size]))
        rest = rest[size:]
    assert kept + redacting.end() == redacted_whole(text, secrets)
