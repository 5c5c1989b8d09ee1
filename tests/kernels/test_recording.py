"""What a notebook records that papermill was asked to execute, without a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import papermill
import pytest
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_notebook
from papermill.engines import papermill_engines

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.headless.reproduce import reproduce
from orchestrator_nb.ipynb.provenance import file_hash, value_hash
from orchestrator_nb.kernels.engine import OrchestratorEngine
from orchestrator_nb.kernels.recording import Request
from orchestrator_nb.storage.settings import Settings
from tests.kernels.books import execute, notebook, run, text

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning", "ignore::ResourceWarning")

DRAW = "import random\nrandom.random()"


def request(kernel_name: str = "python3", **options: Any) -> Request:
    book = new_notebook()
    book.metadata.papermill = {"parameters": {"x": 1}}
    return Request(book, kernel_name, options)


def kernelspec(jupyter: Path, name: str, *argv: str, language: str = "python") -> None:
    """Install a kernelspec below a directory of `JUPYTER_PATH`."""
    directory = jupyter / "kernels" / name
    directory.mkdir(parents=True)
    spec = {"argv": argv, "display_name": name, "language": language}
    (directory / "kernel.json").write_text(json.dumps(spec))


def test_what_decided_the_execution_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    book = notebook(Path("book.ipynb"), ("x = 1", "parameters"), "x")
    (tmp_path / "there").mkdir()
    executed = execute(book, parameters={"x": 2}, cwd="there")
    decided = executed.metadata.orchestrator.provenance
    absolute = tmp_path / "book.ipynb"
    assert decided.notebook == {"path": str(absolute), "sha256": file_hash(absolute)}
    assert decided.parameters == {"sha256": value_hash({"x": 2})}
    assert decided.interpreter.executable == sys.executable
    assert any(line.startswith("papermill==") for line in decided.interpreter.packages)
    assert (decided.seed, decided.hash_seed) == (None, os.environ.get("PYTHONHASHSEED") or "random")
    assert decided.cwd == str(tmp_path / "there")
    assert decided.kernel_name == "python3"


def test_a_notebook_that_is_executed_in_place_records_what_it_was_before(tmp_path: Path) -> None:
    book = notebook(tmp_path / "book.ipynb", "1")
    before = file_hash(book)
    executed = execute(book, output=book)
    assert executed.metadata.orchestrator.provenance.notebook == {"path": str(book), "sha256": before}
    assert execute(book, output=book).metadata.orchestrator.provenance.notebook.sha256 not in (before, None)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://bucket/book.ipynb", "s3://bucket/book.ipynb"),
        ("-", "standard input"),
        (new_notebook(), "given as an object"),
        (None, "given as an object"),
    ],
)
def test_what_is_no_local_file_is_unknown_and_why(given: Any, told: str) -> None:
    decided = request(input_path=given).provenance()
    assert decided["notebook"] == {"path": told, "sha256": None, "why": "it is no local file"}
    assert decided["git"] is None
    assert decided["parameters"] == {"sha256": value_hash({"x": 1})}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ipynb")
    decided = request(input_path=str(tmp_path / "pipe.ipynb")).provenance()
    assert (decided["notebook"]["sha256"], decided["notebook"]["why"]) == (None, "it cannot be read again")


def test_what_cannot_be_found_out_costs_no_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    decided = request(input_path=str(tmp_path / "book.ipynb")).provenance()
    assert decided["why"].startswith("it is not known: FileNotFoundError")


def test_without_a_seed_a_kernel_gets_the_arguments_that_papermill_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    class Engine(OrchestratorEngine):
        """Notes what it is given."""

        @classmethod
        def execute_managed_notebook(cls, *arguments: Any, **options: Any) -> Any:
            given.append(options)

    papermill_engines.register("noting", Engine)
    run(tmp_path, "1", mode=None, engine_name="noting")
    monkeypatch.setenv("NOTEBOOK_SEED", "5")
    run(tmp_path, "1", mode=None, engine_name="noting", extra_arguments=["--debug"])
    assert "extra_arguments" not in given[0]
    assert given[1]["extra_arguments"][0] == "--debug"
    assert given[1]["extra_arguments"][1].startswith("--IPKernelApp.exec_lines=")


@pytest.mark.parametrize("mode", ["cold", "fork"])
def test_a_seed_in_the_environment_is_honoured_and_recorded(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTEBOOK_SEED", "5")
    drawn = [run(tmp_path, DRAW, mode=mode) for _ in range(2)]
    assert text(drawn[0].cells[0]) == text(drawn[1].cells[0])
    assert drawn[0].metadata.orchestrator.provenance.seed == 5
    monkeypatch.delenv("NOTEBOOK_SEED")
    other = run(tmp_path, DRAW, mode=mode)
    assert text(other.cells[0]) != text(drawn[0].cells[0])
    assert other.metadata.orchestrator.provenance.seed is None


def test_a_seed_that_cannot_be_honoured_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTEBOOK_SEED", "seven")
    with pytest.raises(ParameterError, match="NOTEBOOK_SEED=seven"):
        run(tmp_path, "1")
    assert not (tmp_path / "book.out.ipynb").exists()
    monkeypatch.setenv("NOTEBOOK_SEED", "7")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    kernelspec(tmp_path, "other", "nothing", language="R")
    with pytest.raises(ParameterError, match="a notebook in R cannot be seeded"):
        assert request("other").extra_arguments


def test_a_kernel_that_runs_already_is_not_seeded_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTEBOOK_SEED", "7")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    try:
        asked = request(km=manager)
        assert asked.extra_arguments == []
        assert asked.provenance()["seed"] is None
    finally:
        manager.shutdown_kernel(now=True)
    assert "NOTEBOOK_SEED is not honoured" in caplog.text


def test_the_interpreter_is_that_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    other = tmp_path / "bin" / "python3"
    other.parent.mkdir()
    other.symlink_to(Path(sys.executable).resolve())
    kernelspec(tmp_path, "other", str(other), "-m", "ipykernel_launcher")
    kernelspec(tmp_path, "hidden", "bash", "-c", "exec python -m ipykernel_launcher")
    assert request("other").provenance()["interpreter"]["executable"] == str(other)
    assert request("hidden").provenance()["interpreter"] is None
    assert request("none of these").provenance()["interpreter"] is None


def test_a_folder_of_such_notebooks_is_reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the seed that each was executed with, its parameters, and where."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.txt").write_text("42")
    book = notebook(tmp_path / "book.ipynb", ("x = 1", "parameters"), f"print(x, open('data.txt').read())\n{DRAW}")
    (tmp_path / "done").mkdir()
    for x in (2, 3):
        monkeypatch.setenv("NOTEBOOK_SEED", str(x))
        execute(book, output=tmp_path / "done" / f"{x}.ipynb", parameters={"x": x})
    monkeypatch.delenv("NOTEBOOK_SEED")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = reproduce(tmp_path / "done", settings=Settings(workspace=tmp_path / "sessions"))
    assert [one.name for one in result.checked] == ["2.ipynb", "3.ipynb"]
    assert result.same, str(result)


def test_the_command_records_too(tmp_path: Path) -> None:
    """papermill started by a user, its notebook from standard input."""
    book = notebook(tmp_path / "book.ipynb", DRAW)
    program = (
        "import sys, papermill.cli, tests.kernels.books\n"
        "papermill.cli.papermill(['--engine', 'orchestrator', '-', 'out.ipynb', '--no-progress-bar'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NOTEBOOK_SEED": "1"}
    with book.open() as file:
        subprocess.run([sys.executable, "-c", program], stdin=file, cwd=tmp_path, env=environment, check=True)
    decided = papermill.iorw.load_notebook_node(str(tmp_path / "out.ipynb")).metadata.orchestrator.provenance
    assert (decided.notebook.path, decided.seed) == ("standard input", 1)
