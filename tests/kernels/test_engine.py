"""The same cells give the same outputs under papermill's own engine and under ours, in each mode."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient.exceptions import CellTimeoutError
from nbclient.util import run_sync
from nbformat.v4 import new_output
from papermill.exceptions import PapermillExecutionError

from orchestrator_nb.errors import AgentError
from tests.kernels.books import execute, notebook, run, text
from tests.kernels.waiting import wait_for
from tests.live_kernels import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning", "ignore::ResourceWarning")

MODES = ["cold", "warm", "fork"]

CELLS = [
    "import os, sys, subprocess\nprint('out'); print('err', file=sys.stderr)\n1 + 1",
    "import numpy as np, pandas as pd\nnp.linalg.svd(np.arange(6.0).reshape(2, 3))[1].round(6)",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2, 4])\nplt.show()",
    "fig, ax = plt.subplots()\nax.bar([1, 2], [3, 4]);",
    "%matplotlib inline\npd.DataFrame({'a': [1, 2]}).plot()",
    "plt.get_backend()",
    "pd.DataFrame({'a': [1, None], 'b': ['x', 'y']})",
    "x = 1\n%pwd\n%who_ls int",
    "!echo shell $((1 + 1))\nlines = !printf 'a\\nb'\nlines",
    "%%bash\necho bash $BASH_VERSION | cut -d' ' -f1\necho wrong >&2",
    "%%writefile helper.py\ndef double(x):\n    return 2 * x",
    "import helper\nhelper.double(21)",
    "import asyncio\nawait asyncio.sleep(0.01)\nasync def f():\n    return 'awaited'\nawait f()",
    "subprocess.run(['echo', 'sub'], capture_output=True, text=True).stdout",
    # what goes past Python is read by a thread of ipykernel
    "import threading\ndef until_read(words, act):\n    read, write = threading.Event(), sys.stdout.write\n"
    "    def note(text):\n        written = write(text)\n        if words in text:\n            read.set()\n"
    "        return written\n    sys.stdout.write = note\n    act(); read.wait(30)\n    del sys.stdout.write",
    "until_read('system', lambda: os.system('echo system'))",
    "t = threading.Thread(target=lambda: print('thread')); t.start(); t.join()",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(3) as pool:\n"
    "    print(list(pool.map(abs, [-1, -2])))",
    "import multiprocessing as mp\nwith mp.get_context('fork').Pool(2) as pool:\n    print(pool.map(abs, [-3, -4]))",
    "with mp.get_context('spawn').Pool(1) as pool:\n    print(pool.map(helper.double, [5]))",
    "import logging\nlogging.warning('logged')",
    "import warnings\nwarnings.warn('careful')",
    "import sqlite3\nsqlite3.connect(':memory:').execute('select 40 + 2').fetchall()",
    "from IPython.display import HTML, JSON, display, update_display\n"
    "display(HTML('<b>x</b>')); display(JSON({'a': 1}))\n"
    "display('old', display_id='d'); update_display('new', display_id='d')",
    "from IPython.display import clear_output\nprint('gone'); clear_output(); print('stays')",
    "import ipywidgets\nslider = ipywidgets.IntSlider(value=3)\nslider",
    "slider.value = 7\nout = ipywidgets.Output()\nout",
    "with out:\n    print('in the widget')\nprint('beside')",
    "sys.argv[0].rpartition('/')[2], sys.path[0], __name__",
    "'JPY_PARENT_PID' in os.environ, os.path.exists('all.ipynb')",
    "_ih[1][:6], _dh == [os.getcwd()], In[-1], get_ipython().history_manager.hist_file",
    ("input('name? ')", "raises-exception"),
    ("def broken():\n    return 1 / 0\nbroken()", "raises-exception"),
    ("print(", "raises-exception"),
    ("never = 1", "skip-execution"),
    "sys.stdout.write('no newline'); sys.stdout.flush()\n"
    "until_read('by descriptor', lambda: os.write(1, b'by descriptor\\n'))",
    "%config InlineBackend.figure_format = 'svg'\nplt.plot([1]);",
    "sys.exit(0)",
]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What papermill's own engine makes of the cells."""
    return shown(of_all_cells(tmp_path_factory.mktemp("stock"), None))


def of_all_cells(directory: Path, mode: str | None) -> Any:
    path = notebook(directory / "all.ipynb", *CELLS)
    if mode == "warm":
        run(directory, "1", mode=mode)
    with pytest.raises(PapermillExecutionError, match="incomplete input"):  # the last that was let pass
        execute(path, mode, cwd=directory)
    executed = nbformat.read(path.with_suffix(".out.ipynb"), 4)
    if mode:
        refused = {"helper": "is not installed"}
        expected = {"mode": mode, "why": "asked for", **({"not_preloaded": refused} if mode == "fork" else {})}
        assert executed.metadata.orchestrator.kernel == expected
    return executed


def shown(executed: Any) -> list[Any]:
    """What is to be equal: of each cell the kinds of its outputs and their text, without what is never the same."""
    return [
        [cell.source, cell.execution_count, cell.metadata.papermill.status, list(map(of_output, joined(cell.outputs)))]
        for cell in executed.cells
        if cell.cell_type == "code"
    ] + [sorted(state["model_name"] for state in widgets(executed).values())]


def joined(outputs: Any) -> list[Any]:
    """Streams in one piece: into how many messages they are put is a matter of time."""
    whole: list[Any] = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
            whole[-1] = new_output("stream", name=output.name, text=whole[-1].text + output.text)
        else:
            whole.append(output)
    return whole


def widgets(executed: Any) -> Any:
    return executed.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]


def of_output(output: Any) -> Any:
    if output.output_type == "stream":
        words: Any = output.text
    elif output.output_type == "error":
        words = [output.ename, output.evalue, *output.traceback]
    else:
        words = [sorted(output.data), output.data.get("text/plain"), output.data.get("text/html")]
    words = re.sub(
        r"ipykernel_\d+|0x[0-9a-f]+|[\d.]+ [mµn]?s\b|style scoped.*?</style>|IPY_MODEL_\w+", "~", json.dumps(words)
    )
    return [output.output_type, output.get("name"), words]


@pytest.mark.parametrize("mode", MODES)
def test_the_same_cells_give_the_same_outputs(mode: str, expected: list[Any], tmp_path: Path) -> None:
    ours = shown(of_all_cells(tmp_path, mode))
    for theirs, own in zip(expected, ours, strict=True):
        assert own == theirs


def test_a_figure_is_a_picture_in_each_mode(tmp_path: Path) -> None:
    """Trap 1: what matplotlib does for a notebook when it is imported, although it was before there was one."""
    for mode in MODES:
        executed = run(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);", mode=mode)
        assert [sorted(output.data) for output in executed.cells[0].outputs] == [["image/png", "text/plain"]]


OUTPUT_WIDGETS = [
    "import ipywidgets\nout = ipywidgets.Output()\nout",
    "for number in range(20):\n    with out:\n        print('b', number)",
    "for number in range(20):\n    with out:\n        out.clear_output()\n        print('c', number)",
    "with out:\n    for number in range(200):\n        print('d', flush=True)",
    "[output['text'][-2:] for output in out.outputs]",
]


@pytest.mark.parametrize("mode", ["cold", "fork"])
def test_output_widgets_do_not_hang(mode: str, tmp_path: Path) -> None:
    """nbclient sends on the channel that it waits on; its wake-up was lost in a third of such runs."""
    for _ in range(4):
        executed = run(tmp_path, *OUTPUT_WIDGETS, mode=mode, execution_timeout=60)
        state = next(item for item in widgets(executed).values() if item["model_name"] == "OutputModel")["state"]
        assert "".join(output["text"] for output in state["outputs"]).endswith("c 19\n" + 200 * "d\n")


def test_what_a_thread_prints_after_its_cell_is_kept_in_its_cell(tmp_path: Path) -> None:
    """papermill loses it; in a notebook in the browser it is there."""
    cells = (
        "import threading, time\ngo = threading.Event()\n"
        "def late():\n    go.wait()\n    print('late', flush=True)\n"
        "thread = threading.Thread(target=late); thread.start()",
        "go.set(); thread.join(); 'second'",
    )
    executed = run(tmp_path, *cells)
    assert text(executed.cells[0]) + text(executed.cells[1]) in ("late\n'second'", "'second'late\n")


@pytest.mark.parametrize("mode", MODES)
def test_an_error_is_marked_and_told_as_by_papermill(mode: str, tmp_path: Path) -> None:
    path = notebook(tmp_path / "bad.ipynb", "print('so far')", "1 / 0", "never = 1")
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError") as raised:
        execute(path, mode)
    assert raised.value.cell_index == 1
    saved = nbformat.read(tmp_path / "bad.out.ipynb", 4)
    assert [cell.cell_type for cell in saved.cells] == ["markdown", "code", "markdown", "code", "code"]
    assert "papermill-error-cell" in saved.cells[2].source
    assert [saved.cells[n].metadata.papermill.status for n in (1, 3, 4)] == ["completed", "failed", "pending"]
    assert list(tmp_path.glob(".*")) == []


def test_a_time_limit_of_cells(tmp_path: Path) -> None:
    with pytest.raises(CellTimeoutError):
        run(tmp_path, "import time; time.sleep(60)", execution_timeout=1)
    slow = notebook(tmp_path / "slow.ipynb", "import time; time.sleep(60)", "'on'")
    with pytest.raises(PapermillExecutionError, match="KeyboardInterrupt"):
        execute(slow, execution_timeout=1, interrupt_on_timeout=True)


@pytest.mark.parametrize("mode", ["cold", "fork"])
def test_an_interrupt_of_the_kernel_is_an_error_of_the_cell(mode: str, tmp_path: Path) -> None:
    cell = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)"
    with pytest.raises(PapermillExecutionError, match="KeyboardInterrupt"):
        run(tmp_path, cell, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_exit_handlers_of_the_kernel_run(mode: str, tmp_path: Path) -> None:
    """Trap 8: the kernel is asked to end, and only killed if it does not."""
    run(
        tmp_path,
        "import atexit, pathlib\natexit.register(lambda: pathlib.Path('ended').touch());",
        cwd=tmp_path,
        mode=mode,
    )
    assert (tmp_path / "ended").exists()


def test_a_manager_that_is_given_is_used_and_left_alone(tmp_path: Path) -> None:
    for kind in (AsyncKernelManager, KernelManager):
        manager = kind(kernel_name="python3")
        executed = run(tmp_path, "import ipywidgets\nprint(1)", mode=None, engine_name="orchestrator", km=manager)
        assert text(executed.cells[0]) == "1\n"
        assert executed.metadata.orchestrator.kernel.mode == "given"
        assert run_sync(manager._async_is_alive)()
        run_sync(manager._async_shutdown_kernel)(now=True)


def test_a_mode_that_does_not_exist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AgentError, match=r"There is no kernel mode 'hot'. Use one of: auto, fork, warm, cold."):
        run(tmp_path, "1", mode="hot")
    monkeypatch.setenv("ORCHESTRATOR_KERNEL_MODE", "cool")
    with pytest.raises(AgentError, match="'cool'"):
        run(tmp_path, "1", mode=None, engine_name="orchestrator")


def test_auto_forks_and_the_second_fork_has_the_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE", "of this test only")  # so it is another kind of kernel
    cell = "import sys\nprint('wsgiref' in sys.modules)\nimport wsgiref"
    executed = [run(tmp_path, cell, mode="auto") for _ in range(2)]
    assert [notebook.metadata.orchestrator.kernel for notebook in executed] == [
        {"mode": "fork", "why": "the first notebook of its kind in this process: without its imports"},
        {"mode": "fork", "why": "a kernel of this environment"},
    ]
    assert [text(notebook.cells[0]) for notebook in executed] == ["False\n", "True\n"]


COMMAND = """
from papermill.cli import papermill
from papermill.engines import papermill_engines
from orchestrator_nb.kernels.engine import OrchestratorEngine
papermill_engines.register("orchestrator", OrchestratorEngine)
papermill()
"""


def test_the_one_kernel_of_papermills_command_is_started(tmp_path: Path) -> None:
    book, out = notebook(tmp_path / "book.ipynb", "1"), tmp_path / "out.ipynb"
    subprocess.run([sys.executable, "-c", COMMAND, book, out, "--engine", "orchestrator"], check=True, cwd=REPOSITORY)
    kernel = nbformat.read(out, 4).metadata.orchestrator.kernel
    assert kernel == {"mode": "cold", "why": "the one notebook of papermill's command"}


ONE = """
import sys
from pathlib import Path
from tests.kernels.books import execute
print(execute(Path(sys.argv[1]), "auto").metadata.orchestrator.kernel.mode)
"""


def test_a_process_with_one_forked_kernel_leaves_nothing(tmp_path: Path) -> None:
    cell = "import os, psutil\nprint(*(p.pid for p in psutil.Process().parents()[:4]), os.getpid())"
    book = notebook(tmp_path / "book.ipynb", cell)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    program = [sys.executable, "-c", ONE, book]
    owner = subprocess.Popen(program, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    said, _ = owner.communicate()
    assert (owner.returncode, said) == (0, "fork\n")
    pids = [int(pid) for pid in text(nbformat.read(tmp_path / "book.out.ipynb", 4).cells[0]).split()]
    assert owner.pid in pids
    ours = {*pids[: pids.index(owner.pid)], pids[-1]}  # reaper, preloaded interpreter, kernel
    wait_for(lambda: not any(map(psutil.pid_exists, ours)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.ipynb", "book.out.ipynb"]


def test_output_beyond_the_limit_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    executed = run(tmp_path, "for _ in range(9): print(99 * 'x', flush=True)\n1 + 1", "print('next')", output_limit=550)
    assert text(executed.cells[0]).count("x\n") == 5
    assert "beyond 550 characters is left out" in text(executed.cells[0])
    assert text(executed.cells[1]) == "next\n"


def test_stdout_file_and_log_get_all(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w+", encoding="utf-8") as log:
        run(tmp_path, "for _ in range(9): print(99 * 'x', flush=True)", stdout_file=log, output_limit=550)
        log.seek(0)
        assert log.read() == 9 * (99 * "x" + "\n")
