"""The engine as papermill loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live_kernels import REPOSITORY

#: An installed package with the entry point that this one has.
ENTRY = "[papermill.engine]\norchestrator = orchestrator_nb.kernels.entry:engine\n"
PROGRAM = """
import importlib, sys
importlib.import_module(sys.argv[1])
from papermill.engines import papermill_engines
kernel = papermill_engines.nb_kernel_name("orchestrator", None, "python3")
print(kernel, papermill_engines.get_engine("orchestrator").execute_notebook.__module__)
"""


def test_it_is_the_one_that_is_installed() -> None:
    assert '\norchestrator = "orchestrator_nb.kernels.entry:engine"\n' in (REPOSITORY / "pyproject.toml").read_text()


@pytest.mark.parametrize("first", ["papermill", *map("orchestrator_nb.kernels.{}".format, (
    "continuing", "engine", "entry", "execution", "recording", "saving"))])  # fmt: skip
def test_whatever_is_imported_first_the_engine_is_there(tmp_path: Path, first: str) -> None:
    (tmp_path / "orchestrator_nb_entry-0.dist-info").mkdir()
    (tmp_path / "orchestrator_nb_entry-0.dist-info" / "entry_points.txt").write_text(ENTRY)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", first],
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{tmp_path}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["python3", "orchestrator_nb.kernels.engine"], done.stderr
