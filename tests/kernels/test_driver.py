"""What a process that executes notebooks has imported before it is forked."""

from __future__ import annotations

import colorsys
import subprocess
import sys

from orchestrator_nb.kernels._driver import put_off
from tests.live_kernels import REPOSITORY


def test_a_function_that_is_put_off_is_there_when_it_is_called() -> None:
    del sys.modules["colorsys"]
    with put_off("colorsys", "rgb_to_hsv"):
        from colorsys import rgb_to_hsv
    assert "colorsys" not in sys.modules
    assert rgb_to_hsv(1, 0, 0) == colorsys.rgb_to_hsv(1, 0, 0)
    assert hasattr(sys.modules["colorsys"], "hls_to_rgb")


def test_nothing_is_put_off_that_is_not_installed_or_there_already() -> None:
    with put_off("no_such_module", "function"):
        assert "no_such_module" not in sys.modules
    there = sys.modules["colorsys"]
    with put_off("colorsys", "rgb_to_hsv"):
        assert sys.modules["colorsys"] is there


def test_notebooks_are_executed_without_a_grammar_of_addresses() -> None:
    """It takes longer than all the rest."""
    program = (
        "import sys, orchestrator_nb.kernels._driver; sys.exit(not {'lark', 'rfc3987_syntax'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0


def test_provisioners_are_looked_for_before_the_fork() -> None:
    """That goes through all packages that are installed, which no notebook's process should have to."""
    program = (
        "import sys, orchestrator_nb.kernels._driver\n"
        "from jupyter_client.provisioning import KernelProvisionerFactory\n"
        "sys.exit(not KernelProvisionerFactory.initialized())"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0
