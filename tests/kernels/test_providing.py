"""Managers of kernels, for notebooks that are executed one after the other in one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.util import run_sync
from nbformat.v4 import new_code_cell, new_notebook

from orchestrator_nb.kernels import providing
from orchestrator_nb.kernels.manager import Manager
from orchestrator_nb.kernels.modes import Choice
from orchestrator_nb.kernels.providing import provide
from orchestrator_nb.kernels.provisioner import Pooled

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

BOOK = new_notebook(cells=[new_code_cell("import colorsys")])


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    providing._end_spare()
    yield
    providing._end_spare()
    for manager in managers:
        run_sync(manager.cleanup_resources)()
    managers.clear()


managers: list[Manager] = []


def given(mode: str, *arguments: str, kernel: str = "python3") -> tuple[Manager, Manager, Choice]:
    """The manager that was handed in, and what came of it."""
    manager = Manager(kernel_name=kernel)
    managers.append(manager)
    return manager, *provide(manager, mode, BOOK, arguments)


def pid_of(manager: Manager) -> int:
    provisioner: Any = manager.provisioner
    return int(provisioner.pid)


def test_a_cold_kernel_is_started_by_who_asked_with_sockets_of_its_own() -> None:
    before, manager, choice = given("cold")
    assert manager is before
    assert choice == Choice("cold", "asked for")
    assert (manager.provisioner, manager.transport) == (None, "ipc")
    run_sync(manager.cleanup_resources)()
    assert not Path(manager.directory).exists()


def test_a_fork_is_to_have_what_the_notebook_imports() -> None:
    before, manager, choice = given("fork")
    assert manager is before
    assert choice == Choice("fork", "asked for")
    assert isinstance(manager.provisioner, Pooled)
    assert "colorsys" in manager.provisioner.preload


def test_the_first_warm_kernel_is_cold_and_the_next_one_waits_already() -> None:
    before, first, choice = given("warm")
    assert first is before
    assert choice == Choice("cold", "none was waiting yet")
    spare = providing._spare
    assert spare is not None
    handed_in, second, choice = given("warm")
    assert choice == Choice("warm", "asked for")
    assert second is spare[1]
    assert second is not handed_in
    assert second.waits
    assert run_sync(second.is_alive)()
    run_sync(second.shutdown_kernel)(now=True)


def test_a_waiting_kernel_of_another_kind_or_a_dead_one_is_not_taken() -> None:
    given("warm", "--of=one")
    spare = providing._spare
    assert spare is not None
    process = psutil.Process(pid_of(spare[1]))
    assert given("warm", "--of=another")[2].mode == "cold"
    assert psutil.wait_procs([process], timeout=10)[1] == []
    spare = providing._spare
    assert spare is not None
    process = psutil.Process(pid_of(spare[1]))
    process.kill()
    psutil.wait_procs([process], timeout=10)
    assert given("warm", "--of=another")[2] == Choice("cold", "none was waiting yet")


def test_a_kernel_that_does_not_exist_is_told() -> None:
    with pytest.raises(NoSuchKernel):
        given("cold", kernel="no-such-kernel")
