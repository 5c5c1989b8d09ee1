from __future__ import annotations

import errno
from pathlib import Path

import pytest

from orchestrator_nb.storage.remedies import refused


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "cannot write /x/y: No space left on device (ENOSPC); free some disk space, then resume"),
        (errno.EBUSY, "cannot write /x/y: Device or resource busy (EBUSY)"),
    ],
)
def test_message_says_what_where_and_what_to_do(code: int, message: str) -> None:
    assert str(refused("write", Path("/x/y"), OSError(code, "whatever"))) == message


def test_error_without_a_number() -> None:
    assert str(refused("write", "/x", OSError("odd"))) == "cannot write /x: odd (unknown)"
