"""The rules of Landlock, as they are handed to the kernel of each age."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.system.sandbox import landlock
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.sandbox.programs import Needed
from tests.system.sandbox.place import Place, need


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def allowed(steps: list[str]) -> dict[str, int]:
    return {steps[at + 2]: int(steps[at + 1]) for at, step in enumerate(steps) if step == "allow"}


@pytest.mark.parametrize(
    ("version", "files", "tcp", "scopes"),
    [(1, 0x1FFF, 0, 0), (2, 0x3FFF, 0, 0), (3, 0x7FFF, 0, 0), (4, 0x7FFF, 3, 0), (5, 0xFFFF, 3, 0), (6, 0xFFFF, 3, 3)],
)
def test_a_kernel_is_asked_for_what_it_knows(place: Place, version: int, files: int, tcp: int, scopes: int) -> None:
    steps = landlock.steps(place.policy(), Needed(), version)
    assert steps[:4] == ["restrict", str(files), str(tcp), str(scopes)]
    assert steps[-1] == "enter"
    assert all(access & ~files == 0 for access in allowed(steps).values())


def test_with_the_network_no_port_is_ruled(place: Place) -> None:
    assert landlock.steps(place.policy(network=True), Needed(), 7)[:4] == ["restrict", "65535", "0", "3"]


def test_nothing_is_granted_but_what_was_asked_for(place: Place) -> None:
    steps = landlock.steps(place.policy(readable=(place.outside,)), Needed((place.base / "tool",)), 7)
    rules = allowed(steps)
    writing = {path for path, access in rules.items() if access & landlock.WRITE_FILE}
    devices = {path for path in writing if path.startswith("/dev/")}
    assert writing - devices == {str(place.work), str(place.base / "home"), str(place.base / "tmp")}
    assert not rules[str(place.outside)] & landlock.WRITE_FILE
    assert not {"/", "/etc", "/dev", "/tmp", "/run", "/sys", "/home"} & rules.keys()
    assert str(place.base / "tool") not in rules  # it is not there
    assert not rules[str(place.work)] & (1 << 6 | 1 << 11)  # no device nodes


def test_scopes_begin_with_abi_6() -> None:
    assert [landlock.scopes(version) for version in (0, 5, 6, 7)] == [0, 0, 3, 3]


def test_the_abi_is_that_of_the_kernel() -> None:
    assert need(Level.LANDLOCK).means.landlock == landlock.abi() > 0
