"""The pause ends, whatever happens in it, and changes nothing for those who had switched the collector off."""

from __future__ import annotations

import gc

import pytest

from orchestrator_nb.projections.collection import collection_paused


def test_the_collector_works_again_afterwards() -> None:
    @collection_paused()
    def fails() -> None:
        assert not gc.isenabled()
        raise ZeroDivisionError

    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        fails()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
