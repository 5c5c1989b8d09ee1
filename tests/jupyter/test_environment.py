"""Who is looking: told from the request of the running cell, in real kernels, and in processes without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_nb.jupyter.environment import Environment, current_cell, environment, request_of
from tests.live_kernels import REPOSITORY, Kernel, started_kernel

ASK = "from orchestrator_nb.jupyter.environment import current_cell, environment\nprint(environment().value)"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with started_kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


def test_plain_python_is_a_script_without_cells() -> None:
    assert environment() is Environment.SCRIPT
    assert current_cell() == ("", "")


def test_ipython_in_a_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=nocolor", "-c", ASK]
    surroundings = {**os.environ, "PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "terminal"


def test_a_front_end_lets_a_cell_ask_and_nbclient_does_not(kernel: Kernel) -> None:
    assert kernel.run(ASK).stdout.strip() == "notebook"
    assert kernel.run(ASK, allow_stdin=False).stdout.strip() == "headless"


def test_voila_runs_cells_as_nbclient_does_but_its_pages_are_live(kernel: Kernel) -> None:
    voila = f"import os\nos.environ['SERVER_SOFTWARE'] = 'voila/0.5'\n{ASK}\ndel os.environ['SERVER_SOFTWARE']"
    assert kernel.run(voila, allow_stdin=False).stdout.strip() == "notebook"


def test_a_cell_keeps_its_id_and_each_execution_has_its_own(kernel: Kernel) -> None:
    code = f"{ASK}\nprint(*current_cell())"
    cells = [kernel.run(code, cell="c-1").stdout.split()[1:] for _ in range(2)]
    assert [cell for cell, _ in cells] == ["c-1", "c-1"]
    assert cells[0][1] != cells[1][1]
    assert len(kernel.run(code).stdout.split()[1:]) == 1  # without an id of the cell


def test_a_kernel_that_keeps_no_request_for_a_thread() -> None:
    class Kernel70:
        def get_parent(self) -> dict[str, object]:
            raise LookupError("shell_parent")

    assert request_of(Kernel70()) == {}
