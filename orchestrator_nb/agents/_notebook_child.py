"""The process that executes a notebook, started by `_notebook_main` (see `agents.child`)."""

from __future__ import annotations

import ast
import base64
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator_nb.agents._going_on import GoingOn

SCRAP = "application/scrapbook.scrap.json+json"
#: What papermill warns of when a pattern of its own does not match a parameter; ours were read and checked before.
GUESSES = ("Passed unknown parameter", "Unable to parse line")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def main(directory: Path) -> None:
    """Do what the directory's request says, leave the answer in it."""
    from orchestrator_nb.agents._answering import request_in

    request = request_in(directory)
    os.environ["JUPYTER_RUNTIME_DIR"] = str(directory / "runtime")
    fork_kernel(request)  # before anything that could start a thread, and outside of every `try`
    if request.get("keeps_kernel"):
        from orchestrator_nb.agents._going_on import GoingOn

        attempts = GoingOn(directory)
        attempts.work(lambda place: carry_out(place, request_in(place), attempts))
    else:
        carry_out(directory, request)


def carry_out(directory: Path, request: dict[str, Any], attempts: GoingOn | None = None) -> bool:
    """Do what the request says, leave the answer in the directory; return whether it is a success.

    With `attempts`, those at this notebook share a kernel.
    """
    from orchestrator_nb.agents._answering import fail, succeed

    cells = Cells(directory)
    executed = directory / "outputs" / f"{request['name']}.ipynb"
    try:
        notebook = execute(request, executed, cells, attempts)
        if attempts:
            attempts.finish()
        succeed(directory, **answer_of(notebook, executed))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever happens is the answer
        fail(directory, explained(error, cells.running))
        return False
    return True


# -- the kernel --------------------------------------------------------------------------------------------------------


def fork_kernel(request: dict[str, Any]) -> None:
    """Fork the notebook's kernel if that can be done; else it is started when the notebook is executed."""
    from orchestrator_nb.kernels import adoption

    found = forkable(request)
    if found:
        adoption.fork_kernel(*found)


def forkable(request: dict[str, Any]) -> tuple[Any, list[str]] | None:
    """The specification and further arguments of a kernel that can be forked, or None, which is explained in the log.

    What is wrong with the notebook or its kernel is found again, and told, when it is executed.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    from orchestrator_nb.errors import NotebookError
    from orchestrator_nb.ipynb.document import read_notebook
    from orchestrator_nb.kernels import adoption

    try:
        name, language = choose_kernel(read_notebook(request["notebook"])["metadata"])
    except (NotebookError, LookupError):
        return None
    spec = KernelSpecManager().get_kernel_spec(name)
    choice = adoption.choose(spec)
    print(f"kernel: {choice}", flush=True)  # noqa: T201 - the log
    return (spec, arguments(request, language)) if choice.mode == "fork" else None


def arguments(request: dict[str, Any], language: str) -> list[str]:
    """What the kernel is given besides what its specification says: to seed what gives random numbers."""
    from orchestrator_nb.ipynb import seeding

    seed = request["provenance"]["seed"]
    return [] if seed is None else [f"--IPKernelApp.exec_lines={seeding.source(seed, language)}"]


# -- executing ---------------------------------------------------------------------------------------------------------


class Cells:
    """Tells when a code cell begins, and knows which one did last."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._places: dict[int, int] = {}
        self.running = ""

    def follow(self, manager: Any) -> None:
        """Be told by papermill's manager of an execution."""
        code = [cell for cell in manager.nb.cells if cell.cell_type == "code" and cell.source.strip()]
        self._places = {id(cell): place for place, cell in enumerate(code)}
        start = manager.cell_start

        def cell_start(cell: Any, *args: Any, **kwargs: Any) -> Any:
            self._begins(cell)
            return start(cell, *args, **kwargs)

        manager.cell_start = cell_start

    def _begins(self, cell: Any) -> None:
        from orchestrator_nb.agents._answering import tell

        place = self._places.get(id(cell))
        if place is not None:
            self.running = str(cell.source).strip().splitlines()[0][:100]
            tell(self._directory, self.running, place, len(self._places))


def execute(request: dict[str, Any], executed: Path, cells: Cells, attempts: GoingOn | None = None) -> Any:
    """Execute the notebook into the file `executed`, which is saved after each cell; return it."""
    import orchestrator_nb.kernels._driver  # noqa: F401 - before papermill: it makes its import short

    import papermill  # isort: skip
    from papermill.engines import papermill_engines
    from papermill.iorw import load_notebook_node

    from orchestrator_nb.kernels.engine import OrchestratorEngine

    class Engine(OrchestratorEngine):
        """The engine, followed cell by cell."""

        @classmethod
        def execute_notebook(cls, nb: Any, *given: Any, **options: Any) -> Any:
            add_typed(nb, request.get("typed", ""))
            if attempts:
                attempts.begin(nb, request["provenance"])
                cls.client = attempts.kernel.execution
            return super().execute_notebook(nb, *given, **options)

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *given: Any, **options: Any) -> Any:
            cells.follow(nb_man)
            return super().execute_managed_notebook(nb_man, kernel_name, *given, **options)

    papermill_engines.register("orchestrator_nb", Engine)
    for name in ("papermill", "papermill.translators"):
        logging.getLogger(name).addFilter(is_no_guess)
    kernel, language = choose_kernel(load_notebook_node(request["notebook"]).metadata)
    return papermill.execute_notebook(
        literally(request["notebook"]),
        literally(str(executed)),
        request["parameters"],
        engine_name="orchestrator_nb",
        kernel_name=kernel,
        language=language,
        provenance=request["provenance"],
        extra_arguments=arguments(request, language),
        progress_bar=False,
        stdout_file=sys.stdout,
        stderr_file=sys.stderr,
        start_timeout=120,
        execution_timeout=request.get("cell_timeout"),
    )


def is_no_guess(record: logging.LogRecord) -> bool:
    """Whether papermill knows what it says."""
    return not str(record.msg).startswith(GUESSES)


def add_typed(notebook: Any, lines: str) -> None:
    """Let the cell that papermill put in end with `lines` (`ipynb.injection.typed_lines`)."""
    for cell in notebook.cells:
        if lines and "injected-parameters" in cell.metadata.get("tags", ()):
            cell.source = f"{cell.source.rstrip()}\n\n# as the annotations say\n{lines}\n"


def literally(path: str) -> str:
    """A path as papermill takes it: for it, braces are fields to be filled in."""
    return path.replace("{", "{{").replace("}", "}}")


def choose_kernel(metadata: Any) -> tuple[str, str]:
    """The notebook's own kernel if it is installed, else, for Python, that of this environment; and its language."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = metadata.get("kernelspec", {})
    wanted = spec.get("name") or "python3"
    language = spec.get("language") or metadata.get("language_info", {}).get("name") or "python"
    installed = KernelSpecManager().find_kernel_specs()
    if wanted in installed:
        return wanted, language
    if language.lower() != "python":
        names = ", ".join(sorted(installed))
        raise LookupError(f"the notebook's kernel '{wanted}' ({language}) is not installed here (installed: {names})")
    print(f"kernel '{wanted}' is not installed: using python3 of {sys.prefix}", flush=True)  # noqa: T201 - the log
    return "python3", language


def explained(error: BaseException, running: str) -> str:
    """Which cell failed (the one that was `running`), with what, and the end of its traceback."""
    from papermill.exceptions import PapermillExecutionError

    from orchestrator_nb.errors import OrchestratorError
    from orchestrator_nb.system.tracebacks import MAX_TEXT, summary_of

    if type(error).__name__ == "DeadKernelError":
        return f"the notebook's kernel died (out of memory, or ended by its own code) in the cell: {running}"
    if not isinstance(error, PapermillExecutionError):
        return str(error) if isinstance(error, LookupError | OrchestratorError) else summary_of(error)
    number = error.exec_count if error.exec_count is not None else f"number {error.cell_index + 1}"
    lines = _ANSI.sub("", "\n".join(error.traceback)).splitlines()
    return f"cell {number} failed: {error.ename}: {error.evalue}\n" + "\n".join(lines[-15:])[-MAX_TEXT // 2 :]


# -- the answer --------------------------------------------------------------------------------------------------------


def answer_of(notebook: Any, executed: Path) -> dict[str, Any]:
    """The executed notebook as the fields of a success; its pictures are written beside it."""
    executed.chmod(0o600)
    pictures = list(save_pictures(notebook, executed))
    result = tagged_result(notebook)
    if result is None:
        cells = sum(1 for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip())
        text = f"Executed {executed.name}: {cells} code cells."
        result = {"text": f"{text} Pictures: {', '.join(pictures)}." if pictures else text}
    return {**result, "outputs": [executed.name, *pictures]}


def save_pictures(notebook: Any, executed: Path) -> Iterator[str]:
    """Write the PNG pictures that cells show, numbered in their order; yield the files' names."""
    from orchestrator_nb.agents._answering import write

    number = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if encoded := output.get("data", {}).get("image/png"):
                number += 1
                name = f"{executed.stem}-{number}.png"
                write(executed.with_name(name), base64.b64decode("".join(encoded)))
                yield name


def tagged_result(notebook: Any) -> dict[str, Any] | None:
    """What the notebook says its result is: the cell tagged `result`, else its scraps, else None."""
    for cell in notebook.cells:
        if "result" in cell.metadata.get("tags", ()) and cell.cell_type == "code":
            return shown(cell)
    scraps = {
        output["data"][SCRAP]["name"]: output["data"][SCRAP]["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if SCRAP in output.get("data", {})
    }
    return {"value": scraps.get("result", scraps)} if scraps else None


def shown(cell: Any) -> dict[str, Any]:
    """The last thing that a cell shows or prints: as JSON or Markdown where it is that, else as text."""
    for output in reversed(cell.outputs):
        data = output.get("data", {})
        if "application/json" in data:
            return {"value": data["application/json"]}
        if "text/markdown" in data:
            return {"text": "".join(data["text/markdown"])}
        text = data.get("text/plain") or (output.get("text") if output.get("name") == "stdout" else None)
        if text is not None:
            return read("".join(text))
    raise LookupError("the cell tagged 'result' shows nothing: let it end with the value, or print it as JSON")


def read(text: str) -> dict[str, Any]:
    """Text as a JSON value, or as the Python literal of one, or as text."""
    from orchestrator_nb.core.jsonable import fault_of_json

    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if fault_of_json(value) is None:
            return {"text": value} if isinstance(value, str) else {"value": value}
    return {"text": text}
