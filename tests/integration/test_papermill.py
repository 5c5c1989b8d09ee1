"""papermill's own command and its own tests, with our engine."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.kernels.books import notebook, text
from tests.live_kernels import REPOSITORY

ENTRY = "[papermill.engine]\norchestrator = orchestrator_nb.kernels.entry:engine\n"
#: Makes ours the engine that papermill takes when nobody names one.
PLUGIN = """
from papermill.engines import papermill_engines
from orchestrator_nb.kernels.engine import OrchestratorEngine
for name in (None, "nbclient"):
    papermill_engines.register(name, OrchestratorEngine)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where the engine is found by its entry point, whether this package is installed or not."""
    (tmp_path / "site" / "orchestrator_nb_entry-0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "orchestrator_nb_entry-0.dist-info" / "entry_points.txt").write_text(ENTRY)
    (tmp_path / "site" / "engine_plugin.py").write_text(PLUGIN)
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{tmp_path / 'site'}"}


def papermill(directory: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "papermill", *arguments],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_the_command_of_papermill_uses_the_engine(tmp_path: Path, environment: dict[str, str]) -> None:
    notebook(tmp_path / "in.ipynb", "x = 1", "print(6 * x)")
    done = papermill(tmp_path, environment, "--engine", "orchestrator", "in.ipynb", "out.ipynb", "-p", "x", "3")
    assert done.returncode == 0, done.stderr
    assert "Executing: 100%" in done.stderr
    saved = nbformat.read(tmp_path / "out.ipynb", 4)
    assert saved.metadata.orchestrator.kernel.mode == "cold"
    assert saved.metadata.papermill.parameters == {"x": 3}
    assert [cell.metadata.papermill.status for cell in saved.cells] == 3 * ["completed"]


def test_exit_codes_are_those_of_papermill(tmp_path: Path, environment: dict[str, str]) -> None:
    notebook(tmp_path / "dead.ipynb", "import os; os._exit(3)")
    notebook(tmp_path / "bad.ipynb", "1 / 0")
    notebook(tmp_path / "exits.ipynb", "import sys; sys.exit(0)")
    for name, code in (("dead", 138), ("bad", 1), ("exits", 0)):
        done = papermill(tmp_path, environment, "--engine", "orchestrator", f"{name}.ipynb", "out.ipynb")
        assert done.returncode == code, done.stderr


def test_another_language_is_executed_as_papermill_does(tmp_path: Path, environment: dict[str, str]) -> None:
    """A kernel that is not IPython's, by TCP: here one of ipykernel's examples in a file."""
    spec = tmp_path / "share" / "kernels" / "echo"
    spec.mkdir(parents=True)
    (spec / "echo.py").write_text(ECHO)
    argv = [sys.executable, f"{spec}/echo.py", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Echo", "language": "echo"}))
    environment["JUPYTER_PATH"] = str(tmp_path / "share")
    notebook(tmp_path / "in.ipynb", "hello", kernelspec={"name": "echo", "language": "echo", "display_name": "Echo"})
    environment["ORCHESTRATOR_KERNEL_MODE"] = "fork"
    done = papermill(tmp_path, environment, "--engine", "orchestrator", "in.ipynb", "out.ipynb")
    assert done.returncode == 1
    assert "The kernel 'Echo' cannot be forked: it is not started by 'python -m ipykernel_launcher'" in done.stderr
    environment["ORCHESTRATOR_KERNEL_MODE"] = "auto"
    done = papermill(tmp_path, environment, "--engine", "orchestrator", "in.ipynb", "out.ipynb")
    assert done.returncode == 0, done.stderr
    assert text(nbformat.read(tmp_path / "out.ipynb", 4).cells[0]) == "hello"


ECHO = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class Echo(Kernel):
    implementation, implementation_version, banner = "echo", "1", "echo"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **_):
        assert self.parent.transport == "tcp"
        self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": code})
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


IPKernelApp.launch_instance(kernel_class=Echo)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_papermills_own_tests_pass_where_they_pass_with_its_engine(tmp_path: Path, environment: dict[str, str]) -> None:
    if importlib.util.find_spec("papermill.tests") is None:
        pytest.skip("this papermill is installed without its tests")
    stock, ours = (failures(tmp_path, environment, *plugin) for plugin in ((), ("-p", "engine_plugin")))
    assert ours[1] == stock[1] - len(ours[0] - stock[0]) > 400
    assert sorted(ours[0] - stock[0]) == []


def failures(directory: Path, environment: dict[str, str], *plugin: str) -> tuple[set[str], int]:
    """The tests of papermill that fail or cannot be collected, and how many pass."""
    command = [
        sys.executable, "-m", "pytest", "--pyargs", "papermill.tests", "--continue-on-collection-errors", "-q", "-rfE",
        "-W", "ignore", "-p", "no:cacheprovider", "--rootdir", str(directory), *plugin,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)), int(passed[1])
