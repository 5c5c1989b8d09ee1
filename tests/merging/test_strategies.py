"""One interface for all strategies."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator_nb.core.merges import Merge
from orchestrator_nb.merging import STRATEGIES, WRITERS, merge
from tests.merging.test_by_agent import REVIEW, Scripted


@pytest.mark.parametrize("strategy", sorted(WRITERS))
def test_writers_ask_nobody(strategy: str) -> None:
    desk = Scripted(lambda _: pytest.fail("nobody is asked"))
    document = asyncio.run(STRATEGIES[strategy](REVIEW, Merge(), desk))
    assert document.text == merge(strategy, REVIEW)
    assert (document.warnings, desk.asked) == ((), [])
