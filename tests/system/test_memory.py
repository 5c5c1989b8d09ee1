"""Freed memory goes back to the operating system."""

from __future__ import annotations

import sys

import psutil
import pytest

from orchestrator_nb.system.memory import give_back


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux keeps it")
def test_what_is_free_between_blocks_in_use_is_given_back() -> None:
    process = psutil.Process()
    # Larger than what Python's own allocator takes, smaller than what the C library maps by itself.
    blocks = [b"x" * 8_000 for _ in range(10_000)]
    kept = blocks[::10]
    full = process.memory_info().rss
    del blocks
    give_back()
    assert process.memory_info().rss < full - 30 * 2**20
    assert all(block == b"x" * 8_000 for block in kept)
