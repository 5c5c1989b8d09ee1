"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from orchestrator_nb.cli.app import run_command


class Told(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Told]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Carry out a command in this process: for what is too cheap to start a program for."""

    def carry_out(*args: object) -> Told:
        capfd.readouterr()
        code = run_command([str(arg) for arg in args])
        return Told(code, *capfd.readouterr())

    return carry_out
