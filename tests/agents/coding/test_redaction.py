from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestrator_nb.agents.coding.redaction import MARK, Redactor, secrets_in

SECRET = "sk-very-secret-value"


def test_row_H5_texts_hold_no_secret() -> None:
    redactor = Redactor([SECRET, "no", f"{SECRET}-longer"])
    assert redactor.text(f"key={SECRET}-longer, {SECRET}; no") == f"key={MARK}, {MARK}; no"


@pytest.mark.parametrize("place", [0, 5, (1 << 20) - 7, (1 << 20) - 1, 1 << 20, 3 * (1 << 20) - 3])
def test_row_H5_files_hold_no_secret_wherever_a_block_ends(tmp_path: Path, place: int) -> None:
    path = tmp_path / "log"
    noise = random.Random(place).randbytes(3 * (1 << 20))
    path.write_bytes(noise[:place] + SECRET.encode() + noise[place:])
    assert Redactor([SECRET]).file(path)
    assert path.read_bytes() == noise[:place] + MARK.encode() + noise[place:]
    assert path.stat().st_mode & 0o777 == 0o600
    assert not Redactor([SECRET]).file(path)


def test_a_file_without_secrets_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("nothing")
    before = path.stat().st_ino
    assert not Redactor([SECRET]).file(path)
    assert not Redactor([]).file(path)
    assert not Redactor([SECRET]).file(tmp_path / "none")
    assert path.stat().st_ino == before


def test_long_texts_in_a_login_file_are_secrets() -> None:
    login = '{"tokens": {"access": "a-token-of-some-length", "kind": "Bearer"}, "more": ["another-long-token-x", 3]}'
    assert sorted(secrets_in(login)) == ["a-token-of-some-length", "another-long-token-x"]
    assert list(secrets_in("no json")) == []
